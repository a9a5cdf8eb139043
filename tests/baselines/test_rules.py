"""Rules that look at figures: GlimpRouter, STEER, two-part risk, length and loop, verifier thresholds, SpecReason."""

from __future__ import annotations

import numpy as np
import pytest
from fake_sources import TreeSource, Untabulated

from gym_stepwise_routing.baselines.confidence import ConfidenceThreshold
from gym_stepwise_routing.baselines.experience import experience
from gym_stepwise_routing.baselines.feedback_rule import FeedbackRule
from gym_stepwise_routing.baselines.glimp import GlimpRouter
from gym_stepwise_routing.baselines.heuristics import LengthRule, LoopRule
from gym_stepwise_routing.baselines.spec_reason import SpecReason, rating_name
from gym_stepwise_routing.baselines.steer import Steer
from gym_stepwise_routing.baselines.two_part_risk import TwoPartRisk
from gym_stepwise_routing.baselines.verifier_threshold import RSD, TrimThreshold, VerifierThreshold
from gym_stepwise_routing.comparison.arena import Arena
from gym_stepwise_routing.comparison.contenders import contender
from gym_stepwise_routing.errors import NotApplicableError
from gym_stepwise_routing.evaluation.evaluate import play
from gym_stepwise_routing.game.game import Game
from gym_stepwise_routing.routers.families import ROUTERS
from gym_stepwise_routing.types import TOKEN_CLASS_FIGURES

STEPS = ("progress", "confidence")


def game(blocks, mode="route", seed=0, **source):
    return Game(TreeSource(seed, problems=60, **source), mode=mode, observation=blocks, masked_action="project")


def chosen_token_only():
    """What most APIs tell: log-probabilities of the chosen tokens, and nothing of the others."""
    source = TreeSource(0, problems=60)
    source.confidence[:, 2:] = np.nan
    return source


def bound(router, game):
    router.bind(game.spec)
    names = game.spec.feature_names

    def observe(**figures):
        row = np.zeros((1, len(names)), dtype=np.float32)
        for name, value in figures.items():
            row[0, names.index(name)] = value
        return row

    return observe


def test_glimp_reads_the_entropy_of_the_probe():
    router = GlimpRouter()
    observe = bound(router, game(["probe"]))
    assert router.scores(observe(probe_entropy=2.0, probe_known=1)) == pytest.approx(1 - np.exp(-2.0))
    assert router.scores(observe(probe_entropy=0.0, probe_known=0)) == 0
    with pytest.raises(NotApplicableError, match="pays for the whole draft"):
        router.bind(game(["probe"], "regenerate").spec)
    with pytest.raises(NotApplicableError, match="feature 'probe_entropy' is not observed"):
        router.bind(game(["progress"]).spec)


@pytest.mark.parametrize("reading", ["probability", "log-probability"])
def test_steer_tells_two_kinds_of_steps_apart(reading):
    source = TreeSource(0, problems=60)
    rng = np.random.default_rng(0)
    sure = rng.random(len(source.depth)) < 0.5
    for column, low, high in ((0, np.log(0.5), np.log(0.95)), (8, 0.5, 0.95)):
        noise = rng.normal(scale=0.02, size=len(sure)).astype(np.float32)
        source.confidence[:, column] = np.where(source.depth > 0, np.where(sure, high, low) + noise, np.nan)
    playing = Game(source, mode="regenerate", observation=STEPS)
    router = Steer(reading).fit(playing)
    observe = bound(router, playing)
    scores = [router.scores(observe(top1_mean=p, p_mean=p, confidence_known=1))[0] for p in (0.4, 0.5, 0.95, 0.99)]
    assert scores[0] > scores[1] > 0.9
    assert scores[2] < 0.1
    posterior = router._mixture.predict_proba(router._values(observe(top1_mean=0.7, p_mean=0.7)))
    undecided = router.scores(observe(top1_mean=0.7, p_mean=0.7, confidence_known=1))[0]
    assert (undecided >= 0.5) == (posterior[0, router._confident] <= 0.5)
    assert router.scores(observe(confidence_known=0)) == 0


def test_steer_reads_the_largest_logits_of_the_small_models_steps():
    source = TreeSource(0, problems=60, verifier=True)
    rng = np.random.default_rng(0)
    sure = rng.random(len(source.depth)) < 0.5
    logit = np.where(sure, 0.3, 0.2) + rng.normal(scale=0.005, size=len(sure))
    source.score[:] = np.where((source.depth > 0) & (source.model == 0), logit, np.nan)
    playing = Game(source, mode="regenerate", observation=["progress", "verifier"])
    router = Steer("max-logit").fit(playing)
    observe = bound(router, playing)
    scores = [router.scores(observe(score=score, score_known=1))[0] for score in (0.19, 0.2, 0.3, 0.31)]
    assert scores[0] > scores[1] > 0.9
    assert scores[2] < 0.1
    assert router.scores(observe(score_known=0)) == 0


