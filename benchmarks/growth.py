"""How time and memory grow: ``python benchmarks/growth.py`` writes ``docs/results/growth.{md,json,png}``.

Four things grow, one at a time: nodes of a bank, episodes side by side, models, and steps of a trace. Each measurement
is a process of its own; the time is its CPU time on one thread, the memory the most that it held beyond what it had
before. Banks are synthetic (``synthetic_bank.py``); episodes also play a simulator.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from speed_cells import memory, seconds_of
from synthetic_bank import full_tree, ladder, synthetic_bank

from gym_stepwise_routing.banks.bank import Bank
from gym_stepwise_routing.envs import StepwiseRoutingVectorEnv
from gym_stepwise_routing.game.game import Game
from gym_stepwise_routing.reporting import Page, Table, write_page

COMMAND = "python benchmarks/growth.py"
OUT = Path("docs/results")
NODES = (10_000, 100_000, 1_000_000, 10_000_000)
EPISODES = (1, 4, 16, 64, 256, 1024, 4096, 16_384, 65_536)
MODELS = (2, 3, 4, 6, 8)
HORIZONS = (5, 10, 20, 50, 100)
ENOUGH = 100_000
"""Nodes of the banks on which models and steps grow."""
SECONDS = 1.0
"""Least CPU time of a measured loop."""
PLAIN, PRESET = "the bundled bank", "math-qwen2.5"
LABELS = {PRESET: f"{PRESET}, SIMULATED"}


@dataclass(frozen=True, slots=True)
class Measured:
    """One process.

    Attributes:
        axis: what grows.
        series: which line it belongs to.
        value: how far it has grown.
        seconds: CPU time of the unit: opening a bank, building the table, or a step of one episode.
        megabytes: most memory beyond that of a process that has imported the package.
    """

    axis: str
    series: str
    value: int
    seconds: float
    megabytes: float


def _stepping(env: StepwiseRoutingVectorEnv) -> float:
    """CPU seconds of one step of one episode, random actions."""
    models = len(env.routing_spec.models)
    actions = np.random.default_rng(0).integers(models, size=(16, env.num_envs))
    env.reset(seed=0)
    for action in actions:  # warm up
        env.step(action)
    steps, spent = 0, 0.0
    while spent < SECONDS:
        spent += seconds_of(lambda: [env.step(action) for action in actions])
        steps += len(actions)
    return spent / steps / env.num_envs


def _one(axis: str, series: str, value: int, bank: str) -> Measured:
    before = memory("VmRSS")
    if axis == "nodes":
        if series == "opened":
            seconds = seconds_of(lambda: Bank.open(bank))
        else:
            opened = Bank.open(bank)
            before = memory("VmRSS")
            game = Game(opened, cost_unit="flops", normaliser=1e12)
            seconds = seconds_of(lambda: game.table)
            assert game.table is not None
    elif axis == "episodes":
        source: dict[str, Any] = {"source": PRESET, "normaliser": 1e3} if series == PRESET else {}
        seconds = _stepping(StepwiseRoutingVectorEnv(value, **source))
    else:
        mode: Any = "escalate" if axis == "steps" else "route"
        env = StepwiseRoutingVectorEnv(1024, bank, mode=mode, cost_unit="flops", masked_action="project")
        assert env.game.table is not None
        seconds = _stepping(env)
    return Measured(axis, series, value, seconds, memory("VmHWM") - before)


def _asked(axis: str, series: str, value: int, bank: Path | None) -> Measured:
    command = [sys.executable, __file__, "--one", axis, series, str(value), str(bank or "")]
    done = subprocess.run(
        command, check=True, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"}
    )
    return Measured(**json.loads(done.stdout))


def _measure(most_nodes: int, tell: Callable[[str], object]) -> list[Measured]:
    found: list[Measured] = []

    def measure(axis: str, series: str, value: int, bank: Path | None = None) -> None:
        found.append(_asked(axis, series, value, bank))
        tell(f"{axis:9} {series:18} {value:>11,} {found[-1].seconds:12.3g} s {found[-1].megabytes:8.1f} MB\n")

    for episodes in EPISODES:
        for series in (PLAIN, PRESET):
            measure("episodes", series, episodes)
    with tempfile.TemporaryDirectory() as folder:
        for models in MODELS:
            bank = Path(folder) / f"models-{models}"
            synthetic_bank(bank, ENOUGH, full_tree(models, 3))
            measure("models", "traces of three steps", models, bank)
        for horizon in HORIZONS:
            bank = Path(folder) / f"steps-{horizon}"
            synthetic_bank(bank, ENOUGH, ladder(horizon), mode="escalate")
            measure("steps", "two models, escalate", horizon, bank)
        for nodes in (nodes for nodes in NODES if nodes <= most_nodes):
            bank = Path(folder) / f"nodes-{nodes}"
            synthetic_bank(bank, nodes, full_tree(2, 5))
            measure("nodes", "opened", nodes, bank)
            if nodes <= 1_000_000:  # beyond it a table is over its limit, and the rules play
                measure("nodes", "made a table", nodes, bank)
    return found


AXES = {
    "nodes": ("nodes of the bank", "CPU seconds", 1.0),
    "episodes": ("episodes side by side", "microseconds a step of an episode", 1e6),
    "models": ("models", "microseconds a step of an episode", 1e6),
    "steps": ("steps of the longest trace", "microseconds a step of an episode", 1e6),
}


def _draw(found: list[Measured], path: Path) -> None:
    from gym_stepwise_routing.reporting.figures import BLUE, ORANGE, new_figure, save_figure

    figure, panels = new_figure(2 * len(AXES), columns=len(AXES), title="How time and memory grow")
    for column, (axis, (label, unit, scale)) in enumerate(AXES.items()):
        time_panel, memory_panel = panels[column], panels[column + len(AXES)]
        series = list(dict.fromkeys(one.series for one in found if one.axis == axis))
        for colour, name in zip((BLUE, ORANGE), series, strict=False):
            line = [one for one in found if (one.axis, one.series) == (axis, name)]
            values = [one.value for one in line]
            time_panel.plot(
                values, [scale * one.seconds for one in line], "o-", color=colour, label=LABELS.get(name, name)
            )
            memory_panel.plot(values, [one.megabytes for one in line], "o-", color=colour, label=LABELS.get(name, name))
        time_panel.set_ylabel(unit)
        memory_panel.set_ylabel("MB")
        for panel in (time_panel, memory_panel):
            panel.set_xlabel(label)
            panel.legend()
            if axis in ("nodes", "episodes"):
                panel.set_xscale("log")
                panel.set_yscale("log")
            else:
                panel.set_ylim(0, 1.15 * panel.get_ylim()[1])
    save_figure(figure, path)


def _page(found: list[Measured], command: str) -> Page:
    tables = []
    for axis, (label, unit, scale) in AXES.items():
        rows = [
            (one.series, f"{one.value:,}", f"{scale * one.seconds:.3g}", f"{one.megabytes:.0f}")
            for one in found
            if one.axis == axis
        ]
        tables.append(Table(label.capitalize(), ("what", label, unit, "MB"), rows))
    return Page(
        title="How time and memory grow",
        command=command,
        setting=(
            "One process each, CPU time of one thread; memory is the most that was held beyond an import of the "
            "package. Random actions. SIMULATED where a preset is played.",
            f"Banks are synthetic: full binary trees of five steps (nodes), full trees of three steps (models), and "
            f"ladders of two models in escalate (steps); the last two have {ENOUGH:,} nodes or a little more.",
            "A step of 1,024 episodes includes observations, rewards, the problems of those that begin anew, and "
            "no info, since infos are made when they are read.",
        ),
        tables=tables,
        figure="growth.png",
        numbers=[asdict(one) for one in found],
    )


def main() -> None:
    """Measure, and write page, data and figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--most-nodes", type=int, default=NODES[-1], help="of the banks; 10 million take 6 GB to make")
    parser.add_argument("--one", nargs=4, metavar=("AXIS", "SERIES", "VALUE", "BANK"), help="one measurement, as JSON")
    arguments = parser.parse_args()
    if arguments.one:
        axis, series, value, bank = arguments.one
        sys.stdout.write(json.dumps(asdict(_one(axis, series, int(value), bank))))
        return
    found = _measure(arguments.most_nodes, sys.stdout.write)
    _draw(found, arguments.out / "growth.png")
    write_page(_page(found, COMMAND), arguments.out, "growth")


if __name__ == "__main__":
    main()
