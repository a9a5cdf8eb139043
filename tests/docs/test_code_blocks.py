"""The Python on the pages runs as it stands, a page's blocks one after the other."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from gym_stepwise_routing.costs.units import COST_UNITS

DOCS = Path(__file__).resolve().parents[2] / "docs"
NOT_RUN = {
    "banks.md": "names a repository of the hub",
    "recording.md": "needs models that are loaded",
    "serving.md": "asks a server: the tutorial does",
    "rl_libraries.md": "needs Minari and RLlib: tests/envs/test_rl_libraries.py",
    "leaderboard.md": "writes a track into the package: howto/make_your_own.md measures the same one",
}
"""Pages with Python that is not run here, and why."""


def blocks(page):
    return re.findall(r"(?ms)^```python\n(.*?)^```", page.read_text(encoding="utf-8"))


def with_python():
    built = {"_build", "generated", "gallery"}
    pages = [page for page in sorted(DOCS.rglob("*.md")) if not built & set(page.relative_to(DOCS).parts)]
    return {page.relative_to(DOCS).as_posix(): page for page in pages if blocks(page)}


def short_runs():
    """The two runs that docs/agents.md trains on the command line, with few steps."""
    pytest.importorskip("stable_baselines3")
    from gym_stepwise_routing import GameConfig
    from gym_stepwise_routing.agents.run_training import train_run
    from gym_stepwise_routing.agents.training import hyperparameters

    asked = (
        ("lagrangian_ppo", "runs/lagrangian", {"mode": "route"}, {"limit": 0.5}),
        ("all_budgets", "runs/all", {"mode": "escalate"}, {}),
    )
    for agent, folder, game, constraint in asked:
        settings = replace(hyperparameters(agent), total_timesteps=8192)
        config = GameConfig("gsm8k-qwen2.5-coder", **game)
        train_run(agent, Path(folder) / f"{agent}-seed0", seed=0, game=config, settings=settings, **constraint)


BEFORE = {"agents.md": short_runs}
"""What a page's commands have done before its Python runs."""
NEEDS = {"howto/make_your_own.md": "stable_baselines3", "agents.md": "stable_baselines3"}


@pytest.fixture
def units(monkeypatch):
    """The cost units, put back as they were."""
    list(COST_UNITS)
    monkeypatch.setattr(COST_UNITS, "_objects", dict(COST_UNITS._objects))


@pytest.mark.parametrize("name", sorted(set(with_python()) - set(NOT_RUN)))
def test_the_python_of_a_page_runs(name, units, tmp_path, monkeypatch):
    if name in NEEDS:
        pytest.importorskip(NEEDS[name])
    monkeypatch.chdir(tmp_path)
    BEFORE.get(name, lambda: None)()
    names = {}
    for number, block in enumerate(blocks(with_python()[name]), start=1):
        exec(compile(block, f"{name}, block {number}", "exec"), names)


def test_start_ends_in_a_router_above_mixing(capsys):
    names = {}
    for block in blocks(DOCS / "start.md"):
        exec(compile(block, "start.md", "exec"), names)
    printed = capsys.readouterr().out
    assert "Qwen2.5-Coder-0.5B-Instruct" in printed, "the printed trace shows both models"
    assert names["ours"].accuracy > names["mixed"] + 0.02


def test_what_is_not_run_has_python():
    assert set(NOT_RUN) <= set(with_python())
