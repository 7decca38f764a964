"""``ssranking:PATH``: the lists of the SSRanking release, with their images."""

from collections.abc import Iterable, Mapping, Sequence

from rankloop.datasets.locations import absolute, exist, inside, join, list_files, read_text
from rankloop.datasets.part import PAIRS_WITH_MISSING_IMAGE, TIES, ImageRow, Part
from rankloop.datasets.present import only_present, pairs_of
from rankloop.datasets.ssranking_lists import Crop, ListFile, read_list
from rankloop.datasets.votes import Vote, majority
from rankloop.errors import DataError

SSRANKING_OPTIONS = frozenset({"images", "test"})
SCORE_NAME = "blur rank"


def read_ssranking(path: str, options: Mapping[str, str]) -> Part:
    """Return the release's images, its labelled pairs and one test ranking.

    Every ``.txt`` and ``.csv`` file in the folder or below it is recognised by its form (see
    `ssranking_lists`); ``counts`` says what each was taken for and how many items it has. Images
    of the unsupervised pairs are unlabelled; their pairing is not used, since quadruplets are
    drawn anew. An image is read from ``images/Image_name_after_cropping`` if that exists, else cut
    from ``images/DatasetName/Original_image_name``, or from the one file of that name further below
    ``images/DatasetName``; crops of one original are one source.

    Args:
        path: folder of the lists, local or URI.
        options: ``images=FOLDER`` (``PATH/images``); ``test=NAME``: which test ranking to use,
            by its file name relative to PATH without extension; needed when there are several,
            since orders of different lists cannot be compared.

    Raises:
        DataError: no supervised pairs, a malformed line, an unclear choice of test ranking, or no
            image exists.
    """
    folder = absolute(path)
    images_folder = absolute(options.get("images", join(folder, "images")))
    lists = _read_lists(folder)
    of_kind = {kind: [x for x in lists if x.kind == kind] for kind in {x.kind for x in lists}}
    supervised = of_kind.get("supervised pairs", [])
    if not supervised:
        taken = ", ".join(f"{x.name} is a {x.kind}" for x in lists) or "no file is a list"
        raise DataError(
            f"{folder} has no list of supervised pairs ({taken}): give the release's "
            "folder with lines Image_left,Image_right in a file named supervised"
        )
    labels, ties = majority(
        Vote(left, right, better=left) for part in supervised for left, right in part.pairs()
    )
    unlabelled = _names(pair for x in of_kind.get("unsupervised pairs", []) for pair in x.pairs())
    ranking = _chosen_ranking(of_kind.get("test ranking", []), options.get("test"))
    ranks = ranking.ranks() if ranking else {}
    crops = {crop.image: crop for x in of_kind.get("crop list", []) for crop in x.crops()}
    names = dict.fromkeys([*_names(labels), *unlabelled, *ranks])
    rows = _rows(list(names), crops, ranks, images_folder)
    images, skipped = only_present(rows, folder, images_folder)
    pairs = pairs_of(labels, images)
    dropped = {TIES: ties, PAIRS_WITH_MISSING_IMAGE: len(labels) - len(pairs)}
    return Part(
        images,
        pairs,
        higher_is_better=False if ranks else None,
        score_name=SCORE_NAME if ranks else None,
        counts={f"{x.name}: {x.kind}": len(x.lines) for x in lists}
        | {name: number for name, number in dropped.items() if number},
        skipped=skipped,
    )


def _read_lists(folder: str) -> list[ListFile]:
    names = [name for name in list_files(folder) if name.lower().endswith((".txt", ".csv"))]
    found = (read_list(name, read_text(join(folder, name))) for name in names)
    return [item for item in found if item is not None]


def _names(pairs: Iterable[tuple[str, str]]) -> list[str]:
    return [name for pair in pairs for name in pair]


def _chosen_ranking(rankings: Sequence[ListFile], wanted: str | None) -> ListFile | None:
    stems = {x.name.rpartition(".")[0]: x for x in rankings}
    listed = ", ".join(stems) or "there is none"
    if wanted is not None and wanted not in stems:
        raise DataError(f"no test ranking is named {wanted!r}: choose from {listed}")
    if wanted is None and len(rankings) > 1:
        raise DataError(
            f"there are {len(rankings)} test rankings, whose orders cannot be compared: "
            f"choose one with ?test=NAME from {listed}"
        )
    return stems[wanted] if wanted is not None else next(iter(rankings), None)


def _rows(
    names: Sequence[str], crops: Mapping[str, Crop], ranks: Mapping[str, float], folder: str
) -> list[ImageRow]:
    already_cropped = exist([inside(folder, name) for name in names])
    cut = [
        crops[name].original
        for name, is_cropped in zip(names, already_cropped, strict=True)
        if name in crops and not is_cropped
    ]
    place = _places(cut, folder)
    rows = []
    for name, is_cropped in zip(names, already_cropped, strict=True):
        crop = crops.get(name)
        whole = None if crop is None or is_cropped else crop
        rows.append(
            ImageRow(
                name,
                place[whole.original] if whole else name,
                crop=whole.box if whole else None,
                source=crop.original if crop else None,
                split="test" if name in ranks else None,
                score=ranks.get(name),
            )
        )
    return rows


def _places(originals: Sequence[str], folder: str) -> dict[str, str]:
    """Find each photograph below the folder of its data set, which may have folders of its own.

    LFW, CASIA-WebFace, WIDER FACE and MegaFace all have folders for people or events; the lists may
    name files alone. A name that several files have stays as it is, and is then missing.
    """
    names = list(dict.fromkeys(originals))
    there = exist([inside(folder, name) for name in names])
    place = {name: name for name in names}
    lost = [name for name, found in zip(names, there, strict=True) if not found]
    if not lost:
        return place
    try:
        files = list_files(folder)
    except DataError:
        # No such folder: then all images are missing, which is an error of its own.
        return place
    below: dict[tuple[str, str], list[str]] = {}
    for file in files:
        below.setdefault((file.partition("/")[0], file.rpartition("/")[2].lower()), []).append(file)
    for name in lost:
        dataset, _, rest = name.partition("/")
        alike = [
            file
            for file in below.get((dataset, name.rpartition("/")[2].lower()), [])
            if f"/{file}".lower().endswith(f"/{rest}".lower())
        ]
        if len(alike) == 1:
            place[name] = alike[0]
    return place