def test_steer_needs_figures():
    source = TreeSource(0, problems=60)
    source.confidence[:] = np.nan
    with pytest.raises(NotApplicableError, match="'fake-tree' has no top1_mean before any decision of mode 'route'"):
        Steer().fit(Game(source, observation=STEPS))
    few = TreeSource(0, problems=9)
    few.confidence[few.depth > 1] = np.nan
    with pytest.raises(NotApplicableError, match=r"\d steps have top1_mean; STEER's mixture needs 20"):
        Steer().fit(Game(few, observation=STEPS))
    with pytest.raises(ValueError, match="reading='entropy' is not known; allowed: 'max-logit', 'probability'"):
        Steer("entropy")


@pytest.mark.parametrize(
    ("router", "missing"),
    [
        (ConfidenceThreshold("entropy_mean"), "entropy_mean"),
        (ConfidenceThreshold("margin_mean"), "margin_mean"),
        (Steer("probability"), "top1_mean"),
        (TwoPartRisk(), "entropy_mean"),
        (LoopRule(), "top1_mean"),
    ],
)
def test_figures_beside_the_one_that_is_read_do_not_stand_in_for_it(router, missing):
    source = chosen_token_only()
    playing = Game(source, mode="regenerate", observation=STEPS)
    with pytest.raises(NotApplicableError, match=f"'fake-tree' has no {missing} before any decision"):
        router.fit(playing)
    ConfidenceThreshold("p_min").fit(playing)
    Steer("log-probability").fit(playing)
    with pytest.raises(NotApplicableError, match="has no probe_entropy before any decision"):
        GlimpRouter().fit(Game(source, observation=["probe"]))


def test_scores_are_nothing_where_only_other_figures_are_known():
    playing = game(STEPS)
    steer, risk = Steer().fit(playing), TwoPartRisk().fit(playing)
    partly = bound(steer, playing)(p_mean=0.5, p_min=0.3, confidence_known=2 / 9)
    assert steer.scores(partly) == 0
    assert risk.scores(partly) == 0


def test_risk_rises_with_either_entropy_if_that_is_what_fails():
    source = TreeSource(1, problems=150, horizon=2)
    small = (source.model == 0) & (source.depth > 0)
    entropy = np.where(source.correct, 0.1, 2.0)
    noise = np.random.default_rng(0).uniform(0, 0.5, len(entropy))
    source.confidence[:, 2] = source.confidence[:, 3] = np.where(source.depth > 0, entropy + noise, np.nan)
    source.confidence[~small & (source.depth > 0), :] = np.nan_to_num(source.confidence[~small & (source.depth > 0), :])
    playing = Game(source, mode="regenerate", observation=STEPS)
    router = TwoPartRisk().fit(playing)
    observe = bound(router, playing)
    calm, both, words = (
        router.scores(observe(entropy_mean=mean, entropy_max=peak, confidence_known=1))[0]
        for mean, peak in ((0.1, 0.1), (2.0, 2.0), (2.0, 0.1))
    )
    assert calm < words < both
    assert router.scores(observe(confidence_known=0)) == 0


def by_class(table, other):
    """A source whose small steps have these entropies of each class where they fail, and little else."""
    source = TreeSource(1, problems=150, horizon=2)
    noise = np.random.default_rng(0).uniform(0, 0.5, (2, len(source.correct)))
    for part, high, extra in zip(("table", "other"), (table, other), noise, strict=True):
        column = TOKEN_CLASS_FIGURES.index(f"{part}_entropy_mean")
        figure = np.where(source.correct, 0.1, high) + extra
        source.classes[:, column] = np.where(np.isnan(source.classes[:, column]), np.nan, figure)
    return Game(source, mode="regenerate", observation=("progress", "token_classes"))


@pytest.mark.parametrize(("telling", "silent"), [("table", "other"), ("other", "table")])
def test_risk_goes_by_the_class_whose_tokens_tell(telling, silent):
    playing = by_class(**{telling: 2.0, silent: 0.1})
    router = TwoPartRisk().fit(playing)
    observe = bound(router, playing)

    def score(**entropies):
        known = {f"{name}_entropy_mean": value for name, value in entropies.items()}
        return router.scores(observe(**known, token_classes_known=1 if len(entropies) == 2 else 4 / 7))[0]

    calm = score(table=0.1, other=0.1)
    risen = score(**{telling: 2.0, silent: 0.1}) - calm
    assert risen > 0.15  # the silent part is at the base rate throughout
    assert abs(score(**{telling: 0.1, silent: 0.5}) - calm) < risen / 2
    assert score(**{silent: 0.1}) < calm  # a part without tokens adds no risk
    assert score() == 0


