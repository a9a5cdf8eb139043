"""The page on what the examples reach: ``python -m studies.frameworks --runs FOLDER``."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from scipy.stats import t

from gym_stepwise_routing.baselines.constant import AlwaysLargest, AlwaysSmallest
from gym_stepwise_routing.evaluation.evaluate import evaluate
from gym_stepwise_routing.game.config import DEFAULT_BANK
from gym_stepwise_routing.reporting import Page, Table, write_page
from studies.frameworks.play import EXAMPLES, Reached, read_run
from studies.options import OutOption
from studies.shares import Share

__all__ = ["main", "page_of"]

COMMAND = "python -m studies.frameworks --runs FOLDER"
PENALTY = 0.42
"""What a cost of 1 takes off the reward, in every example."""
ROUNDING = 0.0016
"""Largest error of a return made of figures with three decimals."""
NOTES = (
    "CPU seconds are those of the whole process, beside other work: imports, training and evaluation. Optuna's are its "
    "whole search; d3rlpy's first seed also records the data set that all its seeds learn from.",
    "The interval of an accuracy is exact (Clopper and Pearson, 95 %) and counts problems; that of a mean return is "
    "Student's t over seeds.",
)


def page_of(runs: Sequence[Reached]) -> Page:
    """The page.

    Args:
        runs: at least one; those of an example have the same arguments and versions.

    Raises:
        ValueError: no runs, runs of an example that differ in more than their seed, a seed twice, or a return that is
            not the accuracy minus ``PENALTY`` times the cost.
    """
    if not runs:
        raise ValueError("runs: none; allowed: what python -m studies.frameworks.play wrote, at least one")
    groups = {name: [run for run in runs if run.example == name] for name in EXAMPLES}
    groups = {name: sorted(group, key=lambda run: run.seed) for name, group in groups.items() if group}
    for group in groups.values():
        _check(group)
    constants = [_constant(router) for router in (AlwaysSmallest(), AlwaysLargest())]
    n = constants[0][1]
    return Page(
        title="The examples of other frameworks",
        command=COMMAND,
        setting=(
            f"Examples: `examples/with_NAME.py`, each by `python -m studies.frameworks.play NAME` in an environment "
            f"of its own; {len(runs)} runs.",
            f"Game: {n} test problems of {DEFAULT_BANK}, mode regenerate, large_tokens, "
            f"reward `right - {PENALTY} * cost`.",
            *(line for line, _ in constants),
        ),
        notes=NOTES,
        tables=(
            Table("Each example", _COLUMNS, [_summary(name, group) for name, group in groups.items()]),
            Table(
                "Each seed",
                ("example", "seed", "accuracy [95 %]", "cost", "return", "CPU s"),
                [_seed(run, n) for group in groups.values() for run in group],
            ),
        ),
        numbers=[run for group in groups.values() for run in group],
    )


_COLUMNS = ("example", "versions", "arguments", "seeds", "mean return [95 %]", "CPU s, mean")


def _check(group: Sequence[Reached]) -> None:
    first = group[0]
    for run in group:
        if (run.arguments, run.versions) != (first.arguments, first.versions):
            raise ValueError(f"{run.example}: seeds {first.seed} and {run.seed} differ in arguments or versions")
        if abs(run.accuracy - PENALTY * run.cost - run.gain) > ROUNDING:
            raise ValueError(f"{run.example}, seed {run.seed}: return {run.gain}; allowed: accuracy - {PENALTY} * cost")
    if len({run.seed for run in group}) < len(group):
        raise ValueError(f"{first.example}: a seed twice; allowed: each seed once")


def _constant(router: AlwaysSmallest | AlwaysLargest) -> tuple[str, int]:
    """A line on a constant router, and the number of problems."""
    played = evaluate(router, DEFAULT_BANK, "test", mode="regenerate", cost_unit="large_tokens")
    gain = played.accuracy - PENALTY * played.mean_cost
    told = f"{Share.of(played.right)}, cost {played.mean_cost:.3f}, return {gain:.3f}"
    return f"{router.name}: accuracy {told}.", len(played.right)


def _summary(name: str, group: Sequence[Reached]) -> tuple[str, ...]:
    versions = ", ".join(f"{package} {version}" for package, version in group[0].versions.items())
    seconds = float(np.mean([run.seconds for run in group]))
    seeds = ", ".join(str(run.seed) for run in group)
    return name, versions, " ".join(group[0].arguments), seeds, _mean(run.gain for run in group), f"{seconds:.0f}"


def _mean(values: Iterable[float]) -> str:
    """The mean, with Student's interval from two values on."""
    found = np.array(list(values))
    if len(found) < 2:
        return f"{found[0]:.3f}"
    half = float(t.ppf(0.975, len(found) - 1) * found.std(ddof=1) / np.sqrt(len(found)))
    return f"{found.mean():.3f} [{found.mean() - half:.3f}, {found.mean() + half:.3f}]"


def _seed(run: Reached, n: int) -> tuple[str, ...]:
    accuracy = Share.of(np.arange(n) < round(run.accuracy * n))
    return run.example, str(run.seed), str(accuracy), f"{run.cost:.3f}", f"{run.gain:.3f}", f"{run.seconds:.0f}"


def main(
    runs: Annotated[Path, typer.Option(help="Folder of python -m studies.frameworks.play.")] = Path("runs/frameworks"),
    out: OutOption = Path("docs/results"),
) -> None:
    """Write the page on what the examples of other frameworks reach."""
    write_page(page_of([read_run(path) for path in sorted(runs.glob("*.json"))]), out, "framework_examples")


if __name__ == "__main__":
    typer.run(main)
