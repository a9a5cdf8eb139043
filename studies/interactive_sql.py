"""What a certificate lets a router save on interactive SQL: ``python -m studies.interactive_sql``.

Thresholds of the rule on answers and of the board's trained policies are certified on the calibration databases and
played on the test databases. Tasks of one database resemble each other, and a certificate takes tasks for independent.
How often its promise is broken is counted over divisions of all tasks, by database and by task.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import typer
from numpy.typing import NDArray

from gym_stepwise_routing.banks.bank import Bank
from gym_stepwise_routing.baselines.feedback_rule import FeedbackRule
from gym_stepwise_routing.calibration import RelativeAccuracy, calibrate
from gym_stepwise_routing.calibration.saving import Saving, measure_saving
from gym_stepwise_routing.evaluation.evaluate import sweep
from gym_stepwise_routing.game.game import Game
from gym_stepwise_routing.leaderboard.entry_files import read_entries, rows_path
from gym_stepwise_routing.leaderboard.loading import load_router
from gym_stepwise_routing.leaderboard.track import Track, View, game_of, open_track
from gym_stepwise_routing.reporting import Page, Table, interval_text, write_page
from gym_stepwise_routing.routers.base import ALWAYS_SMALLEST, Predicts
from gym_stepwise_routing.sources.subset import Part
from studies.agents.certified import certified
from studies.options import OutOption

__all__ = ["Broken", "Certified", "broken", "certify_rows", "main"]

COMMAND = "python -m studies.interactive_sql"
TRACKS = (
    "intercode-sql-gpt",
    "intercode-sql-gpt-calls",
    "intercode-sql-openai",
    "intercode-sql-openai-calls",
    "intercode-sql-seven-calls",
)
ROWS = ("feedback", "exact-feedback", "lagrangian-ppo-feedback")
"""Rows of the board that are certified: the rule, and policies of two agents."""
BANK = "intercode-sql-gpt"
"""The bank whose tasks are divided anew; the rule is fitted on nothing, so that all tasks may serve."""
THRESHOLDS = np.append(np.linspace(0, 1, 41), ALWAYS_SMALLEST)
_DIVISIONS: tuple[Literal["database", "task"], ...] = ("database", "task")


@dataclass(frozen=True, slots=True)
class Certified:
    """A certified router on the test databases.

    Attributes:
        track: name of the track.
        row: name of the board's row.
        seed: of its training; 0 of what is not trained.
        certified: whether any threshold but always-largest's is promised to keep the share.
        threshold: the threshold.
        items: calibration tasks that always-largest solves.
        saving: what it does on test, beside always-largest.
    """

    track: str
    row: str
    seed: int
    certified: bool
    threshold: float
    items: int
    saving: Saving


@dataclass(frozen=True, slots=True)
class Broken:
    """How often the promise of a certificate is broken.

    Attributes:
        bank: name of the bank.
        by: what is divided: databases or tasks.
        divisions: how many divisions.
        broken: share of them in which the rule loses more of always-largest's right answers than promised.
        saved: mean saving on the other half.
        items: mean number of tasks that count.
    """

    bank: str
    by: str
    divisions: int
    broken: float
    saved: float
    items: float


def certify_rows(track: Track, rows: tuple[str, ...], folder: Path, share: float, delta: float) -> list[Certified]:
    """Certify rows of the board on the calibration split of a track, and play them on its test split.

    Args:
        track: the track.
        rows: names of rows; those that have no entry there are left out.
        folder: the repository's ``leaderboard``.
        share: share of always-largest's right answers to keep.
        delta: tolerated probability that it is not kept.
    """
    entries = {entry.name: entry for entry in read_entries(rows_path(folder / "entries", track.name))}
    found = []
    for entry in (entries[name] for name in rows if name in entries):
        for number, run in enumerate(entry.runs):
            router = load_router(run.router, folder / "artefacts", trust=False)
            found.append(_certify(track, entry.name, number, router, entry.played.view, share, delta))
    return found


def _certify(track: Track, row: str, seed: int, router: Predicts, view: View, share: float, delta: float) -> Certified:
    game = game_of(track, view, split="calibration")
    made = calibrate(router, game, target=RelativeAccuracy(share), delta=delta)  # type: ignore[arg-type]
    certificate = made.certificate
    return Certified(
        track=track.name,
        row=row,
        seed=seed,
        certified=certificate.certified,
        threshold=certificate.threshold,
        items=certificate.n[0],
        saving=measure_saving(made, game_of(track, view)),
    )


def broken(name: str, by: Literal["database", "task"], divisions: int, share: float, delta: float) -> Broken:
    """Divide all tasks of a bank in halves, certify the rule on one half, and look at the other.

    Args:
        name: the bank.
        by: whole databases, or tasks.
        divisions: how many random divisions, >= 1; division number d has seed d.
        share: share of always-largest's right answers to keep.
        delta: tolerated probability that it is not kept.
    """
    bank = Bank.open(name)
    whole = Part(bank, {"test": np.arange(len(bank.problems))})
    game = Game(whole, split="test", mode="restart", cost_unit="dollars", observation=("progress", "feedback"))
    played = sweep(FeedbackRule(), game, THRESHOLDS)
    groups = np.array(bank.problems.official_split.to_pylist()) if by == "database" else np.arange(len(game.problems))
    found = np.array([_divided(played.right, played.cost, groups, seed, share, delta) for seed in range(divisions)])
    return Broken(name, by, divisions, *(float(column) for column in found.mean(axis=0)))


def _divided(
    right: NDArray[np.bool_], cost: NDArray[np.float64], groups: NDArray[Any], seed: int, share: float, delta: float
) -> tuple[float, float, float]:
    """Whether the promise is broken on the other half, the saving there, and the tasks that counted."""
    names = np.random.default_rng(seed).permutation(np.unique(groups))
    ours = np.isin(groups, names[: len(names) // 2])
    solved = right[0]  # the first threshold is always-largest's
    counts = ours & solved
    last = max(certified((~right[:, counts]).sum(axis=1), int(counts.sum()), 1, 1 - share, delta), 0)
    place = cost[: last + 1, ours].mean(axis=1).argmin()  # the cheapest that is certified
    others = ~ours & solved
    kept = right[place, others].mean()
    return float(kept < share), float(1 - cost[place, ~ours].mean() / cost[0, ~ours].mean()), float(counts.sum())


def page_of(rows: list[Certified], halves: list[Broken], share: float, delta: float) -> Page:
    """The page."""
    bank = Bank.open(BANK)
    tasks = [len(bank.split_problems(split)) for split in ("calibration", "test")]
    promise = f"with probability {1 - delta:g} at most {1 - share:.0%} of what always-largest solves is lost"
    return Page(
        title="Interactive SQL: what a certificate lets a router save",
        command=COMMAND,
        setting=(
            f"Promise: {promise}. Exact binomial test, fixed sequence from always-largest on.",
            f"Certified on the calibration databases ({tasks[0]} tasks), played on the test databases ({tasks[1]} "
            "tasks), which are in no other split. Intervals: 95 %, paired bootstrap over test tasks.",
            "Costs are those of the track: dollars, or turns of GPT-4 (calls). Prices and counted tokens are described "
            "with the banks.",
            "Trained policies are the board's, three trainings each.",
        ),
        tables=(
            Table(
                "Certified thresholds on the test databases",
                ("track", "router", "training", "items", "threshold", "accuracy minus always-largest's", "saved"),
                [_cells(row) for row in rows],
            ),
            Table(
                "All tasks divided anew: the rule certified on one half, played on the other",
                ("bank", "divided by", "divisions", "items", "promise broken", "tolerated", "saved"),
                [
                    (
                        half.bank,
                        half.by,
                        str(half.divisions),
                        f"{half.items:.0f}",
                        f"{half.broken:.1%}",
                        f"{delta:.0%}",
                        f"{half.saved:.1%}",
                    )
                    for half in halves
                ],
            ),
        ),
        notes=(
            "*Items* are the calibration tasks that always-largest solves: the others cannot be lost. Where no "
            "threshold is certified, the router is always-largest, and saves nothing.",
            "A division by task is what a certificate assumes: the tasks to come are like those that it was made on. A "
            "division by database is what a user meets whose next database is another one.",
        ),
        numbers={"rows": rows, "halves": halves},
    )


def _cells(row: Certified) -> tuple[str, ...]:
    return (
        row.track,
        row.row,
        str(row.seed),
        str(row.items),
        f"{row.threshold:.3g}" if row.certified else "none",
        interval_text(row.saving.accuracy_difference, signed=True),
        interval_text(row.saving.saving, signed=True),
    )


def main(
    out: OutOption = Path("docs/results"),
    board: Annotated[Path, typer.Option(help="Folder of the board: entries and artefacts.")] = Path("leaderboard"),
    share: Annotated[float, typer.Option(help="Share of always-largest's right answers to keep.")] = 0.95,
    delta: Annotated[float, typer.Option(help="Tolerated probability that it is not kept.")] = 0.1,
    divisions: Annotated[int, typer.Option(help="Random divisions of all tasks.")] = 1000,
) -> None:
    """Certify, play, divide anew, and write the page."""
    out.mkdir(parents=True, exist_ok=True)
    rows = [row for name in TRACKS for row in certify_rows(open_track(name), ROWS, board, share, delta)]
    halves = [broken(BANK, by, divisions, share, delta) for by in _DIVISIONS]
    write_page(page_of(rows, halves, share, delta), out, "interactive_sql")


if __name__ == "__main__":
    typer.run(main)
