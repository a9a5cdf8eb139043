"""Hyperparameters by cross-validation inside the train split: ``python -m studies.agents.search``.

The settings shipped in ``agents/hyperparameters`` are held against others in this table. No other split is looked at.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any

import numpy as np
import torch
import typer

from gym_stepwise_routing.agents.agent import AGENTS
from gym_stepwise_routing.agents.scores import scored
from gym_stepwise_routing.agents.training import Hyperparameters, hyperparameters, train
from gym_stepwise_routing.banks.bank import Bank
from gym_stepwise_routing.costs.units import CostUnit
from gym_stepwise_routing.errors import check_choice
from gym_stepwise_routing.evaluation.outcomes import AnchorOutcomes, SweepOutcomes
from gym_stepwise_routing.game.config import GameConfig
from gym_stepwise_routing.game.game import Game
from gym_stepwise_routing.reporting import Page, Table, write_page
from gym_stepwise_routing.types import Mode
from studies.agents.folds import cross_validation
from studies.agents.sweeps import LIMIT, MODES, anchors_of, anchors_together, apgr, swept, together
from studies.options import (
    AGENT_PAGES,
    DEFAULT,
    BankOption,
    OutOption,
    UnitOption,
    checked_unit,
    command_of,
    described,
    page_name,
)

__all__ = ["candidates", "main"]

COMMAND = "python -m studies.agents.search"
_AT_ONCE = {"limit_anneal": 0.0, "barrier_coef": 0.0, "learning_rate": 0.003, "multiplier_init": 1.0}
LAGRANGIAN: dict[str, dict[str, Any]] = {
    "limit at once and no barrier": _AT_ONCE,
    "limit at once and no barrier and entropy 0.01": _AT_ONCE | {"ent_coef": 0.01},
    "barrier 0.01": {"barrier_coef": 0.01},
    "barrier 0.05": {"barrier_coef": 0.05},
    "entropy 0.01": {"ent_coef": 0.01},
    "lambda 0.95": {"gae_lambda": 0.95, "cost_gae_lambda": 0.95},
}
"""Arguments of the agents with a multiplier that replace the shipped ones. Names have no commas, for ``--only``."""


def candidates(agent: str) -> dict[str, Hyperparameters]:
    """The shipped settings, and others in steps, width, weight decay, and what the agent has of its own.

    ``exact`` chooses its steps by itself. CCPO's decay is that of its critics: its policy moves by trust regions.
    """
    shipped = hyperparameters(agent)
    own = shipped.algorithm
    found = {"shipped": shipped}

    def changed(name: str, **arguments: Any) -> None:
        policy = own.get("policy_kwargs", {}) | arguments.pop("policy_kwargs", {})
        found[name] = replace(shipped, algorithm=own | arguments | ({"policy_kwargs": policy} if policy else {}))

    if agent == "exact":
        for width, rate in ((16, 0.02), (64, 0.01)):
            changed(f"{width} units", candidates=[[width, 0.3, rate]])
        for decay in (0.001, 0.1, 1.0):
            changed(f"linear and decay {decay:g}", candidates=[[0, decay, 4.0]])
        return found
    for times, name in ((0.5, "half the steps"), (2, "twice the steps")):
        found[name] = replace(shipped, total_timesteps=int(shipped.total_timesteps * times))
    for width in (8, 16, 32, 64):
        if [width] != own["policy_kwargs"]["net_arch"]:
            changed(f"{width} units", policy_kwargs={"net_arch": [width]})
    for decay in (1e-4, 1e-3):
        changed(f"decay {decay:g}", policy_kwargs={"optimizer_kwargs": {"weight_decay": decay}})
    if "barrier_coef" in own:
        for name, arguments in LAGRANGIAN.items():
            changed(name, **arguments)
    return found


def validate(
    agent: str, bank: Bank, mode: Mode, unit: CostUnit, settings: Hyperparameters, folds: int
) -> tuple[float, float]:
    """APGR on the held-out folds, pooled, and on the folds that were trained on, averaged."""
    sweeps: list[SweepOutcomes] = []
    anchors: list[AnchorOutcomes] = []
    seen: list[float] = []
    for seed, part in enumerate(cross_validation(bank, folds)):
        game = GameConfig(part, mode=mode, cost_unit=unit)
        limits: dict[str, Any] = {"limit": LIMIT} if AGENTS.get(agent).constrained else {}
        network = scored(train(agent, seed=seed, game=game, settings=settings, **limits), name=agent)
        fitted = Game(game)
        held_out = Game(game, split="calibration", normaliser=fitted.normaliser)
        sweeps.append(swept(agent, network, held_out))
        anchors.append(anchors_of(held_out))
        seen.append(apgr(swept(agent, network, fitted), anchors_of(fitted)))
    return apgr(together(sweeps), anchors_together(anchors)), float(np.mean(seen))


def main(
    agent: Annotated[str, typer.Option(help="Which agent.")] = "lagrangian_ppo",
    bank: BankOption = DEFAULT,
    out: OutOption = AGENT_PAGES,
    folds: Annotated[int, typer.Option(min=2, help="Number of folds.")] = 5,
    only: Annotated[str, typer.Option(help="Candidates by name, with commas; all if empty.")] = "",
    cost_unit: UnitOption = "flops",
) -> None:
    """Cross-validate each candidate in each mode."""
    check_choice("agent", agent, AGENTS)
    unit = checked_unit(cost_unit)
    torch.set_num_threads(1)
    out.mkdir(parents=True, exist_ok=True)
    opened = Bank.open(bank)
    tried = candidates(agent)
    for name in filter(None, only.split(",")):
        check_choice("only", name, tried)
    found = {
        name: {mode: validate(agent, opened, mode, unit, settings, folds) for mode in MODES}
        for name, settings in tried.items()
        if not only or name in only.split(",")
    }
    rows = tuple(
        (name, *(f"{held:.3f} ({seen:.3f})" for held, seen in by_mode.values()), f"{_mean(by_mode):.3f}")
        for name, by_mode in found.items()
    )
    page = Page(
        title=f"Hyperparameters of {agent}",
        command=command_of(
            f"{COMMAND} --agent {agent}",
            main,
            bank=bank,
            folds=folds,
            only=f'"{only}"' if only else "",
            cost_unit=cost_unit,
        ),
        setting=(
            described(opened, unit),
            f"Train problems only; {folds} folds, one seed each.",
            "APGR on the held-out folds, and in brackets on the folds that were trained on.",
        ),
        tables=(Table("Candidates", ("candidate", *MODES, "mean, held out"), rows),),
        numbers=found,
    )
    write_page(page, out, page_name(f"search-{agent}", opened.name, "" if unit == "flops" else unit))


def _mean(by_mode: Mapping[Mode, tuple[float, float]]) -> float:
    return float(np.mean([held for held, _ in by_mode.values()]))


if __name__ == "__main__":
    typer.run(main)
