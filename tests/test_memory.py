"""Tests of rankloop.memory; that Ray's processes keep memory, too, is tested with Ray."""

import os
import platform
import subprocess
import sys

import pytest

from rankloop.memory import ENVIRONMENT

# In a process of its own: how memory is kept cannot be taken back.
SCRIPT = """
import resource, sys
from rankloop.memory import keep_freed_memory
if sys.argv[1] == "kept":
    keep_freed_memory()
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    b"x" * 100_000_000
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
faults()
print(faults())
"""


def _faults(way: str) -> int:
    # Tests that started Ray have left its processes' settings.
    plain = {name: value for name, value in os.environ.items() if name not in ENVIRONMENT}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, way], env=plain, capture_output=True, text=True, check=True
    )
    return int(done.stdout)


@pytest.mark.skipif(not platform.libc_ver()[0].startswith("glibc"), reason="another C library")
def test_freed_memory_is_used_again():
    assert _faults("kept") < 100
    assert _faults("as it is") > 1000
