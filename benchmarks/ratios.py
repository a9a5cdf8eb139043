"""Rates of two or more things, measured in turns in one process, as a table of ratios.

Other work on the machine slows all of them alike when their runs alternate, so the ratios hold where single figures do
not. The clock is the process's CPU time: everything measured runs on one thread. What is shown is the median over the
rounds: of the rates, and of the ratios within each round.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

__all__ = ["Case", "compare", "finish", "verdict"]


@dataclass(frozen=True, slots=True)
class Case:
    """One thing to measure.

    Args:
        run: does the work and returns how many units (steps, frames) it did.
        against: name of the case that it is divided by, None for a yardstick.
        limit: least ratio that the project asks for, None if none is asked.
    """

    run: Callable[[], int]
    against: str | None = None
    limit: float | None = None


def compare(title: str, unit: str, cases: Mapping[str, Case], *, rounds: int) -> bool:
    """Measure the cases in turns and write one table.

    A ratio below what is asked is marked ``MISSED``; one below 1 of which nothing is asked, ``slower, no target``.

    Args:
        title: first line.
        unit: what ``run`` counts.
        cases: the cases by name; each is run once beforehand to warm up.
        rounds: how often each is measured.

    Returns:
        Whether every ratio that is asked for was met; a script exits with 1 if not (:func:`finish`).
    """
    met = True
    rates: dict[str, list[float]] = {name: [] for name in cases}
    for number in range(rounds + 1):
        for name, case in cases.items():
            start = time.process_time()
            units = case.run()
            if number:  # the first round warms up
                rates[name].append(units / (time.process_time() - start))
    width = max(map(len, cases))
    lines = [title, f"{'':{width}}  {unit + '/s':>12}  {'ratio':>7}  {'asked':>7}  against"]
    for name, case in cases.items():
        line = f"{name:{width}}  {statistics.median(rates[name]):12,.0f}"
        if case.against is not None:
            pairs = zip(rates[name], rates[case.against], strict=True)
            ratio = statistics.median(own / other for own, other in pairs)
            asked = "" if case.limit is None else f">= {case.limit:g}"
            line += f"  {ratio:7.2f}  {asked:>7}  {case.against}{verdict(ratio, case.limit)}"
            met = met and (case.limit is None or ratio >= case.limit)
        lines.append(line)
    lines.append(f"Medians of {rounds} alternating rounds in one process, CPU time.\n")
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()
    return met


def verdict(ratio: float, limit: float | None) -> str:
    """What is to be said of a ratio beside the figures."""
    if limit is not None:
        return "" if ratio >= limit else "  MISSED"
    return "  slower, no target" if ratio < 1 else ""


def finish(met: bool) -> None:
    """Exit with 1 if a target was missed, so that ``make bench`` stops there."""
    if not met:
        sys.stderr.write("a target was missed\n")
        sys.exit(1)
