"""Agents against the known optimum, SIMULATED: ``python -m studies.agents.simulator``.

The planner knows the process; its frontier is the best that any router can do with the information that it is given.
Policies draw their actions (but CCPO, which has a threshold) and are played on fresh episodes.
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import torch
import typer
from stable_baselines3.common.base_class import BaseAlgorithm

from gym_stepwise_routing.agents.agent import AGENTS as KINDS
from gym_stepwise_routing.agents.all_budgets import AllBudgetsPPO
from gym_stepwise_routing.agents.ccpo import CCPO
from gym_stepwise_routing.agents.ccpo.fit import fit_to_game
from gym_stepwise_routing.agents.limits import mean_played
from gym_stepwise_routing.agents.scores import scored
from gym_stepwise_routing.agents.training import Hyperparameters, hyperparameters, train
from gym_stepwise_routing.costs.units import CostUnit
from gym_stepwise_routing.errors import check_choice
from gym_stepwise_routing.game.config import GameConfig
from gym_stepwise_routing.game.game import Game
from gym_stepwise_routing.planning.optimal_frontier import Frontier
from gym_stepwise_routing.planning.planner import Planner
from gym_stepwise_routing.reporting import Page, Table, write_page
from gym_stepwise_routing.sources.simulator.simulator_source import SimulatorSource
from gym_stepwise_routing.types import Mode, Split
from studies.agents import kept_budgets
from studies.options import AGENT_PAGES, OutOption, command_of

__all__ = ["main"]

COMMAND = "python -m studies.agents.simulator"
BUDGETS = (0.1, 0.3, 0.5, 0.7, 0.9)
PROBLEMS = 10_000
"""Problems of a split."""
PLAYS = 4
"""Times that the test split is played: every time with other random steps and draws."""
KEPT_BY = {
    "lagrangian_ppo": "by a tilt.",
    "ccpo": "by the batch conformal fit of its threshold, which the policy then plays without drawing.",
    "all_budgets": "by choosing the budget to show.",
}
AGENTS = tuple(KEPT_BY)
TAUGHT = "The planner, which knows the process, teaches the policy; the policy sees what every router sees."
UNIT: CostUnit = "large_tokens"
MODE: Mode = "route"


@dataclass(frozen=True, slots=True)
class Run(kept_budgets.Run):
    """As there; ``violation`` is the mean cost beyond the budget."""

    violation: float


@dataclass(frozen=True, slots=True)
class Study:
    """All that a process needs to train and measure one seed."""

    agent: str
    preset: str
    settings: Hyperparameters
    frontier: Frontier
    budgets: tuple[float, ...]
    problems: int
    plays: int

    def runs(self, seed: int) -> list[Run]:
        """One seed at every budget."""
        torch.set_num_threads(1)
        practice = self._game("train")
        runs: list[Run] = []
        model: BaseAlgorithm | None = None
        for budget in self.budgets:
            seconds = 0.0
            if model is None or self.agent != "all_budgets":
                begin = time.perf_counter()
                model = self._trained(seed, budget)
                seconds = time.perf_counter() - begin
            accuracy, cost = self._kept_to(model, practice, budget)
            # Sampling may put a cost a hair below the cheapest router's.
            regret = self.frontier.regret(accuracy, max(cost, self.frontier.cheapest))[1]
            runs.append(Run(self.agent, seed, budget, accuracy, cost, regret, seconds, cost - budget))
        return runs

    def _trained(self, seed: int, budget: float) -> BaseAlgorithm:
        game = GameConfig(self._source(), mode=MODE, cost_unit=UNIT)
        limits: dict[str, Any] = {} if KINDS.get(self.agent).budgets else {"limit": budget, "constraint": "cost_limit"}
        return train(self.agent, seed=seed, game=game, settings=self.settings, **limits)

    def _kept_to(self, model: BaseAlgorithm, practice: Game, budget: float) -> tuple[float, float]:
        """Accuracy and cost on test of a model that was made to keep a budget on the train split, in its own way."""
        if isinstance(model, CCPO):
            fit_to_game(model, practice)
            router = scored(model, threshold=model.kappa)
            return mean_played(lambda _: router, self._game("test"), self.plays)
        shown = isinstance(model, AllBudgetsPPO)
        return kept_budgets.outcome_at(
            scored(model), practice, self._game("test"), budget, shown=shown, plays=self.plays
        )

    def _game(self, split: Split) -> Game:
        return Game(self._source(), split=split, mode=MODE, cost_unit=UNIT)

    def _source(self) -> SimulatorSource:
        return SimulatorSource(self.preset, problems=self.problems)


def main(
    agent: Annotated[str, typer.Option(help="lagrangian_ppo, ccpo or all_budgets.")] = "lagrangian_ppo",
    preset: Annotated[str, typer.Option(help="Simulator preset.")] = "gsm8k-like",
    out: OutOption = AGENT_PAGES,
    seeds: Annotated[int, typer.Option(min=1, help="Training seeds.")] = 5,
    tolerance: Annotated[float, typer.Option(help="Distance of the planner's bounds.")] = 1e-3,
    variant: Annotated[str, typer.Option(help="Settings: simulator, or planner (all_budgets).")] = "simulator",
    jobs: Annotated[int, typer.Option(min=1, help="Seeds at a time, one thread each; the figures do not change.")] = 1,
) -> None:
    """Train one policy for all budgets, or one a budget, and compare with the planner's optimum."""
    check_choice("agent", agent, AGENTS)
    out.mkdir(parents=True, exist_ok=True)
    frontier = Planner(preset, mode=MODE, cost_unit=UNIT, information="confidence", resolution=24).frontier(tolerance)
    study = Study(agent, preset, hyperparameters(agent, variant), frontier, BUDGETS, PROBLEMS, PLAYS)
    if jobs == 1:
        parts = [study.runs(seed) for seed in range(seeds)]
    else:  # spawned: a fork would inherit PyTorch's threads in whatever state they are
        with ProcessPoolExecutor(min(jobs, seeds), multiprocessing.get_context("spawn")) as pool:
            parts = list(pool.map(study.runs, range(seeds)))
    runs = [run for part in parts for run in part]
    optimum = {budget: float(frontier.upper(budget)) for budget in BUDGETS}
    command = command_of(
        f"{COMMAND} --agent {agent}", main, preset=preset, seeds=seeds, tolerance=tolerance, variant=variant
    )
    name = f"simulator-{preset}-{agent}" + ("" if variant == "simulator" else f"-{variant}")
    write_page(_page(runs, optimum, study, variant, seeds, command), out, name)


