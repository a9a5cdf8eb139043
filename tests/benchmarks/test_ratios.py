"""Benchmarks say which target was missed, and end with status 1. What they measure is no matter of tests."""

from __future__ import annotations

import importlib.util
import sys

import pytest


@pytest.fixture
def ratios(repository):
    spec = importlib.util.spec_from_file_location("ratios", repository / "benchmarks" / "ratios.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["ratios"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    yield module
    del sys.modules["ratios"]


def cases(ratios, ratio, limit):
    return {"yardstick": ratios.Case(lambda: 1000), "ours": ratios.Case(lambda: int(1000 * ratio), "yardstick", limit)}


@pytest.mark.parametrize(
    ("ratio", "limit", "met", "said"),
    [
        (2.0, 1.0, True, ""),
        (0.6, 0.5, True, ""),
        (0.4, 0.5, False, "MISSED"),
        (0.6, None, True, "slower, no target"),
        (2.0, None, True, ""),
    ],
)
def test_targets_are_compared(ratios, monkeypatch, capsys, ratio, limit, met, said):
    ticks = iter(range(1000))
    monkeypatch.setattr(ratios.time, "process_time", lambda: next(ticks))  # every run takes one second
    assert ratios.compare("t", "steps", cases(ratios, ratio, limit), rounds=3) is met
    line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("ours"))
    assert line.endswith("yardstick" + (f"  {said}" if said else ""))


def test_a_missed_target_ends_the_script(ratios):
    ratios.finish(True)
    with pytest.raises(SystemExit, match="1"):
        ratios.finish(False)
