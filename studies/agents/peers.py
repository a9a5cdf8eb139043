"""Constrained agents against what peers use: ``python -m studies.agents.peers``.

*Swept penalty*: PPO on right answer minus price times cost, one policy a price; its curve is that of the policies. In
*regenerate* also the verifier-based (PRM-style) routers. All are fitted on the train split, and compared as whole
curves on the test split, paired by problem.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
import typer

from gym_stepwise_routing.agents.scores import scored
from gym_stepwise_routing.agents.training import hyperparameters, train
from gym_stepwise_routing.banks.bank import Bank
from gym_stepwise_routing.baselines.verifiers.features import feature_verifier
from gym_stepwise_routing.comparison.arena import Arena
from gym_stepwise_routing.comparison.contenders import contender
from gym_stepwise_routing.comparison.roster import roster
from gym_stepwise_routing.costs.units import CostUnit
from gym_stepwise_routing.errors import NotApplicableError
from gym_stepwise_routing.evaluation import curves
from gym_stepwise_routing.evaluation.bootstrap import Interval, bootstrap_curve_differences, bootstrap_curves
from gym_stepwise_routing.evaluation.evaluate import Evaluation, play
from gym_stepwise_routing.evaluation.outcomes import SweepOutcomes
from gym_stepwise_routing.game.config import GameConfig
from gym_stepwise_routing.game.game import Game
from gym_stepwise_routing.reporting import Page, Table, span_text, write_page
from gym_stepwise_routing.sources.recorded import BankSource
from gym_stepwise_routing.types import Mode
from studies.agents.sweeps import MODES, anchors_of, fit, games_of, outcomes_of, stack, swept
from studies.options import (
    AGENT_PAGES,
    DEFAULT,
    BankOption,
    OutOption,
    ResamplesOption,
    SeedsOption,
    UnitOption,
    checked_unit,
    command_of,
    described,
    page_name,
)

__all__ = ["main"]

COMMAND = "python -m studies.agents.peers"
OWN = ("all_budgets", "lagrangian_ppo")
SWEPT = "PPO, swept penalty"
STILL = "PPO, swept penalty, with barrier"
PRICES = (0.25, 0.5, 0.65, 0.8, 0.95, 1.2)
"""Penalties, in units of the accuracy that always-largest buys for a unit of cost on the train split."""
VERIFIED = ("TRIM-Thr", "TRIM-Agg", "TRIM-POMDP", "verifier, least score")
METRICS = {"apgr": curves.apgr, "aiq": curves.aiq}


@dataclass(frozen=True, slots=True)
class Difference:
    """An agent against a peer in one mode; ``value`` of the agent and ``peer_value`` in the metric, and the difference.

    All three are means over training seeds.
    """

    mode: str
    agent: str
    peer: str
    metric: str
    value: float
    peer_value: float
    difference: float
    low: float
    high: float

    def cells(self) -> tuple[str, ...]:
        """As a row of a table."""
        gap = span_text(self.difference, self.low, self.high, signed=True)
        return self.agent, self.peer, self.metric, f"{self.value:.3f}", f"{self.peer_value:.3f}", gap


def swept_penalty(source: Bank, mode: Mode, unit: CostUnit, seed: int, game: Game) -> dict[str, SweepOutcomes]:
    """The curves of one policy a price, each playing its own choice (the more probable action).

    Once by MaskablePPO, and once by LagrangianPPO with a multiplier that stands still: the same penalty, with the
    barrier and the settings of the constrained agent, so that what the constraint adds can be told from what they add.
    """
    rate = Arena(source, mode=mode, cost_unit=unit).exchange_rate()
    arguments = GameConfig(source, mode=mode, cost_unit=unit)
    plain, own = hyperparameters("maskable_ppo"), hyperparameters("lagrangian_ppo")
    still = own.algorithm | {"multiplier": "dual_ascent", "multiplier_lr": 1e-12, "limit_anneal": 0.0}
    played: dict[str, list[Evaluation]] = {SWEPT: [], STILL: []}
    for penalty in (price * rate for price in PRICES):
        models = {
            SWEPT: train("maskable_ppo", seed=seed, game=arguments, settings=replace(plain, penalty=penalty)),
            STILL: train(
                "lagrangian_ppo",
                seed=seed,
                game=arguments,
                settings=replace(own, algorithm=still | {"multiplier_init": penalty}),
                limit=1.0,  # any: the multiplier does not follow it
            ),
        }
        for name, model in models.items():
            played[name].append(play(scored(model), game))
    return {name: outcomes_of(each) for name, each in played.items()}


def verified(source: Bank, unit: CostUnit, game: Game) -> dict[str, SweepOutcomes]:
    """The curves of verifier-based routers in *regenerate*, costs in the game's units; those that apply."""
    judged = BankSource(feature_verifier(source))
    arena = Arena(source, mode="regenerate", cost_unit=unit, scored=[judged])
    # An arena measures cost by always-largest on the split itself.
    scale = arena.game("test", ("progress",)).normaliser / game.normaliser
    found = {}
    for family in roster():
        if family.name in VERIFIED:
            try:
                points = contender(arena, family).points("test")
            except NotApplicableError:
                continue
            found[family.name] = SweepOutcomes(right=points.right, cost=points.cost * scale)
    return found


