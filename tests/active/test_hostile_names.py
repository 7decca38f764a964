"""Images whose names are paths, formulas or passwords, in a request and back."""

import csv
import io
from dataclasses import replace
from pathlib import Path

import pytest

from dropped_answers import SOURCE
from rankloop.errors import ConfigError

NAMES = [
    "../../../../escaped.png",
    "/tmp/escaped.png",
    "..\\escaped.png",
    "C:\\escaped.png",
    "a\nb.png",
    "=HYPERLINK(1)",
    "+1",
    "-1",
    "@SUM(1)",
    "\t=1",
    "\r=1",
    "\n=1",
    "＝1",
    "＋1",
    "－1",
    "＠1",
    "'=1",
    "x;=1+1.png",
    "x\t=1+1.png",
]


def _with(scored, **changes):
    """The data with some values of its first unlabelled images changed."""
    rows = scored.images.to_pylist()
    for name, values in changes.items():
        free = [row for row in rows if row["score"] is None and row["split"] == "train"]
        for row, value in zip(free, values, strict=False):
            row[name] = value
    return replace(scored, images=scored.images.from_pylist(rows, scored.images.schema))


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_names_write_no_files_and_no_formulas_and_come_back_the_same(
    make_campaign, scored, tmp_path, name
):
    campaign = make_campaign(dataset=_with(scored, image=[name]), labelling="folder")
    before = {path for path in tmp_path.rglob("*") if path.is_file()}
    SOURCE.ask(campaign, 0, [name])
    answers = Path(SOURCE.where(campaign, 0))
    request = answers.parent
    written = {path for path in tmp_path.rglob("*") if path.is_file()} - before
    assert all(path.resolve().is_relative_to(request) for path in written)
    assert len(list((request / "images").iterdir())) == 1
    form = (request / "form.csv").read_bytes().decode()
    header, row = csv.reader(io.StringIO(form, newline=""))
    assert not [cell for cell in row if cell.startswith(tuple("=+-@\t\r\n＝＋－＠"))]
    # Of a spreadsheet that takes semicolons, or tabs, for the ends of cells.
    for mark in ";\t":
        cells = [c for r in csv.reader(io.StringIO(form, newline=""), delimiter=mark) for c in r]
        assert not [cell for cell in cells if cell.startswith(tuple("=+-@＝＋－＠"))]
    row[header.index("score")] = "3"
    filled = io.StringIO(newline="")
    csv.writer(filled).writerows([header, row])
    (answers / "anna.csv").write_bytes(filled.getvalue().encode())
    found = SOURCE.answers(campaign, 0, [name])
    assert not found.refused
    assert found.labels[name].score == 3.0


def test_a_campaign_writes_down_no_password(make_campaign, scored, tmp_path):
    uri = "s3://key:SecretCanary@bucket/a.png"
    with pytest.raises(ConfigError, match="AWS_SECRET_ACCESS_KEY") as caught:
        make_campaign(dataset=_with(scored, uri=[uri]), labelling="folder")
    assert "Canary" not in str(caught.value)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert not [path for path in files if b"Canary" in path.read_bytes()]
