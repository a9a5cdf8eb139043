"""Who is compared: one line an opponent. What one of them needs and does not find, it says when it is built."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Literal

from gym_stepwise_routing.baselines.confidence import ConfidenceFigure, ConfidenceThreshold
from gym_stepwise_routing.baselines.constant import AlwaysLargest, AlwaysModel, AlwaysSmallest
from gym_stepwise_routing.baselines.glimp import GlimpRouter
from gym_stepwise_routing.baselines.heuristics import LengthRule, LoopRule
from gym_stepwise_routing.baselines.observed_figures import logit_name
from gym_stepwise_routing.baselines.random_mix import RandomMix
from gym_stepwise_routing.baselines.schedules import EveryOther, FirstKLarge, LastKLarge
from gym_stepwise_routing.baselines.spec_reason import SpecReason, rating_name
from gym_stepwise_routing.baselines.verifier_threshold import RSD, TrimThreshold, VerifierThreshold
from gym_stepwise_routing.comparison.arena import Arena
from gym_stepwise_routing.comparison.contenders import Averaged, Contender, Family, Listed, Mixed, Swept, needs_figures
from gym_stepwise_routing.errors import NotApplicableError
from gym_stepwise_routing.evaluation.evaluate import play
from gym_stepwise_routing.game.game import Game
from gym_stepwise_routing.routers.base import ScoringRouter
from gym_stepwise_routing.types import DEFAULT_BLOCKS, SPLITS, Block

if TYPE_CHECKING:
    from gym_stepwise_routing.baselines.steer import Reading

__all__ = ["roster"]

STEPS: tuple[Block, ...] = ("progress", "confidence")
PROBED: tuple[Block, ...] = ("progress", "probe")
VERIFIED: tuple[Block, ...] = ("progress", "verifier")
SHARES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
"""Probabilities of the largest model."""
DRAWS = 20
"""Draws that outcomes of random routers are averaged over."""
PRICES = (0.0, 0.1, 0.25, 0.5, 0.7, 0.85, 1.0, 1.15, 1.3, 1.6, 2.0, 3.0, 5.0)
"""Prices of cost that fitted policies are trained for, in units of :func:`exchange_rate`."""

FEW_PRICES = (0.5, 0.65, 0.8, 0.95, 1.2)
"""The same for policies that are dear to train."""
AGG_SEEDS = 3
"""Training seeds of TRIM-Agg at each price, the best of which on the train split is kept."""
AGG_STEPS = 20_000
"""Environment steps of each of these trainings: what fits into two minutes for a whole comparison."""


def roster() -> tuple[Family, ...]:
    """Every family, in the order of the table."""
    return (*_references(), *_handcrafted(), *_verifier_based(), *_query_level(), *_fitted(), *_bounds())


def exchange_rate(arena: Arena, blocks: tuple[Block, ...] = ("progress",)) -> float:
    """Accuracy that the largest model at every step buys for each unit of cost, on the train split; 1 if none.

    Played in the arena's own mode and with the blocks that a router sees, so that drafts, probes and verifiers are in
    the cost: prices in units of this rate bracket the tradeoff in every mode.
    """
    game = arena.game("train", blocks)
    small, large = (play(router, game, seed=arena.seed) for router in (AlwaysSmallest(), AlwaysLargest()))
    gap, gain = large.mean_cost - small.mean_cost, large.accuracy - small.accuracy
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
    figures: tuple[ConfidenceFigure, ...] = (
        "p_mean",
        "p_min",
        "entropy_mean",
        "entropy_max",
        "entropy_first",
        "margin_mean",
    )

    def confidence(figure: ConfidenceFigure) -> Callable[[Arena], Contender]:
        return lambda arena: Swept(arena, ConfidenceThreshold(figure).fit(arena.game("train", STEPS)), STEPS)

    def glimp(arena: Arena) -> Contender:
        return Swept(arena, GlimpRouter().fit(arena.game("train", PROBED)), PROBED)

    def steer(reading: Reading) -> Callable[[Arena], Contender]:
        def build(arena: Arena) -> Contender:
            from gym_stepwise_routing.baselines.steer import Steer

            logits = logit_name(arena.source.pool.names[0]) if reading == "max-logit" else ""
            blocks = VERIFIED if logits else STEPS
            if logits:
                _known_on_all_splits(arena, logits)
            router = Steer(reading, seed=arena.seed).fit(arena.game("train", blocks, verifier=logits))
            return Swept(arena, router, blocks, verifier=logits)

        return build

    def two_part(arena: Arena) -> Contender:
        from gym_stepwise_routing.baselines.two_part_risk import TwoPartRisk

        return Swept(arena, TwoPartRisk().fit(arena.game("train", STEPS)), STEPS)

    def rule_of_thumb(kind: type[LengthRule], blocks: tuple[Block, ...]) -> Callable[[Arena], Contender]:
        return lambda arena: Swept(arena, kind(seed=arena.seed).fit(arena.game("train", blocks)), blocks)

    return [
        *(Family(f"confidence {figure}", group, "", confidence(figure)) for figure in figures),
        Family("GlimpRouter", group, "arXiv 2601.05110", glimp),
        Family("STEER max-logit", group, "arXiv 2511.06190", steer("max-logit")),
        Family("STEER probability", group, "arXiv 2511.06190", steer("probability")),
        Family("STEER log-probability", group, "arXiv 2511.06190", steer("log-probability")),
        Family("two-part risk", group, "arXiv 2605.29319", two_part),
        Family("length", group, "", rule_of_thumb(LengthRule, ("progress",))),
        Family("loop", group, "", rule_of_thumb(LoopRule, STEPS)),
    ]


def _verifier_based() -> list[Family]:
    group = "verifier"

    def agg(arena: Arena) -> Contender:
        from gym_stepwise_routing.baselines.trim_agg import best_of_seeds

        game, rate = _judged(arena), exchange_rate(arena, VERIFIED)
        seeds = [arena.seed + number for number in range(AGG_SEEDS)]
        routers = [best_of_seeds(price * rate, game, seeds, AGG_STEPS) for price in FEW_PRICES]
        return Listed(arena, routers, VERIFIED, [f"price {router.price:.3g}" for router in routers])

    def pomdp(arena: Arena) -> Contender:
        from gym_stepwise_routing.baselines.trim_pomdp import TrimPomdp

        game, rate = _judged(arena), exchange_rate(arena, VERIFIED)
        process = TrimPomdp(0.0).estimate(game)
        routers = [TrimPomdp(price * rate).fit(game, process) for price in PRICES]
        return Listed(arena, routers, VERIFIED, [f"price {router.price:.3g}" for router in routers])

    def spec_reason(arena: Arena) -> Contender:
        if arena.mode != "regenerate":
            raise NotApplicableError("needs mode 'regenerate', for drafts to rate")
        ratings = rating_name(arena.source.pool.names[-1])
        _known_on_all_splits(arena, ratings)
        return Swept(arena, SpecReason(), VERIFIED, verifier=ratings, own=True)

    def rsd(arena: Arena) -> Contender:
        _judged(arena)
        return Listed(arena, [RSD()], VERIFIED)

    return [
        Family("TRIM-Thr", group, "arXiv 2601.10245", _swept(TrimThreshold, VERIFIED)),
        Family("TRIM-Agg", group, "arXiv 2601.10245", agg),
        Family("TRIM-POMDP", group, "arXiv 2601.10245", pomdp),
        Family("SpecReason", group, "arXiv 2504.07891", spec_reason),
        Family("RSD", group, "arXiv 2501.19324", rsd),
        Family("verifier, least score", group, "", _swept(partial(VerifierThreshold, "score_min"), VERIFIED)),
        Family("verifier, product", group, "", _swept(partial(VerifierThreshold, "score_product"), VERIFIED)),
    ]


def _known_on_all_splits(arena: Arena, verifier: str) -> None:
    """Check that a file of scores, which may be of some splits only, has some for each split that is played."""
    for split in SPLITS:
        needs_figures(arena.game(split, VERIFIED, verifier=verifier), VERIFIED, arena.seed)


def _judged(arena: Arena) -> Game:
    """The train game with verifier scores, some of which are known where decisions are taken on drafts."""
    game = arena.game("train", VERIFIED)
    if arena.mode == "regenerate":  # the routers themselves say that other modes have no drafts
        needs_figures(game, VERIFIED, arena.seed)
    return game


def _query_level() -> list[Family]:
    group = "query level"

    def classifier(arena: Arena) -> Contender:
        from gym_stepwise_routing.baselines.query_classifier import QueryClassifier

        blocks: tuple[Block, ...] = ("question",)
        router = QueryClassifier(seed=arena.seed).fit(arena.game("train", blocks, mode=arena.plain))
        return Swept(arena, router, blocks, arena.plain)

    def embedding(arena: Arena) -> Contender:
        if arena.questions is None or arena.encoder is None:
            raise NotApplicableError("needs the question texts (--questions) and a text encoder (--encoder)")
        from gym_stepwise_routing.baselines.query_embedding import Embedder
        from gym_stepwise_routing.comparison.queries import QueryEmbedding

        return QueryEmbedding(arena, Embedder(arena.encoder), arena.questions)

    def frugal(arena: Arena) -> Contender:
        from gym_stepwise_routing.baselines.cascade import FrugalJudge
        from gym_stepwise_routing.comparison.cascades import LearnedCascade

        return LearnedCascade(arena, FrugalJudge())

    def automix(arena: Arena) -> Contender:
        from gym_stepwise_routing.baselines.cascade import SelfJudge
        from gym_stepwise_routing.comparison.cascades import Cascade

        return Cascade(arena, SelfJudge())

    return [
        Family("query classifier", group, "arXiv 2406.18665", classifier),
        Family("query embedding", group, "arXiv 2406.18665", embedding),
        Family("FrugalGPT cascade", group, "arXiv 2305.05176", frugal),
        Family("AutoMix cascade", group, "arXiv 2310.12963", automix),
    ]


def _fitted() -> list[Family]:
    group = "fitted on trees"

    def fitted_q(*more: Block) -> Callable[[Arena], Contender]:
        blocks: tuple[Block, ...] = (*DEFAULT_BLOCKS, *more)

        def build(arena: Arena) -> Contender:
            from gym_stepwise_routing.baselines.experience import experience
            from gym_stepwise_routing.baselines.fitted_q import FittedQ

            if "probe" in more and arena.mode == "regenerate":
                raise NotApplicableError("a probe tells less than the draft that mode 'regenerate' has paid for")
            game, rate = arena.game("train", blocks), exchange_rate(arena, blocks)
            needs_figures(game, more, arena.seed)
            known = experience(game, seed=arena.seed)
            routers = [FittedQ(price * rate, seed=arena.seed).fit(game, known) for price in PRICES]
            return Listed(arena, routers, blocks, [f"price {router.price:.3g}" for router in routers])

        return build

    def reweighted(arena: Arena) -> Contender:
        from gym_stepwise_routing.baselines.sacpo import Reweighted

        game, rate = arena.game("train", DEFAULT_BLOCKS), exchange_rate(arena)
        fitted = Reweighted(0.0, seed=arena.seed).fit(game)
        routers = [fitted.priced(price * rate) for price in PRICES]
        return Listed(arena, routers, DEFAULT_BLOCKS, [f"price {router.price:.3g}" for router in routers])

    def process_reward(arena: Arena) -> Contender:
        from gym_stepwise_routing.baselines.process_reward import ProcessReward

        scores, game, rate = arena.step_scores, arena.game("train", DEFAULT_BLOCKS), exchange_rate(arena)
        routers = [ProcessReward(price * rate, seed=arena.seed).fit_scored(game, scores) for price in PRICES]
        return Listed(arena, routers, DEFAULT_BLOCKS, [f"price {router.price:.3g}" for router in routers])

    return [
        Family("fitted Q", group, "", fitted_q()),
        Family("fitted Q with probe", group, "", fitted_q("probe")),
        Family("fitted Q with verifier", group, "", fitted_q("verifier")),
        Family("re-weighted (SACPO)", group, "arXiv 2404.11049", reweighted),
        Family("process reward", group, "arXiv 2605.29310", process_reward),
    ]


def _bounds() -> list[Family]:
    group = "bounds (see outcomes of the reported split)"

    def state_only(fit: Literal["cross", "same"]) -> Callable[[Arena], Contender]:
        def build(arena: Arena) -> Contender:
            from gym_stepwise_routing.comparison.state_bounds import StateOnly

            rate = exchange_rate(arena)
            return StateOnly(arena, [price * rate for price in PRICES], fit)

        return build

    def oracle(arena: Arena) -> Contender:
        from gym_stepwise_routing.comparison.state_bounds import Oracle

        return Oracle(arena)

    return [
        Family("oracle", group, "", oracle),
        Family("state only, cross-fitted", group, "", state_only("cross")),
        Family("state only, in sample", group, "", state_only("same")),
    ]