def compare(
    mode: Mode, own: Mapping[str, SweepOutcomes], peers: Mapping[str, SweepOutcomes], game: Game, resamples: int
) -> list[Difference]:
    """Every agent against every peer, in both metrics."""
    anchors = anchors_of(game)
    found = []
    for agent, outcomes in own.items():
        for peer, other in peers.items():
            gaps = bootstrap_curve_differences(outcomes, other, anchors, METRICS, resamples=resamples)
            values = [_estimates(sweep, anchors) for sweep in (outcomes, other)]
            for metric, gap in gaps.items():
                if gap is None:
                    raise ValueError(f"mode={mode!r}: {metric} is undefined on the test problems")
                one, two = (value[metric] for value in values)
                found.append(Difference(mode, agent, peer, metric, one, two, gap.estimate, gap.low, gap.high))
    return found


def _estimates(sweep: SweepOutcomes, anchors: Any) -> dict[str, float]:
    found: dict[str, Interval | None] = bootstrap_curves(sweep, anchors, METRICS, resamples=100)
    return {name: float("nan") if interval is None else interval.estimate for name, interval in found.items()}


def main(
    bank: BankOption = DEFAULT,
    out: OutOption = AGENT_PAGES,
    cost_unit: UnitOption = "large_tokens",
    seeds: SeedsOption = 5,
    resamples: ResamplesOption = 10_000,
) -> None:
    """Train both kinds in each mode and compare APGR and AIQ, paired by problem."""
    unit = checked_unit(cost_unit)
    torch.set_num_threads(1)
    out.mkdir(parents=True, exist_ok=True)
    opened = Bank.open(bank)
    found: list[Difference] = []
    for mode in MODES:
        game = games_of(opened, mode, unit)["test"]
        own = {
            agent: stack([swept(agent, fit(agent, opened, mode, unit, seed), game) for seed in range(seeds)])
            for agent in OWN
        }
        penalised = [swept_penalty(opened, mode, unit, seed, game) for seed in range(seeds)]
        peers = {name: stack([found_there[name] for found_there in penalised]) for name in (SWEPT, STILL)}
        if mode == "regenerate":
            peers |= verified(opened, unit, game)
        found += compare(mode, own, peers, game, resamples)
    name = page_name("peers", opened.name, "" if unit == "large_tokens" else unit)
    command = command_of(COMMAND, main, bank=bank, cost_unit=cost_unit, seeds=seeds, resamples=resamples)
    write_page(_page(found, opened, unit, seeds, resamples, command), out, name)


def _page(found: list[Difference], bank: Bank, unit: CostUnit, seeds: int, resamples: int, command: str) -> Page:
    columns = ("agent", "peer", "metric", "agent's", "peer's", "agent minus peer [95 %]")
    return Page(
        title="Constrained agents, a swept penalty and verifiers",
        command=command,
        setting=(
            described(bank, unit),
            "Fitted on the train problems, compared on the test problems.",
            f"{seeds} training seeds of the agents and of {SWEPT}; verifier-based routers are fitted once (TRIM-Agg: "
            f"the best of three on train, a price). {resamples:,} bootstrap resamples over problems and seeds, paired.",
            f"{SWEPT}: MaskablePPO with shipped settings, {len(PRICES)} policies a seed, at "
            f"{', '.join(map(str, PRICES))} times the exchange rate of the constants; with barrier: the same prices, "
            "LagrangianPPO's settings and steps, its multiplier standing still; lagrangian_ppo: one policy, "
            "thresholds swept; all_budgets: one policy, budgets swept. APGR is the area under the points as they are, "
            "AIQ that under their envelope, chosen on these very problems for everybody.",
            "The verifier is fitted to features on the train split and costs nothing; no large process reward model.",
        ),
        tables=tuple(
            Table(f"Mode {mode}", columns, tuple(d.cells() for d in found if d.mode == mode)) for mode in MODES
        ),
        numbers=found,
        simulated=bank.manifest.simulated,
    )


if __name__ == "__main__":
    typer.run(main)
