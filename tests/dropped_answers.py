"""Answers as annotators drop them into a request's folder."""

import json
from pathlib import Path

from rankloop.active.answer_folder import AnswerFolder

SOURCE = AnswerFolder(settled_seconds=0.0)


def with_digests(folder: Path, text: str) -> str:
    """Put in the digests that names such as 000-0001.png have in their requests."""
    for request in folder.parents[2].glob("cycle-*/request/request.json"):
        for file in json.loads(request.read_text())["files"]:
            text = text.replace(f"{file[:8]}.png", file)
    return text


def drop(folder: Path, name: str, *lines: str) -> None:
    """Write a file of lines, with the digests of `with_digests`."""
    (folder / name).write_text(with_digests(folder, "\n".join(lines)))
