"""Data sources by name: which reader, with which options, reads what."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from rankloop.datasets.discs import read_discs
from rankloop.datasets.folder import read_folder
from rankloop.datasets.labelled_pairs import PAIRS_OPTIONS, read_labelled_pairs
from rankloop.datasets.layouts.bid import read_bid
from rankloop.datasets.layouts.clive import read_clive
from rankloop.datasets.layouts.csiq import read_csiq
from rankloop.datasets.layouts.flive import read_flive
from rankloop.datasets.layouts.kadid10k import read_kadid10k
from rankloop.datasets.layouts.koniq10k import read_koniq10k
from rankloop.datasets.layouts.live import read_live
from rankloop.datasets.layouts.mlive import read_mlive
from rankloop.datasets.layouts.photo_pools import read_places2, read_waterloo
from rankloop.datasets.layouts.shanghaitech import read_shanghaitech
from rankloop.datasets.layouts.spaq import read_spaq
from rankloop.datasets.layouts.tid2013 import read_tid2013
from rankloop.datasets.layouts.ucf_cc_50 import read_ucf_cc_50
from rankloop.datasets.layouts.ucf_qnrf import read_ucf_qnrf
from rankloop.datasets.layouts.ucsd import read_ucsd
from rankloop.datasets.layouts.worldexpo10 import read_worldexpo10
from rankloop.datasets.merging import merge
from rankloop.datasets.pack import read_pack
from rankloop.datasets.part import Part
from rankloop.datasets.samples import read_samples
from rankloop.datasets.scored_images import CSV_OPTIONS, read_scored_images
from rankloop.datasets.spec import Spec, parse_spec
from rankloop.datasets.ssranking import SSRANKING_OPTIONS, read_ssranking
from rankloop.errors import ConfigError, DataError

_NONE = frozenset[str]()
_OFFICIAL = frozenset({"split"})


class Reader(NamedTuple):
    """How one kind of data source is read, and the options that it takes."""

    read: Callable[[str, Mapping[str, str]], Part]
    options: frozenset[str]


def _folder(path: str, options: Mapping[str, str]) -> Part:
    return read_folder(path)


def _pack(path: str, options: Mapping[str, str]) -> Part:
    return read_pack(path)


READERS: Mapping[str, Reader] = {
    "folder": Reader(_folder, _NONE),
    "csv": Reader(read_scored_images, CSV_OPTIONS),
    "pairs": Reader(read_labelled_pairs, PAIRS_OPTIONS),
    "pack": Reader(_pack, _NONE),
    "ssranking": Reader(read_ssranking, SSRANKING_OPTIONS),
    "tid2013": Reader(read_tid2013, _OFFICIAL),
    "live": Reader(read_live, _NONE),
    "csiq": Reader(read_csiq, _NONE),
    "mlive": Reader(read_mlive, frozenset({"part"})),
    "kadid10k": Reader(read_kadid10k, _NONE),
    "clive": Reader(read_clive, _NONE),
    "bid": Reader(read_bid, _NONE),
    "koniq10k": Reader(read_koniq10k, _OFFICIAL),
    "spaq": Reader(read_spaq, _NONE),
    "flive": Reader(read_flive, _OFFICIAL),
    "waterloo": Reader(read_waterloo, _NONE),
    "places2": Reader(read_places2, _NONE),
    "shanghaitech": Reader(read_shanghaitech, _NONE),
    "ucf_cc_50": Reader(read_ucf_cc_50, frozenset({"fold"})),
    "worldexpo10": Reader(read_worldexpo10, frozenset({"scene"})),
    "ucsd": Reader(read_ucsd, frozenset({"fold"})),
    "ucf_qnrf": Reader(read_ucf_qnrf, _NONE),
}
_PACKAGED: dict[str, frozenset[str]] = {"samples": _NONE, "discs": _NONE}
_OPTIONS = _PACKAGED | {name: reader.options for name, reader in READERS.items()}


def read_sources(
    specs: Sequence[str], *, seed: int, crops_per_photo: int = 40, strict: bool = False
) -> Part:
    """Return all that one or several data sources hold, as one.

    Args:
        specs: data sources, ``READER:PATH?option=value``:
            ``samples``: crops of the photographs that scikit-image and scikit-learn ship.
            ``discs``: the same with a known number of discs in each, to try counting out.
            ``folder:PATH``: any tree of images.
            ``csv:PATH?higher_is_better=true``: columns image, score, and if there source, split;
            options score=COLUMN, image=COLUMN, source=COLUMN, split=COLUMN, images=FOLDER.
            ``pairs:PATH``: columns image_a, image_b, better, and if there annotator; option
            images=FOLDER.
            ``pack:PATH``: what ``jobs/ingest.py`` packed.
            ``ssranking:PATH``: the lists of the SSRanking release; options images=FOLDER,
            test=NAME.
            Released data sets: the other keys of READERS, with the folder of the release; see
            their modules in `rankloop.datasets.layouts`.
        seed: decides the crops of ``samples``.
        crops_per_photo: crops that ``samples`` cuts from each photograph; 0 for it as it is.
        strict: refuse sources that list images which are not there, rather than skip them.

    Raises:
        ConfigError: an unknown reader or option, or a value out of range.
        DataError: a missing, empty, malformed or contradictory data source.
    """
    if isinstance(specs, str) or not specs:
        raise ConfigError("no data source is given: name one, such as samples or folder:PATH")
    if crops_per_photo < 0:
        raise ConfigError(f"crops_per_photo = {crops_per_photo} is below 0: give at least 0")
    parsed = [parse_spec(text, _OPTIONS) for text in specs]
    merged = merge([_read(spec, crops_per_photo, seed) for spec in parsed])
    if strict and merged.skipped:
        image, reason = merged.skipped[0]
        raise DataError(
            f"{len(merged.skipped)} listed images are missing, the first: {image}: {reason}; add "
            "them, or leave out --strict to go on without them"
        )
    return merged


def shown_sources(specs: Sequence[str]) -> str:
    """Return the data sources' names in one, without passwords: what data are called everywhere.

    Raises:
        ConfigError: an unknown reader or option.
    """
    return " + ".join(parse_spec(text, _OPTIONS).shown for text in specs)


def _read(spec: Spec, crops_per_photo: int, seed: int) -> Part:
    if spec.reader in _PACKAGED:
        if ":" in spec.text:
            raise ConfigError(
                f"{spec.text!r}: packaged photographs have no path, write {spec.reader!r}"
            )
        if spec.reader == "discs":
            return read_discs(seed=seed)
        return read_samples(crops_per_photo=crops_per_photo, seed=seed)
    if not spec.path:
        raise ConfigError(f"{spec.text!r} names no path: write {spec.reader}:PATH")
    return READERS[spec.reader].read(spec.path, spec.options)