def _page(
    runs: Sequence[Run], optimum: dict[float, float], study: Study, variant: str, seeds: int, command: str
) -> Page:
    rows = []
    for budget in BUDGETS:
        here = [run for run in runs if run.budget == budget]
        regret = np.array([run.regret for run in here])
        accuracy = float(np.mean([run.accuracy for run in here]))
        excess = np.array([run.violation for run in here]) / budget
        rows.append(
            (
                f"{budget:g}",
                f"{optimum[budget]:.3f}",
                f"{accuracy:.3f}",
                f"{optimum[budget] - accuracy:.4f}",
                f"{np.mean([run.cost for run in here]):.3f}",
                f"{excess.mean():+.1%} ({excess.min():+.1%} to {excess.max():+.1%})",
                f"{regret.mean():.4f} ({regret.min():.4f} to {regret.max():.4f})",
            )
        )
    return Page(
        title="Distance to the known optimum",
        command=command,
        setting=(
            f"SIMULATED: preset {study.preset}, mode {MODE}, cost: tokens of the larger model, 1 is always-largest; "
            f"agent {study.agent}, {seeds} seeds, settings {study.agent}-{variant}.yml; {PLAYS} plays of every test "
            "problem.",
            *([TAUGHT] if variant == "planner" else []),
            "Optimum: the planner's upper bound for routers that see step lengths and confidence, as the agents do. "
            "Missing: accuracy below it at the budget, which a policy that leaves money unspent pays for. Regret: "
            "accuracy below it at the policy's own mean cost. Before that, the budget is met on the train split: "
            + KEPT_BY[study.agent],
        ),
        tables=(
            Table(
                "Regret",
                (
                    "budget",
                    "optimum",
                    "accuracy",
                    "missing",
                    "cost",
                    "cost over budget (range over seeds)",
                    "regret (range over seeds)",
                ),
                tuple(rows),
            ),
        ),
        numbers={"runs": runs, "optimum": {str(b): value for b, value in optimum.items()}},
        simulated=True,
    )


if __name__ == "__main__":
    typer.run(main)
