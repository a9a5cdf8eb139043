"""Routers that look at anything but observations are found; honest ones are not accused."""

from __future__ import annotations

import copy

import numpy as np
import pytest
from cheating_routers import (
    ByComparison,
    ByCounting,
    ByName,
    ByOneFigure,
    ByPosition,
    ByRoundedTable,
    ByTable,
    InPlace,
    Masked,
    Remembering,
    ScoresByPosition,
    ScoresByTable,
    SmallTable,
    Uncopied,
    replayed,
)

from gym_stepwise_routing.baselines import AlwaysLargest, ConfidenceThreshold, EveryOther, RandomMix
from gym_stepwise_routing.leaderboard.blindness import MOST_JITTERED, check_blindness, check_gain, check_scores
from gym_stepwise_routing.leaderboard.playing import play_on, play_router
from gym_stepwise_routing.leaderboard.track import PLAIN, game_of


def codes(track, router, make=None):
    def copied():
        return copy.deepcopy(router)

    played = play_on(track, copied() if make is None else make(), game_of(track))
    return {fault.code for fault in check_blindness(track, make or copied, played, PLAIN)}


def score_codes(track, router):
    played = play_router(track, copy.deepcopy(router), view=PLAIN, selection=None)
    return {fault.code for fault in check_scores(track, lambda: copy.deepcopy(router), played, PLAIN)}


@pytest.mark.parametrize(
    "router",
    [
        AlwaysLargest(),
        EveryOther(1),
        ConfidenceThreshold("entropy_mean", 0.3),
        ConfidenceThreshold("p_min", 0.0),
        Remembering(),
        Masked("p_min", 0.6),
    ],
    ids=lambda router: type(router).__name__,
)
@pytest.mark.parametrize("on", ["track", "sample_track"])
def test_honest_routers_pass(router, on, request):
    assert codes(request.getfixturevalue(on), router) == set()


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda track: ByPosition(), {"order", "names"}),
        (lambda track: replayed(track), {"order", "names"}),
        (lambda track: ByComparison(), {"batch"}),
        (lambda track: RandomMix(0.5), {"order"}),
        (lambda track: ByTable(track), {"precision"}),
        (lambda track: ByName(track), {"names"}),
    ],
    ids=["position", "replay", "comparison", "noise", "table", "name"],
)
def test_cheating_routers_are_found(make, expected, track):
    assert expected <= codes(track, make(track))


def test_a_router_that_counts_its_calls_is_found(track):
    assert codes(track, ByCounting())


def test_a_threshold_right_at_a_common_figure_is_no_table(track):
    """Half of all steps have the very length that the threshold asks for; moving the last bit crosses it one way."""
    lengths = figures(track, "question_tokens")
    assert codes(track, ByOneFigure("question_tokens", float(np.median(lengths)))) == set()


def test_a_sweep_along_a_common_figure_is_no_table(track):
    """Four in ten questions have two sentences: they cross the threshold that is just that figure, one way."""
    values, counts = np.unique(figures(track, "question_sentences"), return_counts=True)
    common = float(values[counts.argmax()])
    assert counts.max() / counts.sum() > MOST_JITTERED
    router = ByOneFigure("question_sentences", 0.5)
    played = play_router(track, copy.deepcopy(router), view=PLAIN, selection=None)
    assert common in played.thresholds
    assert check_scores(track, lambda: copy.deepcopy(router), played, PLAIN) == []


def figures(track, name):
    game = game_of(track)
    return game.table.observation[game.table.roots, game.spec.feature_names.index(name)]


def test_a_router_may_scale_its_observations_in_place(track):
    router = InPlace("p_min", 0.6)
    assert codes(track, router) == score_codes(track, router) == set()


@pytest.mark.parametrize("on", ["track", "sample_track"])
@pytest.mark.parametrize("figure", ["entropy_mean", "p_min"])
def test_honest_scores_pass(on, figure, request):
    assert score_codes(request.getfixturevalue(on), ConfidenceThreshold(figure, 0.3)) == set()


@pytest.mark.parametrize("hidden", [1.0, 1e-7], ids=["openly", "in the last bits"])
def test_a_sweep_that_knows_the_places_is_found(track, hidden):
    """Its decisions are honest, only what the sweep asks for is not: APGR, AIQ and CPT would be forged."""
    router = ScoresByPosition(track, hidden)
    assert codes(track, router) == set()
    assert "order" in score_codes(track, router)


def test_a_sweep_from_a_table_is_found_by_the_last_bit_alone(track):
    """No decision of its own is forged, and its scores know no places."""
    router = ScoresByTable(track)
    assert codes(track, router) == set()
    assert score_codes(track, router) == {"precision"}
    assert gain_codes(track, router) == {"gain"}


def test_a_sweep_from_a_table_that_the_last_bit_does_not_change_is_found(track):
    router = ScoresByTable(track, ByRoundedTable)
    assert codes(track, router) == score_codes(track, router) == set()
    assert gain_codes(track, router) == {"gain"}


def test_a_small_table_costs_gain_when_the_last_bit_moves(track):
    """Too few problems for the share that may change, but all that it gains comes from them."""
    router = SmallTable(track)
    assert codes(track, router) == {"precision"}


def gain_codes(track, router):
    played = play_router(track, copy.deepcopy(router), view=PLAIN, selection=None)
    return {fault.code for fault in check_gain(track, lambda: copy.deepcopy(router), played, PLAIN)}


def test_a_table_that_the_last_bit_does_not_change_is_found(track):
    router = ByRoundedTable(track)
    assert codes(track, router) == set()
    assert gain_codes(track, router) == {"gain"}


def test_a_policy_fitted_to_the_test_problems_is_found(track):
    """It has learned the oracle's answers by heart; nothing but its weights would tell."""
    from sklearn.neighbors import KNeighborsClassifier

    from gym_stepwise_routing.routers.base import Router

    table = ByTable(track)
    table.bind(game_of(track).spec)
    seen = np.stack([np.frombuffer(key, dtype=np.float32) for key in table.answers])
    nearest = KNeighborsClassifier(1).fit(seen, list(table.answers.values()))

    class ByHeart(Router):
        def predict(self, observation, state=None, episode_start=None, deterministic=True):
            return nearest.predict(observation).astype(np.int64), state

    assert gain_codes(track, ByHeart()) == {"gain"}


@pytest.mark.parametrize("on", ["track", "sample_track"])
@pytest.mark.parametrize("router", [AlwaysLargest(), EveryOther(1), ConfidenceThreshold("entropy_mean", 0.3)])
def test_an_honest_gain_is_that_of_other_problems(on, router, request):
    assert gain_codes(request.getfixturevalue(on), router) == set()


def test_a_router_that_refuses_to_be_copied_is_loaded_anew(track):
    assert "rerun" in codes(track, None, make=Uncopied)
