"""What a certificate lets a router save: ``python -m studies.agents.certified``.

A share of always-largest's accuracy is promised with a probability, by the calibration problems that always-largest
solves. Fixed-sequence testing stops at the first threshold that loses too many of them. Beside what is certified stands
what the same curve would allow were there more such problems, and what hindsight would choose.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import torch
import typer
from numpy.typing import NDArray

from gym_stepwise_routing.banks.bank import Bank
from gym_stepwise_routing.costs.units import CostUnit
from gym_stepwise_routing.errors import check_choice
from gym_stepwise_routing.evaluation.evaluate import sweep, threshold_grid
from gym_stepwise_routing.evaluation.outcomes import AnchorOutcomes
from gym_stepwise_routing.evaluation.p_values import p_value
from gym_stepwise_routing.reporting import Page, Table, write_page
from gym_stepwise_routing.types import Mode
from studies.agents.exact import THRESHOLDS
from studies.agents.sweeps import MODES, anchors_of, fit, games_of
from studies.options import (
    AGENT_PAGES,
    DEFAULT,
    BankOption,
    OutOption,
    SeedsOption,
    UnitOption,
    checked_unit,
    command_of,
    described,
    page_name,
)

__all__ = ["Saved", "allowed_errors", "certified", "main"]

COMMAND = "python -m studies.agents.certified"
AGENTS = ("exact", "lagrangian_ppo")
TIMES = (1, 2, 4, 16)
"""Times as many calibration problems as there are, with the same losses."""


@dataclass(frozen=True, slots=True)
class Saved:
    """What one training saves in one mode, as a share of always-largest's cost.

    ``by_items`` is the saving on test at the threshold that so many times as many calibration problems would certify
    (0 where none would); ``calibration`` that of the certified threshold on the calibration problems; ``accuracy`` its
    share of always-largest's accuracy on test; ``hindsight`` the largest saving on test of a threshold that keeps the
    share there.
    """

    mode: str
    agent: str
    seed: int
    by_items: tuple[float, ...]
    calibration: float
    accuracy: float
    hindsight: float


def allowed_errors(n: int, alpha: float, delta: float) -> int:
    """Most errors among ``n`` items with which an error rate of at most ``alpha`` is certified; -1 if none will do."""
    fine = [k for k in range(n + 1) if p_value(k, n, alpha, method="exact") <= delta]
    return max(fine, default=-1)


def certified(lost: NDArray[np.int64], n: int, times: int, alpha: float, delta: float) -> int:
    """Position of the last threshold that is certified, from the safest on; -1 for none.

    Args:
        lost: ``int64[T]`` items that are lost at each threshold, safest first.
        n: items.
        times: how often each item is counted.
        alpha: highest share that may be lost.
        delta: highest probability that the promise is wrong.
    """
    too_many = np.flatnonzero(lost * times > allowed_errors(n * times, alpha, delta))
    return int(too_many[0]) - 1 if len(too_many) else len(lost) - 1


def saved(bank: Bank, mode: Mode, unit: CostUnit, agent: str, seed: int, share: float, delta: float) -> Saved:
    """Train once and certify."""
    games = games_of(bank, mode, unit)
    network = fit(agent, bank, mode, unit, seed)
    grid = threshold_grid(network, games["train"], THRESHOLDS)
    found = {split: sweep(network, games[split], grid) for split in ("calibration", "test")}
    ends: dict[str, AnchorOutcomes] = {split: anchors_of(games[split]) for split in found}
    right = found["calibration"].right[:, np.asarray(ends["calibration"].right_large, dtype=bool)]
    lost, n = (~right).sum(axis=1), right.shape[1]

    def saving(split: str, position: int) -> float:
        return float(1 - found[split].cost[position].mean() / ends[split].cost_large.mean()) if position >= 0 else 0.0

    chosen = [certified(lost, n, times, 1 - share, delta) for times in TIMES]
    accuracy = found["test"].right.mean(axis=1) / ends["test"].right_large.mean()
    keeps = np.flatnonzero(accuracy >= share)
    return Saved(
        mode,
        agent,
        seed,
        tuple(saving("test", position) for position in chosen),
        saving("calibration", chosen[0]),
        float(accuracy[chosen[0]]) if chosen[0] >= 0 else 1.0,
        max(saving("test", int(position)) for position in keeps),
    )


def main(
    bank: BankOption = DEFAULT,
    out: OutOption = AGENT_PAGES,
    cost_unit: UnitOption = "large_tokens",
    seeds: SeedsOption = 5,
    share: Annotated[float, typer.Option(help="Share of always-largest's accuracy to keep.")] = 0.95,
    delta: Annotated[float, typer.Option(help="Tolerated probability that it is not kept.")] = 0.1,
    agents: Annotated[str, typer.Option(help="Agents, with commas.")] = ",".join(AGENTS),
) -> None:
    """Train, certify, and write what is saved."""
    unit = checked_unit(cost_unit)
    torch.set_num_threads(1)
    out.mkdir(parents=True, exist_ok=True)
    opened = Bank.open(bank)
    for agent in agents.split(","):
        check_choice("agents", agent, AGENTS)
    found = [
        saved(opened, mode, unit, agent, seed, share, delta)
        for mode in MODES
        for agent in agents.split(",")
        for seed in range(seeds)
    ]
    solved = int(np.sum(anchors_of(games_of(opened, "route", unit)["calibration"]).right_large))
    errors = [allowed_errors(times * solved, 1 - share, delta) for times in TIMES]
    name = page_name("certified", opened.name, "" if unit == "large_tokens" else unit)
    command = command_of(
        COMMAND, main, bank=bank, cost_unit=cost_unit, seeds=seeds, share=share, delta=delta, agents=agents
    )
    page = Page(
        title=f"Certified saving at {share:.0%} of always-largest's accuracy",
        command=command,
        setting=(
            described(opened, unit),
            f"Promised with probability {1 - delta:g}: at most {1 - share:.0%} of what always-largest solves is lost. "
            f"Of the calibration problems it solves {solved}; exact binomial test, fixed sequence from always-largest "
            "on, thresholds from train.",
            "; ".join(
                f"{times * solved:,} such problems allow {most} losses, {most / (times * solved):.1%}"
                for times, most in zip(TIMES, errors, strict=True)
            )
            + ".",
            f"Saving on test, mean over {seeds} training seeds (least to most). Hindsight: the best threshold on the "
            "test problems themselves.",
        ),
        tables=(Table("Saving", _header(solved), _rows(found)),),
        numbers=found,
        simulated=opened.manifest.simulated,
    )
    write_page(page, out, name)


def _header(solved: int) -> tuple[str, ...]:
    return ("mode", "agent", "on calibration", *(f"{times * solved:,} solved" for times in TIMES), "hindsight", "share")


def _rows(found: Sequence[Saved]) -> tuple[tuple[str, ...], ...]:
    rows = []
    for mode, agent in dict.fromkeys((one.mode, one.agent) for one in found):
        here = [one for one in found if (one.mode, one.agent) == (mode, agent)]
        columns = [[one.calibration for one in here], *zip(*(one.by_items for one in here), strict=True)]
        columns += [[one.hindsight for one in here], [one.accuracy for one in here]]
        rows.append((mode, agent, *(f"{np.mean(c):.1%} ({min(c):.1%} to {max(c):.1%})" for c in columns)))
    return tuple(rows)


if __name__ == "__main__":
    typer.run(main)
