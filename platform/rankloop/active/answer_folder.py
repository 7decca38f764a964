"""A folder where a request is written, and people drop their answers as CSV or Parquet."""

import csv
import hashlib
import io
import statistics
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq

from rankloop.active.campaign import Campaign
from rankloop.active.forms import FORMS, Form
from rankloop.active.label_source import Answers
from rankloop.active.labels import Label
from rankloop.errors import ImageError
from rankloop.images import encode
from rankloop.storage import Folder, explained

REQUEST, ANSWERS, FORM, LIST = "request", "answers", "form.csv", "request.json"
# A file that was changed within so many seconds may not be whole yet.
SETTLED_SECONDS = 5.0
_INSTRUCTIONS = """Labels wanted: {count} {question}s, in images/.

Copy form.csv, {task}, and put the file into the folder answers/, as .csv or .parquet, under any
name. The column annotator may say who you are; without it the file's name does. Several people may
answer: {together}. Files may be added at any time; one that is added later counts in the next
round.
"""
_TOGETHER = {"score": "scores of an image are averaged", "better": "the majority decides"}


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
        """Write the images, the form and the instructions; the list of files last."""
        request, form = _request(campaign, number), FORMS[campaign.method.learns_from]
        if request.has(LIST) or not questions:
            return
        load = campaign.data({}).load
        files: dict[str, str] = {}
        unreadable = []
        for place, name in enumerate(questions, 1):
            # Of this question in this request alone: an answer to another is never taken for it.
            digest = hashlib.blake2b(f"{campaign.folder} {name}".encode(), digest_size=3)
            stem = f"{number:03d}-{place:04d}-{digest.hexdigest()}"
            try:
                shown = [encode(load(row)) for row in campaign.rows_of(name)]
            except ImageError as error:
                # Gone since the campaign began.
                unreadable.append([name, str(error)])
                continue
            for side, data in zip(form.sides, shown, strict=True):
                (request / "images").write_bytes(f"{stem}{side}.png", data)
            files[f"{stem}.png" if len(shown) == 1 else stem] = name
        (request / ANSWERS).write_bytes(".keep", b"")
        known = campaign.plan.dataset
        direction = "higher is better" if known["higher_is_better"] else "lower is better"
        task = form.task.format(
            score=known["score_name"] or "score",
            direction=direction,
            span=_span(campaign.dataset.images["score"].drop_null().to_pylist()),
        )
        text = _INSTRUCTIONS.format(
            count=len(files), question=form.question, task=task, together=_TOGETHER[form.answer]
        )
        request.write_bytes("instructions.txt", text.encode())
        buffer = io.StringIO(newline="")
        lines = [[file, "", "", _harmless(name)] for file, name in files.items()]
        csv.writer(buffer).writerows([[form.question, form.answer, "annotator", "name"], *lines])
        request.write_bytes(FORM, buffer.getvalue().encode())
        request.write_json(LIST, {"files": files, "unreadable": unreadable})

    def answers(self, campaign: Campaign, number: int, questions: Sequence[str]) -> Answers:
        """Read all answers to this request and those before it.

        Answers that earlier cycles took in stay, whatever has become of their files; a newer one of
        the same annotator takes the place of an older one.
        """
        lists = [
            _request(campaign, cycle).read_json(LIST)["files"]
            for cycle in range(number + 1)
            if _request(campaign, cycle).has(LIST)
        ]
        form = FORMS[campaign.method.learns_from]
        shown = {file: name for files in lists for file, name in files.items()}
        # What the form calls a question is never taken for the data set's own name.
        known = {name: name for name in shown.values()} | shown
        said = {(name, who): value for name, who, value in campaign.answers(number)}
        refused: list[tuple[str, str]] = []
        for cycle in range(number + 1):
            folder = _request(campaign, cycle) / ANSWERS
            for where, annotator, row, value in self._lines(folder, form, refused):
                given = str(row[form.question])
                name = known.get(given)
                if name is None:
                    refused.append((where, f"{form.question} {given!r} was not asked about"))
                elif row.get("name") not in (None, "", name, _harmless(name)):
                    refused.append((where, f"{given} is {name!r}, not {row['name']!r}"))
                else:
                    said[name, annotator] = value
        of_each: dict[str, list[float]] = defaultdict(list)
        for (name, _), value in sorted(said.items()):
            of_each[name].append(value)
        labels = {name: _label(values) for name, values in of_each.items()}
        spreads = [(name, label.spread) for name, label in labels.items() if label.spread]
        asked = [name for name in questions if name in known]
        return Answers(
            labels,
            asked=asked,
            missing=[name for name in asked if name not in labels],
            single=[(name, who, value) for (name, who), value in said.items()],
            refused=refused,
            disagreements=sorted(spreads, key=lambda entry: -entry[1]),
        )

    def _lines(
        self, folder: Folder, form: Form, refused: list[tuple[str, str]]
    ) -> Iterator[tuple[str, str, Mapping[str, Any], float]]:
        """Where, annotator, cells and value of every line; a file that is not whole gives none."""
        seen: set[bytes] = set()
        for info in self._files(folder, refused):
            name = info.base_name
            data = folder.read_bytes(name)
            if data in seen:
                # A copy, which another annotator's file is not.
                continue
            seen.add(data)
            try:
                rows = _read(data, name, form)
            # Of a damaged Parquet file also OSError.
            except (ValueError, OSError, pa.ArrowException) as error:
                refused.append((f"{folder}/{name}", f"it cannot be read ({error}): correct it"))
                continue
            for line, row in rows:
                where = f"{folder}/{name}, line {line}"
                if row[form.answer] in (None, ""):
                    continue
                try:
                    value = form.value(row[form.answer])
                except ValueError as error:
                    refused.append((where, str(error)))
                    continue
                annotator = str(row.get("annotator") or name.rpartition(".")[0])
                yield where, annotator, row, value

    def _files(self, folder: Folder, refused: list[tuple[str, str]]) -> list[pafs.FileInfo]:
        """Answers that nobody is writing any more, the oldest first."""
        with explained(f"list {folder}"):
            found = folder.filesystem.get_file_info(
                pafs.FileSelector(folder.path, allow_not_found=True)
            )
        files = [
            info
            for info in found
            if info.type == pafs.FileType.File and not info.base_name.startswith(".")
        ]
        kept = []
        for info in sorted(files, key=lambda info: (info.mtime_ns or 0, info.base_name)):
            if not info.base_name.lower().endswith((".csv", ".parquet")):
                refused.append((f"{folder}/{info.base_name}", "it is neither .csv nor .parquet"))
                continue
            age = datetime.now(UTC).timestamp() - (info.mtime_ns or 0) / 1e9
            if self.settled_seconds and age < self.settled_seconds:
                why = "it is being written, or its clock is ahead; it is read another time"
                refused.append((f"{folder}/{info.base_name}", why))
                continue
            kept.append(info)
        return kept


