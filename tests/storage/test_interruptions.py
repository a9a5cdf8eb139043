"""A few kills, full disks and second processes of each command; ``make interruptions`` has many."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


@pytest.mark.parametrize("job", ["record", "bank", "submit", "build", "log"])
def test_whatever_ends_a_command_it_can_be_run_again(job, repository, tmp_path):
    counts = tmp_path / "counts.json"
    few = ["--only", job, "--kills", "4", "--places", "4", "--pairs", "1", "--out", str(counts)]
    words = [sys.executable, str(repository / "tests" / "tools" / "interruptions.py"), *few]
    done = subprocess.run(words, capture_output=True, text=True, timeout=1700, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(counts.read_text())[job]
    assert found["killed before a file operation"] == 4
    assert found["file cut off"] >= 3  # the last may be long enough
    assert found.get("killed at a random time", 0) + found.get("ended before the kill", 0) == 4
    disturbed = ("killed", "ended before", "disk full", "file cut off", "two at once")
    assert found["ended well when run again"] == sum(found[name] for name in found if name.startswith(disturbed))
