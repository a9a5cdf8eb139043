"""The page on what the examples of other frameworks reach, of made-up runs, and one real run."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

pytest.importorskip("typer")

from studies.frameworks.__main__ import main, page_of
from studies.frameworks.play import Reached, play, reached

RUN = Reached("rllib", 0, ("--steps", "64"), 0.5, 0.5, 0.29, 12.4, {"ray": "2.60.0"})


def test_the_page_has_a_row_for_each_example_and_seed(tmp_path: Path) -> None:
    runs = [RUN, replace(RUN, seed=1, accuracy=0.45, gain=0.24), replace(RUN, example="sb3")]
    for run in runs:
        (tmp_path / f"{run.example}-{run.seed}.json").write_text(json.dumps(asdict(run)), encoding="utf-8")
    main(runs=tmp_path, out=tmp_path / "out")
    page = (tmp_path / "out" / "framework_examples.md").read_text(encoding="utf-8")
    assert "| rllib | ray 2.60.0 | --steps 64 | 0, 1 | 0.265 [-0.053, 0.583] | 12 |" in page
    assert "| sb3 | ray 2.60.0 | --steps 64 | 0 | 0.290 | 12 |" in page
    assert "| rllib | 1 | 0.450 [0.401, 0.500] | 0.500 | 0.240 | 12 |" in page
    assert "400 test problems" in page
    assert "always-smallest: accuracy 0.19" in page


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"arguments": ("--steps", "65"), "seed": 1}, "seeds 0 and 1 differ in arguments or versions"),
        ({"versions": {"ray": "2.61.0"}, "seed": 1}, "seeds 0 and 1 differ in arguments or versions"),
        ({}, "a seed twice"),
        ({"gain": 0.3, "seed": 1}, "return 0.3; allowed: accuracy - 0.42"),
    ],
)
def test_runs_that_do_not_belong_together_are_refused(other: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        page_of([RUN, replace(RUN, **other)])


def test_no_runs_and_no_figures_are_errors() -> None:
    with pytest.raises(ValueError, match="runs: none"):
        page_of([])
    with pytest.raises(ValueError, match="last line 'done'; allowed"):
        reached("a: accuracy 0.1 cost 0.2 return 0.016\ndone\n")
    with pytest.raises(ValueError, match="example='tensorforce' is not known; allowed: 'sb3'"):
        play("tensorforce", 0)


def test_a_real_run_tells_its_figures_and_its_versions(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    monkeypatch.chdir(repository)
    monkeypatch.setenv("PYTHONPATH", str(repository))
    run = play("cleanrl", 3, "--steps", "1024")
    assert run.seed == 3
    assert run.gain == pytest.approx(run.accuracy - 0.42 * run.cost, abs=2e-3)
    assert run.seconds > 0.5
    assert run.versions.keys() == {"torch"}