def test_the_family_plays_what_the_source_tells():
    for told, entropy in ((True, "table_entropy_mean"), (False, "entropy_mean")):
        source = TreeSource(0, problems=60)
        source.token_classes = told
        swept = contender(Arena(source, mode="regenerate"), ROUTERS.get("two-part risk"))
        assert entropy in swept._game("test").spec.feature_names
        assert bool(swept.note) != told  # where figures stand in, it says so


def test_risk_needs_trees_and_failures():
    with pytest.raises(NotApplicableError, match="is random"):
        TwoPartRisk().fit(Game(Untabulated(TreeSource(0, problems=9)), observation=STEPS))
    source = TreeSource(0, problems=9)
    source.correct[:] = False
    with pytest.raises(NotApplicableError, match="0 of 0 small steps fail"):
        TwoPartRisk().fit(Game(source, observation=STEPS))


def test_length_is_a_rank_and_a_loop_is_long_and_sure():
    playing = game(STEPS)
    length, loop = LengthRule().fit(playing), LoopRule().fit(playing)
    known = experience(playing)
    scores = length.scores(known.observation[~known.ended & (known.depth > 0)])
    assert scores.min() == 0
    assert 0.9 < scores.max() < 1
    observe = bound(loop, playing)
    assert loop.scores(observe(last_tokens=10, top1_mean=0.25)) == pytest.approx(0.25)
    assert loop.scores(observe(last_tokens=10)) == 0
    with pytest.raises(NotApplicableError, match="no step before any decision of mode 'route'"):
        LengthRule().fit(game(["progress"], horizon=1))


def test_rsd_keeps_a_draft_of_exactly_seven_tenths():
    playing = game(["verifier"], "regenerate", verifier=True)
    router = RSD()
    observe = bound(router, playing)
    scores = np.array([0.7, np.nextafter(np.float32(0.7), np.float32(0)), 0.0, 1.0], dtype=np.float32)
    actions = [router.predict(observe(score=score, score_known=1))[0][0] for score in scores]
    assert actions == [0, 1, 1, 0]


@pytest.mark.parametrize("make", [TrimThreshold, RSD, SpecReason])
def test_draft_judges_need_drafts_and_scores(make):
    with pytest.raises(NotApplicableError, match="judges drafts; mode 'escalate' has none"):
        make().bind(game(["verifier"], "escalate", verifier=True).spec)
    with pytest.raises(NotApplicableError, match="feature 'score' is not observed"):
        make().bind(game(["progress"], "regenerate").spec)


@pytest.mark.parametrize(("figure", "expected"), [("score", 0.4), ("score_min", 0.5), ("score_product", 1 - 0.6 * 0.5)])
def test_verifier_figures(figure, expected):
    router = VerifierThreshold(figure)
    observe = bound(router, game(["verifier"], verifier=True))
    known = observe(score=0.6, score_min=0.5, score_product=0.5, score_known=1)
    assert router.scores(known) == pytest.approx(expected, abs=1e-6)
    assert router.scores(observe(score_min=1, score_product=1)) == 0


def test_spec_reason_keeps_from_its_rating_upwards():
    playing = game(["progress", "verifier"], "regenerate", verifier=True)
    for keep in range(1, 10):
        router = SpecReason(keep)
        observe = bound(router, playing)
        ratings = [router.predict(observe(score=rating / 9, score_known=1))[0][0] for rating in range(10)]
        assert ratings == [1] * keep + [0] * (10 - keep)
    first = SpecReason(7, first_large=1)
    decisions = play(first, playing).decisions
    assert (decisions[:, 0] == 1).all()
    assert (decisions[:, 1] == 0).any()
    assert rating_name("big") == "big (rating)"
    with pytest.raises(ValueError, match="keep=0; allowed: above 0, at most 9"):
        SpecReason(0)
    with pytest.raises(ValueError, match="first_large=-1"):
        SpecReason(first_large=-1)


def test_feedback_is_the_mean_of_four_signs():
    source = TreeSource(0, horizon=4)
    rule = FeedbackRule()
    playing = Game(source, mode="restart", observation=["progress", "feedback"])
    rule.bind(playing.spec)
    names = list(playing.spec.feature_names)
    shown = np.zeros((3, len(names)), dtype=np.float32)
    shown[:, names.index("turns_left")] = [1, 0.5, 0.25]
    shown[1, names.index("answer_error")] = 1
    shown[2, [names.index("answer_empty"), names.index("answer_repeat")]] = 1
    assert rule.scores(shown).tolist() == [0, 1.5 / 4, 2.75 / 4]
    with pytest.raises(NotApplicableError, match="'turns_left' is not observed"):
        rule.bind(Game(source, mode="restart", observation=["progress"]).spec)
