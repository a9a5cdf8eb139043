"""Who is compared: one line an opponent. What one of them needs and does not find, it says when it is built."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from gym_stepwise_routing.baselines.confidence import ConfidenceFigure, ConfidenceThreshold
from gym_stepwise_routing.baselines.constant import AlwaysModel
from gym_stepwise_routing.baselines.glimp import GlimpRouter
from gym_stepwise_routing.baselines.random_mix import RandomMix
from gym_stepwise_routing.baselines.schedules import EveryOther, FirstKLarge, LastKLarge
from gym_stepwise_routing.baselines.verifier_threshold import RSD, TrimThreshold, VerifierThreshold
from gym_stepwise_routing.compare.arena import Arena
from gym_stepwise_routing.compare.contenders import Averaged, Contender, Family, Listed, Mixed, Swept
from gym_stepwise_routing.observation import DEFAULT_BLOCKS, Block
from gym_stepwise_routing.routers import ScoringRouter

__all__ = ["roster"]

STEPS: tuple[Block, ...] = ("progress", "confidence")
VERIFIED: tuple[Block, ...] = ("progress", "verifier")
SHARES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
"""Probabilities of the largest model."""
DRAWS = 20
"""Draws that outcomes of random routers are averaged over."""
PRICES = (0.0, 0.1, 0.25, 0.5, 0.7, 0.85, 1.0, 1.15, 1.3, 1.6, 2.0, 3.0, 5.0)
"""Prices of cost that fitted policies are trained for, in units of the constants' own exchange rate."""


def roster() -> tuple[Family, ...]:
    """Every family, in the order of the table."""
    return (*_references(), *_handcrafted(), *_verifier_based(), *_query_level(), *_fitted())


def exchange_rate(arena: Arena) -> float:
    """Accuracy that always-largest buys over always-smallest for each unit of cost, on the train split; 1 if none."""
    anchors = arena.reference("train").anchors
    gap = np.subtract(anchors.cost_large, anchors.cost_small)
    gain = np.subtract(anchors.accuracy_large, anchors.accuracy_small)
    return float(gain / gap) if gap > 0 and gain > 0 else 1.0


def _swept(make: Callable[[], ScoringRouter], blocks: tuple[Block, ...]) -> Callable[[Arena], Contender]:
    return lambda arena: Swept(arena, make(), blocks)


def _references() -> list[Family]:
    group = "constants and schedules"

    def constants(arena: Arena) -> Contender:
        names = arena.source.pool.names
        return Listed(arena, [AlwaysModel(model) for model in range(len(names))], ("progress",), names, arena.plain)

    def mixed_steps(arena: Arena) -> Contender:
        labels = [f"p = {p:g}" for p in SHARES]
        return Averaged(
            [Listed(arena, [RandomMix(p, seed) for p in SHARES], ("progress",), labels) for seed in range(DRAWS)]
        )

    def schedule(kind: type[FirstKLarge | LastKLarge | EveryOther]) -> Callable[[Arena], Contender]:
        return lambda arena: Listed(arena, [kind(k) for k in range(arena.source.horizon + 1)], ("progress",))

    return [
        Family("single models", group, "", constants),
        Family("zero router", group, "arXiv 2403.12031", Mixed),
        Family("random per step", group, "", mixed_steps),
        Family("first k large", group, "arXiv 2504.07891", schedule(FirstKLarge)),
        Family("last k large", group, "", schedule(LastKLarge)),
        Family("every other", group, "", schedule(EveryOther)),
    ]


def _handcrafted() -> list[Family]:
    group = "handcrafted"
    figures: tuple[ConfidenceFigure, ...] = ("p_mean", "p_min", "entropy_mean", "entropy_max", "margin_mean")

    def steer(reading: str) -> Callable[[Arena], Contender]:
        def build(arena: Arena) -> Contender:
            from gym_stepwise_routing.baselines.steer import Steer

            router = Steer(reading, seed=arena.seed)  # type: ignore[arg-type]
            return Swept(arena, router.fit(arena.game("train", STEPS)), STEPS)

        return build

    return [
        *(Family(f"confidence {f}", group, "", _swept(partial(ConfidenceThreshold, f), STEPS)) for f in figures),
        Family("GlimpRouter", group, "arXiv 2601.05110", _swept(GlimpRouter, ("progress", "probe"))),
        Family("STEER probability", group, "arXiv 2511.06190", steer("probability")),
        Family("STEER log-probability", group, "arXiv 2511.06190", steer("log-probability")),
    ]


def _verifier_based() -> list[Family]:
    group = "verifier"
    return [
        Family("TRIM-Thr", group, "arXiv 2601.10245", _swept(TrimThreshold, VERIFIED)),
        Family("RSD", group, "arXiv 2501.19324", lambda arena: Listed(arena, [RSD()], VERIFIED)),
        Family("verifier, least score", group, "", _swept(partial(VerifierThreshold, "score_min"), VERIFIED)),
        Family("verifier, product", group, "", _swept(partial(VerifierThreshold, "score_product"), VERIFIED)),
    ]


def _query_level() -> list[Family]:
    def classifier(arena: Arena) -> Contender:
        from gym_stepwise_routing.baselines.query_classifier import QueryClassifier

        blocks: tuple[Block, ...] = ("question",)
        return Swept(arena, QueryClassifier(seed=arena.seed).fit(arena.game("train", blocks)), blocks)

    return [Family("query classifier", "query level", "arXiv 2406.18665", classifier)]


def _fitted() -> list[Family]:
    def fitted_q(arena: Arena) -> Contender:
        from gym_stepwise_routing.baselines.experience import experience
        from gym_stepwise_routing.baselines.fitted_q import FittedQ

        game = arena.game("train", DEFAULT_BLOCKS)
        known = experience(game, seed=arena.seed)
        rate = exchange_rate(arena)
        routers = [FittedQ(price * rate, seed=arena.seed).fit(game, known) for price in PRICES]
        return Listed(arena, routers, DEFAULT_BLOCKS, [f"price {router.price:.3g}" for router in routers])

    return [Family("fitted Q", "fitted on trees", "", fitted_q)]
