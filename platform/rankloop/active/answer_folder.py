"""A folder where a request is written, and people drop their answers as CSV or Parquet."""

import csv
import hashlib
import io
import statistics
import textwrap
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from rankloop.active.answer_files import Line, Refused, read_answers
from rankloop.active.campaign import Campaign
from rankloop.active.forms import FORMS, Form
from rankloop.active.head_points import gathered, points_label
from rankloop.active.label_source import Answers
from rankloop.active.labels import Answer, Label
from rankloop.datasets.crowds import photograph_size, points_in_photograph, shown_crowd
from rankloop.errors import DataError, ImageError
from rankloop.images import encode
from rankloop.shown import quoted
from rankloop.spreadsheets import defused
from rankloop.storage import Folder

REQUEST, ANSWERS, FORM, LIST = "request", "answers", "form.csv", "request.json"
# A file that was changed within so many seconds may not be whole yet.
SETTLED_SECONDS = 5.0
_INSTRUCTIONS = """Labels wanted: {count} {question}s, in images/{sides}.

Copy form.csv, {task}, and put the file into the folder answers/, as .csv or .parquet, under any
name. The column annotator may say who you are; without it the file's name does. Several people may
answer: {together}. Of several answers of yours to the same the newest counts. Files may be added at
any time; one that is added later counts in the next round.
"""


@dataclass(frozen=True)
class AnswerFolder:
    """Requests and answers in ``cycle-NNN/request`` of the campaign.

    Attributes:
        settled_seconds: see SETTLED_SECONDS.
    """

    settled_seconds: float = SETTLED_SECONDS

    def where(self, campaign: Campaign, number: int) -> str:
        """Return the folder of the answers."""
        return str(_request(campaign, number) / ANSWERS)

    def ask(self, campaign: Campaign, number: int, questions: Sequence[str]) -> None:
        """Write the images, the form and the instructions; the list of files last.

        Raises:
            DataError: none of the images can be read.
        """
        request, form = _request(campaign, number), FORMS[campaign.method.learns_from]
        if request.has(LIST) or not questions:
            return
        shown = _write_images(request, campaign, number, questions)
        if not shown["files"]:
            raise DataError(
                f"none of the {len(questions)} {form.question}s to ask about can be shown, the "
                f"first since {shown['unreadable'][0][1]}: bring the images back"
            )
        (request / ANSWERS).write_bytes(".keep", b"")
        text = _instructions(campaign, form, len(shown["files"]))
        request.write_bytes("instructions.txt", text.encode())
        buffer = io.StringIO(newline="")
        blank = [""] * (len(form.answer) + 1)
        lines = [[file, *blank, defused(name)] for file, name in shown["files"].items()]
        csv.writer(buffer).writerows([[form.question, *form.answer, "annotator", "name"], *lines])
        request.write_bytes(FORM, buffer.getvalue().encode())
        request.write_json(LIST, shown)

    def answers(self, campaign: Campaign, number: int, questions: Sequence[str]) -> Answers:
        """Read all answers to this request and those before it.

        Answers that earlier cycles took in stay, whatever has become of their files; a newer one of
        the same annotator takes the place of an older one.
        """
        form = FORMS[campaign.method.learns_from]
        requests = [_request(campaign, cycle) for cycle in range(number + 1)]
        lists = [request.read_json(LIST) for request in requests if request.has(LIST)]
        shown = {file: name for found in lists for file, name in found["files"].items()}
        # What the form calls a question is never taken for the data set's own name.
        known = {name.strip(): name for name in shown.values()} | shown
        # Those of this cycle are there if it was cut off.
        said = {(one.question, one.annotator): one for one in campaign.answers(number + 1)}
        taken = campaign.taken_files(number + 1)
        refused: list[tuple[str, str]] = []
        unusual: list[tuple[str, str]] = []
        lines = read_answers(
            [request / ANSWERS for request in requests],
            form,
            refused,
            taken=taken,
            settled_seconds=self.settled_seconds,
        )
        asked_about = _asked_about(lines, known, form, refused)
        found = _single_answers(campaign, asked_about, lists, refused, unusual)
        span = None if campaign.asks_pairs else _known_range(campaign)
        for answer, line in found:
            odd, off = _oddity(answer, span)
            if odd:
                (refused if off else unusual).append((line.where, odd))
            if not off:
                key = (answer.question, answer.annotator)
                # What was taken in has had its turn: a file that was touched since is not newer.
                said[key] = said.get(key, answer) if line.digest in taken else answer
        of_each: dict[str, list[Answer]] = defaultdict(list)
        for key in sorted(said):
            of_each[key[0]].append(said[key])
        labels = {name: _label(some) for name, some in of_each.items()}
        spreads = [(name, label.spread) for name, label in labels.items() if label.spread]
        asked = [name for name in questions if name in shown.values()]
        return Answers(
            labels,
            asked=asked,
            missing=[name for name in asked if name not in labels],
            single=list(said.values()),
            refused=refused,
            unusual=unusual,
            disagreements=sorted(spreads, key=lambda entry: -entry[1]),
        )


