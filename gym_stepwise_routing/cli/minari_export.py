"""``stepwise-routing bank export --minari``: data sets of several policies in several modes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from gym_stepwise_routing.calibration.router_files import load_router, play_arguments
from gym_stepwise_routing.game.config import GameConfig
from gym_stepwise_routing.sources import resolve

__all__ = ["write_datasets"]


def write_datasets(
    bank: str,
    folder: Path | None,
    policies: Sequence[str] | None,
    modes: Sequence[str] | None,
    *,
    cost_unit: str,
    passes: int,
    hindsight: bool,
) -> None:
    """Write the data sets, and say what each holds.

    Args:
        bank: name or folder of a bank.
        folder: where Minari keeps data sets; None: as its ``MINARI_DATASETS_PATH`` says.
        policies: names of ``POLICIES``, or folders of routers; None: all of ``POLICIES``.
        modes: modes; None: all that the bank has. A trained router is played in its own alone.
        cost_unit: unit of the costs.
        passes: how often the random policy plays each problem.
        hindsight: show each episode the budget that it turned out to need.

    Raises:
        ValueError: as :func:`...minari_datasets.export_minari`.
        ImportError: Minari is not installed.
    """
    if folder is not None:
        os.environ["MINARI_DATASETS_PATH"] = str(folder)  # the one way in which Minari takes it
    from gym_stepwise_routing.comparison.minari_datasets import POLICIES, export_minari

    console = Console(soft_wrap=True, highlight=False)
    for policy in policies or POLICIES:
        router = policy if policy in POLICIES else load_router(policy)
        for mode in modes or resolve(bank).modes:
            game: dict[str, Any] = {"mode": mode, "cost_unit": cost_unit}
            if not isinstance(router, str):
                own = play_arguments(router, mode=None, cost_unit=None)
                if own["mode"] != mode:
                    continue
                game = own
            made = export_minari(
                GameConfig(bank, **game), router, hindsight=hindsight, passes=passes if policy == "random" else 1
            )
            console.print(f"{escape(made.spec.dataset_id)}: {made.total_episodes} episodes, {made.total_steps} steps")