def _request(campaign: Campaign, number: int) -> Folder:
    return campaign.cycle(number) / REQUEST


def _span(scores: Sequence[float]) -> str:
    return f"; known ones are from {min(scores):g} to {max(scores):g}" if scores else ""


def _harmless(name: str) -> str:
    # Spreadsheets run what begins so.
    return f"'{name}" if name.startswith(("=", "+", "-", "@", "\t", "\r")) else name


def _read(data: bytes, name: str, form: Form) -> list[tuple[int, Mapping[str, Any]]]:
    """Return numbered rows of a file with the form's columns.

    Raises:
        ValueError: a column is missing (says the file's), or the file is cut off.
    """
    if name.lower().endswith(".parquet"):
        table = pq.read_table(io.BytesIO(data))
        _check_columns(table.column_names, form)
        return list(enumerate(table.to_pylist(), 1))
    text = data.decode("utf-8-sig")
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        lines = [(reader.line_num, [cell.strip() for cell in line]) for line in reader if line]
    except csv.Error as error:
        raise ValueError(f"line {reader.line_num}: {error}") from error
    if not lines:
        raise ValueError("it is empty")
    header = [cell.lower() for cell in lines[0][1]]
    _check_columns(header, form)
    for number, cells in lines[1:]:
        if len(cells) != len(header):
            raise ValueError(
                f"line {number} has {len(cells)} cells and the header {len(header)}; is it cut off?"
            )
    return [(number, dict(zip(header, cells, strict=True))) for number, cells in lines[1:]]


def _check_columns(found: Sequence[str], form: Form) -> None:
    for column in (form.question, form.answer):
        if column not in found:
            raise ValueError(f"it has no column {column!r}, only {', '.join(found)}")


def _label(values: Sequence[float]) -> Label:
    spread = statistics.stdev(values) if len(values) > 1 else None
    return Label(statistics.fmean(values), spread, len(values))