def _write_images(
    request: Folder, campaign: Campaign, number: int, questions: Sequence[str]
) -> dict[str, Any]:
    """Write the images that are asked about.

    Returns:
        files: what the form calls a question, to the question.
        sizes, photographs: question to width and height, of the (first) image that is shown and,
            where heads are asked for, of its photograph.
        unreadable: question and reason of each that cannot be shown.
    """
    load = campaign.data({}).load
    shown = partial(shown_crowd, campaign.dataset) if campaign.asks_points else load
    files: dict[str, str] = {}
    sizes: dict[str, list[int]] = {}
    photographs: dict[str, list[int]] = {}
    unreadable = []
    for place, name in enumerate(questions, 1):
        # Of this question in this request alone: an answer to another is never taken for it.
        digest = hashlib.blake2b(f"{campaign.folder} {name}".encode(), digest_size=3)
        stem = f"{number:03d}-{place:04d}-{digest.hexdigest()}"
        try:
            images = [shown(row) for row in campaign.rows_of(name)]
        except ImageError as error:
            # Gone since the campaign began.
            unreadable.append([name, str(error)])
            continue
        for side, image in zip(FORMS[campaign.method.learns_from].sides, images, strict=True):
            (request / "images").write_bytes(f"{stem}{side}.png", encode(image))
        files[f"{stem}.png" if len(images) == 1 else stem] = name
        sizes[name] = [images[0].shape[1], images[0].shape[0]]
        if campaign.asks_points:
            photographs[name] = photograph_size(campaign.dataset, campaign.rows_of(name)[0])
    return {"files": files, "sizes": sizes, "photographs": photographs, "unreadable": unreadable}


def _instructions(campaign: Campaign, form: Form, count: int) -> str:
    known = campaign.plan.dataset
    task = form.task.format(
        score=known["score_name"] or "score",
        direction="higher is better" if known["higher_is_better"] else "lower is better",
        span="" if campaign.asks_pairs else _span(_known_range(campaign)),
    )
    text = _INSTRUCTIONS.format(
        count=count,
        question=form.question,
        sides=" (PAIR-a.png and PAIR-b.png)" if campaign.asks_pairs else "",
        task=task,
        together=form.together,
    )
    return "\n\n".join(textwrap.fill(part, 80) for part in text.split("\n\n")) + "\n"


def _single_answers(
    campaign: Campaign,
    lines: Iterable[tuple[str, Line]],
    lists: Sequence[Mapping[str, Any]],
    refused: Refused,
    unusual: Refused,
) -> list[tuple[Answer, Line]]:
    """Return each answer that lines with their questions give, with its (first) line."""
    if not campaign.asks_points:
        return [
            (Answer(name, line.annotator, line.value[0], line.digest, line.file), line)
            for name, line in lines
            if line.value is not None
        ]
    shown, whole = (
        {name: size for each in lists for name, size in each[what].items()}
        for what in ("sizes", "photographs")
    )
    return [
        (_in_photograph(campaign, answer, shown, whole), line)
        for answer, line in gathered(lines, shown, refused, unusual)
    ]


def _asked_about(
    lines: Iterable[Line], known: Mapping[str, str], form: Form, refused: Refused
) -> Iterator[tuple[str, Line]]:
    """Yield lines with the question that they answer."""
    for line in lines:
        given = str(line.row[form.question])
        name = known.get(given.strip())
        if name is None and line.value is None:
            # What is wrong with it has been said.
            continue
        if name is None:
            refused.append((line.where, f"{form.question} {quoted(given)} was not asked about"))
        elif not _names(line.row.get("name"), name):
            refused.append((line.where, f"{given} is {name!r}, not {quoted(line.row['name'])}"))
        else:
            yield name, line


def _request(campaign: Campaign, number: int) -> Folder:
    return campaign.cycle(number) / REQUEST


def _known_range(campaign: Campaign) -> tuple[float, float] | None:
    """Least and greatest score that the data have themselves, if they have different ones."""
    scores = campaign.dataset.images["score"].drop_null().to_pylist()
    return (min(scores), max(scores)) if len(set(scores)) > 1 else None


def _span(known: tuple[float, float] | None) -> str:
    return f"; known ones are from {known[0]:.4g} to {known[1]:.4g}" if known else ""


def _oddity(answer: Answer, known: tuple[float, float] | None) -> tuple[str, bool]:
    """What is odd about a score, or "", and whether it is too far off to count."""
    value = answer.value
    if known is None or known[0] <= value <= known[1]:
        return "", False
    if answer.points is not None:
        what = f"{value:g} heads are outside the known numbers, {known[0]:g} to {known[1]:g}"
        return f"{what}; they count", False
    low, high = known
    width = high - low
    off = value < low - width or value > high + width
    where = "far outside" if off else "outside"
    what = f"score {value:g} is {where} the known ones, {low:.4g} to {high:.4g}"
    return f"{what}: correct it" if off else f"{what}; it counts", off


def _names(cell: Any, name: str) -> bool:
    """Whether a form's cell, if it is filled, is this name."""
    return cell in (None, "") or str(cell).strip() in (name.strip(), defused(name).strip())


def _in_photograph(
    campaign: Campaign,
    answer: Answer,
    shown: Mapping[str, Sequence[int]],
    whole: Mapping[str, Sequence[int]],
) -> Answer:
    """Bring heads from the image that was shown to its photograph; those outside a region go."""
    name = answer.question
    (row,) = campaign.rows_of(name)
    entry = campaign.dataset.images.slice(row, 1).to_pylist()[0]
    points = points_in_photograph(entry, answer.points or (), shown[name], whole[name])
    return replace(answer, value=float(len(points)), points=points)


def _label(answers: Sequence[Answer]) -> Label:
    if answers[0].points is not None:
        return points_label(answers)
    values = [answer.value for answer in answers]
    spread = statistics.stdev(values) if len(values) > 1 else None
    return Label(statistics.fmean(values), spread, len(values))
