"""Agents against the known optimum, SIMULATED: ``python -m gym_stepwise_routing.agents.studies.simulator``.

The planner knows the process; its frontier is the best that any router can do with the information that it is given.
Policies draw their actions and are played on fresh episodes.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer

from gym_stepwise_routing.agents.expectation import Drawn
from gym_stepwise_routing.agents.networks import PolicyNetwork
from gym_stepwise_routing.agents.scores import scored
from gym_stepwise_routing.agents.studies.tables import Page, Table, write_page
from gym_stepwise_routing.agents.training import train
from gym_stepwise_routing.evaluation.evaluate import play
from gym_stepwise_routing.game import Game
from gym_stepwise_routing.planning.planner import Planner

__all__ = ["main"]

COMMAND = "python -m gym_stepwise_routing.agents.studies.simulator"
BUDGETS = (0.1, 0.3, 0.5, 0.7, 0.9)
PLAYS = 4
"""Times that the test split is played: every time with other random steps and draws."""
UNIT, MODE = "large_tokens", "route"


@dataclass(frozen=True, slots=True)
class Run:
    """One policy at one budget; ``regret`` is the accuracy missing to the optimum at the policy's own mean cost."""

    agent: str
    seed: int
    budget: float
    accuracy: float
    cost: float
    regret: float
    violation: float
    seconds: float


def measure(network: PolicyNetwork, preset: str, budget: float | None) -> tuple[float, float]:
    """Accuracy and mean cost of a policy that draws its actions."""
    game = Game(preset, split="test", mode=MODE, cost_unit=UNIT, budget=budget)  # type: ignore[arg-type]
    played = [play(Drawn(network, seed), game, seed=seed) for seed in range(PLAYS)]
    return float(np.mean([e.accuracy for e in played])), float(np.mean([e.mean_cost for e in played]))


def main(
    preset: Annotated[str, typer.Option(help="Simulator preset.")] = "gsm8k-like",
    out: Annotated[Path, typer.Option(help="Folder to write.")] = Path("docs/results/agents"),
    seeds: Annotated[int, typer.Option(min=1, help="Training seeds.")] = 5,
    tolerance: Annotated[float, typer.Option(help="Distance of the planner's bounds.")] = 1e-3,
) -> None:
    """Train one policy for all budgets, and one a budget; compare them with the planner's optimum."""
    torch.set_num_threads(1)
    out.mkdir(parents=True, exist_ok=True)
    frontier = Planner(preset, mode=MODE, cost_unit=UNIT, information="confidence").frontier(tolerance)  # type: ignore[arg-type]
    game = {"source": preset, "mode": MODE, "cost_unit": UNIT}
    runs: list[Run] = []

    def record(agent: str, seed: int, budget: float, measured: tuple[float, float], seconds: float) -> None:
        accuracy, cost = measured
        # Sampling may put a cost a hair below the cheapest router's.
        cost = max(cost, float(frontier.played[:, 1].min()))
        regret = frontier.regret(accuracy, cost)[1]
        runs.append(Run(agent, seed, budget, accuracy, cost, regret, cost - budget, seconds))

    for seed in range(seeds):
        begin = time.perf_counter()
        one = scored(train("all_budgets", seed=seed, game=game))
        seconds = time.perf_counter() - begin
        for budget in BUDGETS:
            record("all_budgets", seed, budget, measure(one, preset, budget), seconds)
        for budget in BUDGETS:
            begin = time.perf_counter()
            network = scored(train("lagrangian_ppo", seed=seed, game=game, limit=budget))
            seconds = time.perf_counter() - begin
            record("lagrangian_ppo", seed, budget, measure(network, preset, None), seconds)
    optimum = {budget: float(frontier.upper(budget)) for budget in BUDGETS}
    write_page(_page(runs, optimum, preset, seeds), out, f"simulator-{preset}")


def _page(runs: Sequence[Run], optimum: dict[float, float], preset: str, seeds: int) -> Page:
    rows, findings = [], []
    for agent in dict.fromkeys(run.agent for run in runs):
        own = [run for run in runs if run.agent == agent]
        for budget in BUDGETS:
            here = [run for run in own if run.budget == budget]
            regret = np.array([run.regret for run in here])
            rows.append(
                (
                    agent,
                    f"{budget:g}",
                    f"{optimum[budget]:.3f}",
                    f"{np.mean([run.accuracy for run in here]):.3f}",
                    f"{np.mean([run.cost for run in here]):.3f}",
                    f"{regret.mean():.3f} ({regret.min():.3f} to {regret.max():.3f})",
                )
            )
        worst = max(BUDGETS, key=lambda b, own=own: float(np.mean([r.regret for r in own if r.budget == b])))  # type: ignore[misc]
        value = np.mean([run.regret for run in own if run.budget == worst])
        excess = np.mean([max(run.violation, 0.0) / run.budget for run in own])
        verdict = "within" if value <= 0.01 else "not within"
        findings.append(
            f"{agent}: greatest mean regret {value:.3f} (budget {worst:g}); {verdict} 1 point. "
            f"Costs exceed their limit by {excess:.1%} of it on average; "
            f"{np.mean([run.seconds for run in own]):.0f} s a run on this machine (shared with others)."
        )
    return Page(
        title="Distance to the known optimum (simulated)",
        command=COMMAND if preset == "gsm8k-like" else f"{COMMAND} --preset {preset}",
        setting=(
            f"SIMULATED: preset {preset}, mode {MODE}, cost: tokens of the larger model, 1 is always-largest; {seeds} "
            "seeds, shipped hyperparameters.",
            "Optimum: the planner's upper bound for routers that see step lengths and confidence, as the agents do. "
            "Regret: at the mean cost that the policy has, whatever its budget.",
        ),
        tables=(Table("Regret", ("agent", "budget", "optimum", "accuracy", "cost", "regret (range)"), tuple(rows)),),
        findings=tuple(findings),
        figure=None,
        numbers={"runs": [asdict(run) for run in runs], "optimum": {str(b): value for b, value in optimum.items()}},
    )


if __name__ == "__main__":
    typer.run(main)
