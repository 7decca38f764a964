"""The tables of docs/scaling.md are what jobs/estimate.py says."""

import re
import shlex
from pathlib import Path

import pytest
import tyro

from rankloop.tuning.estimate import SweepSize, estimate

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "scaling.md"


def rows() -> dict[str, tuple[str, list[str]]]:
    """Name of a row of the first table to options of the job and cells."""
    found = re.findall(r"^\| ([^|]+) \| `([^`]*)` \| (.+) \|$", DOCUMENT.read_text(), re.M)
    return {name: (options, cells.split(" | ")) for name, options, cells in found}


def parts() -> dict[str, list[str]]:
    """Name of a row of the second table to its cells."""
    second = DOCUMENT.read_text().partition("| ms per step |")[2].partition("\n\n")[0]
    return {
        cells[0]: cells[1:]
        for line in second.splitlines()[2:]
        for cells in [line.strip("| ").split(" | ")]
    }


@pytest.mark.parametrize("name", rows())
def test_a_row_is_what_the_job_says(name: str):
    options, cells = rows()[name]
    size = tyro.cli(SweepSize, args=shlex.split(options))
    found = estimate(size)
    assert cells == [
        f"{found.hours:.1f}",
        f"{found.dollars:,.0f}",
        f"{found.bytes_read / 1e12:.0f} TB",
        f"{found.reads / 1e6:.0f} M",
        f"{found.cores_wanted:.1f}",
        found.bottleneck,
    ]
    assert parts()[name] == [f"{1000 * seconds:,.0f}" for seconds in found.parts.values()]


def test_both_tables_have_the_same_rows():
    assert len(rows()) >= 8
    assert list(rows()) == list(parts())
