"""The table of speeds, before and now: ``python benchmarks/side_by_side.py BEFORE``.

BEFORE is a checkout of the build to compare with, its top-level folders linked into the package (``agents``,
``baselines`` and ``leaderboard``, as ``setup.py`` puts them there). Every cell is measured by ``speed_cells.py`` in
processes of its own, the two builds in turns, so that other work on the machine slows both; what is shown is the better
of the rounds. Writes ``docs/results/speed.{md,json}``. Takes some minutes.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from speed_cells import CELLS
from synthetic_bank import full_tree, synthetic_bank

from gym_stepwise_routing.reporting import Page, Table, write_page

OUT = Path("docs/results")
HERE = Path(__file__).resolve().parents[1]
NODES, LETTERS = 1_000_000, 60
"""Nodes of the bank that is opened, and letters of each step."""


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table.

    Attributes:
        what: what is measured.
        cell: its name in ``speed_cells.py``.
        wanted: what is asked for, for people.
        met: whether a figure of before and one of now meet it.
        rounds: how often each build is measured.
        larger: whether more is better.
    """

    what: str
    cell: str
    wanted: str
    met: Callable[[float, float], bool]
    rounds: int = 2
    larger: bool = False


ROWS = (
    Row("vector environment / CartPole-v1's own, route", "vector-route", ">= 3", lambda _, now: now >= 3, 3, True),
    Row("the same, all blocks + hard budget", "vector-blocks", ">= 2", lambda _, now: now >= 2, 3, True),
    Row("the same, escalate", "vector-escalate", ">= 2", lambda _, now: now >= 2, 3, True),
    Row("simulator as vector environment, million steps/s", "simulator", ">= 5 x", lambda b, n: n >= 5 * b, 3, True),
    Row("its share of a training by rollouts, %", "simulator-share", "-", lambda *_: True),
    Row(
        "all_budgets on math-qwen2.5 (now taught by the planner), s a run",
        "all-budgets",
        "<= 1/8",
        lambda b, n: n <= b / 8,
    ),
    Row("exact learner (before: PPO) + calibration, s", "exact", "<= 2", lambda _, now: now <= 2),
    Row("SB3 PPO on RoutingVecEnv(256), thousand frames/s", "sb3", ">= 2 x", lambda b, n: n >= 2 * b, 3, True),
    Row("bank of a million nodes: open, s", "open-seconds", "0.2", lambda _, now: now <= 0.2, 3),
    Row("the same, peak memory, MB", "open-megabytes", "200", lambda _, now: now <= 200, 1),
    Row("compare on the default bank, s", "compare", "<= 1/2", lambda b, n: n <= b / 2, 1),
)


@dataclass(frozen=True, slots=True)
class Found:
    """A line's figures, and whether they are what was wanted."""

    what: str
    before: float
    now: float
    wanted: str
    met: bool
    command: str


def _measured(cell: str, checkout: Path, bank: Path) -> float:
    command = [sys.executable, str(HERE / "benchmarks" / "speed_cells.py"), cell]
    command += [str(bank)] if cell.startswith("open") else []
    environment = os.environ | {"PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=checkout, capture_output=True, text=True, env=environment)
    if done.returncode:
        raise RuntimeError(f"{cell} in {checkout}: {done.stderr}")
    return float(done.stdout.split()[-1])


def _compared(row: Row, before: Path, bank: Path) -> Found:
    rounds = [[_measured(row.cell, checkout, bank) for checkout in (before, HERE)] for _ in range(row.rounds)]
    old, new = (max(figures) if row.larger else min(figures) for figures in zip(*rounds, strict=True))
    return Found(row.what, old, new, row.wanted, row.met(old, new), f"python benchmarks/speed_cells.py {row.cell}")


def _commit(checkout: Path) -> str:
    command = ["git", "-C", str(checkout), "rev-parse", "--short", "HEAD"]
    return subprocess.run(command, capture_output=True, text=True).stdout.strip() or "unknown"


def _page(found: list[Found], commits: tuple[str, str]) -> Page:
    rows = [
        (
            one.what,
            f"{one.before:.3g}",
            f"{one.now:.3g}",
            f"{one.now / one.before:.2f}",
            one.wanted + ("" if one.met else ": missed"),
            f"`{one.command}`",
        )
        for one in found
    ]
    return Page(
        title="Speed, before and now",
        command="python benchmarks/side_by_side.py BEFORE",
        setting=(
            f"Before: commit {commits[0]}; now: commit {commits[1]}. One thread, CPU time, the builds in turns, a "
            "process each time; the better of two or three rounds (compare and memory: of one).",
            "`all_budgets`: a whole run, SIMULATED preset; before, extrapolated from two rollouts with their updates; "
            "now the planner teaches it. Its quality is on the pages of agents against the known optimum.",
            "Vector environments: 2,000 steps of 1,024 episodes. The first 200 after something else has run, with cold "
            "caches, take a third longer.",
            f"The bank that is opened is synthetic: {NODES:,} nodes in full trees of five steps, with texts.",
        ),
        tables=(Table("Cells", ("what", "before", "now", "now / before", "wanted", "command"), rows),),
        numbers=[asdict(one) for one in found],
    )


def main() -> None:
    """Measure both builds and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("before", type=Path, help="checkout of the build to compare with")
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument(
        "--only", nargs="*", choices=list(CELLS), help="cells to measure, for a look; nothing is written"
    )
    arguments = parser.parse_args()
    before = arguments.before.resolve()
    if not (before / "gym_stepwise_routing" / "agents").exists():
        parser.error(
            f"before={str(before)!r}: no gym_stepwise_routing/agents in it; allowed: a checkout with its links"
        )
    found = []
    with tempfile.TemporaryDirectory() as folder:
        bank = Path(folder) / "bank"
        synthetic_bank(bank, NODES, full_tree(2, 5), letters=LETTERS)
        for row in ROWS:
            if arguments.only is None or row.cell in arguments.only:
                one = _compared(row, before, bank)
                found.append(one)
                verdict = "" if one.met else "  MISSED"
                sys.stdout.write(f"{one.what:50} {one.before:9.3g} {one.now:9.3g}  wanted {one.wanted}{verdict}\n")
                sys.stdout.flush()
    if arguments.only is None:
        write_page(_page(found, (_commit(before), _commit(HERE))), arguments.out, "speed")


if __name__ == "__main__":
    main()
