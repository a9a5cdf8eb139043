"""TRIM-POMDP: the planner against exhaustive search, the estimates against a tree counted by hand."""

from __future__ import annotations

import numpy as np
import pytest
from fake_sources import TreeSource, Untabulated

from gym_stepwise_routing.baselines import AlwaysLargest, AlwaysSmallest
from gym_stepwise_routing.baselines.experience import Experience, experience, path_values
from gym_stepwise_routing.baselines.trim_pomdp import BINS, FRESH, LOST, PRIOR, SOUND, Pomdp, TrimPomdp, estimate, plan
from gym_stepwise_routing.errors import NotApplicableError
from gym_stepwise_routing.evaluation.evaluate import play
from gym_stepwise_routing.game.game import Game

BLOCKS = ("progress", "verifier")


def random_process(seed: int, steps: int) -> Pomdp:
    rng = np.random.default_rng(seed)
    ends = rng.uniform(0, 1, (steps, 2))
    ends[-1] = 1
    return Pomdp(
        edges=np.linspace(0, 1, BINS + 1)[1:-1],
        first=rng.dirichlet(np.ones(3)),
        moves=rng.dirichlet(np.ones(3), (2, 3)),
        seen=rng.dirichlet(np.ones(BINS), 3),
        ends=ends,
        right=rng.uniform(0, 1, (2, 3)),
        cost=rng.uniform(0, 1, (steps, 2)),
    )


def search(process: Pomdp, price: float, belief: np.ndarray, step: int) -> float:
    """Best expected value at a belief, by trying every action after every observation."""
    values = []
    for action in range(2):
        value = -price * process.cost[step, action] + process.ends[step, action] * process.right[action] @ belief
        if step + 1 < len(process.cost):
            ahead = (belief @ process.moves[action])[:, None] * process.seen
            later = sum(
                ahead[:, seen].sum() * search(process, price, ahead[:, seen] / ahead[:, seen].sum(), step + 1)
                for seen in range(BINS)
            )
            value += (1 - process.ends[step, action]) * later
        values.append(value)
    return max(values)


@pytest.mark.parametrize("seed", range(4))
def test_plans_of_two_steps_are_exact_at_the_grid(seed):
    process = random_process(seed, 2)
    plans = plan(process, 0.4)
    for belief in (np.array([1, 0, 0]), np.array([0, 0.5, 0.5]), np.array([0.25, 0.5, 0.25])):
        assert (plans[0] @ belief).max() == pytest.approx(search(process, 0.4, belief, 0), abs=1e-10)


@pytest.mark.parametrize("seed", range(3))
def test_longer_plans_are_close_and_never_too_hopeful(seed):
    process = random_process(seed, 4)
    plans = plan(process, 0.4)
    for belief in np.random.default_rng(seed).dirichlet(np.ones(3), 3):
        exact, found = search(process, 0.4, belief, 0), (plans[0] @ belief).max()
        assert exact - 0.01 <= found <= exact + 1e-10


def test_hidden_states_are_counted():
    """Two problems: in the first keeping is sound; in the second it spoils the trace, and rewriting saves it."""
    child = np.array([[2, 3], [4, 5], *[[-1, -1]] * 4])
    known = Experience(
        observation=np.zeros((6, 1), dtype=np.float32),
        problem=np.array([0, 1, 0, 0, 1, 1]),
        depth=np.array([0, 0, 1, 1, 1, 1]),
        mask=child >= 0,
        child=child,
        cost=np.array([0, 0, 0.1, 0.5, 0.2, 0.6]),
        right=np.array([0.0, 0, 1, 1, 0, 1]),
        ended=np.array([False, False, True, True, True, True]),
    )
    process = estimate(known, np.array([0.9, 0.2, 0, 0, 0, 0]), horizon=1)
    third = PRIOR / 3
    np.testing.assert_allclose(process.first, np.array([1 + third, 1 + third, third]) / (2 + PRIOR))
    np.testing.assert_allclose(process.cost, [[0.15, 0.55]])
    np.testing.assert_allclose(process.ends, [[1, 1]])
    half = 0.5  # weight of each action in each state
    expected = [[half + PRIOR / 2, PRIOR / 2, PRIOR / 2], [half + PRIOR / 2, half + PRIOR / 2, PRIOR / 2]]
    total = [[half + PRIOR, half + PRIOR, PRIOR], [half + PRIOR, half + PRIOR, PRIOR]]
    np.testing.assert_allclose(process.right, np.array(expected) / total)
    assert process.seen[SOUND].argmax() > process.seen[FRESH].argmax()
    np.testing.assert_allclose(process.seen[LOST], 1 / BINS)


def perfect_game():
    """Trees whose verifier says exactly whether the large model could still save the trace."""
    source = TreeSource(5, problems=240, verifier=True, horizon=3)
    plain = Game(source, mode="route", observation=["progress"])
    for split in ("train", "calibration", "test"):
        table = Game(source, split=split, mode="route", observation=["progress"], normaliser=plain.normaliser).table
        known = experience(Game(source, split=split, observation=["progress"], normaliser=1.0))
        saved = path_values(known, np.ones(len(known), dtype=int), known.right, np.zeros(len(known)))
        inner = table.node >= 0
        source.score[table.node[inner]] = np.where(table.depth[inner] > 0, 0.05 + 0.9 * saved[inner], np.nan)
    return source


def test_with_a_perfect_verifier_rewriting_is_for_what_it_saves():
    source = perfect_game()
    train, test = (
        Game(source, split=split, mode="regenerate", cost_unit="large_tokens", observation=BLOCKS)
        for split in ("train", "test")
    )
    router = TrimPomdp(0.1).fit(train)
    found, large, small = (play(each, test) for each in (router, AlwaysLargest(), AlwaysSmallest()))
    assert found.accuracy >= large.accuracy
    assert found.mean_cost < 0.7 * large.mean_cost
    assert found.accuracy > small.accuracy + 0.2
    assert play(TrimPomdp(100.0).fit(train), test).mean_cost == 0


def test_beliefs_begin_afresh_with_an_episode():
    game = Game(perfect_game(), mode="regenerate", observation=BLOCKS)
    router = TrimPomdp(0.1).fit(game)
    observation = game.table.observation[:5]
    actions, state = router.predict(observation)
    again, later = router.predict(observation, state, np.ones(5, dtype=bool))
    np.testing.assert_array_equal(actions, again)
    np.testing.assert_allclose(state, later)
    assert not np.allclose(router.predict(observation, state, np.zeros(5, dtype=bool))[1], state)


def test_what_it_needs():
    source = TreeSource(0, verifier=True)
    with pytest.raises(NotApplicableError, match="mode 'route' has none"):
        TrimPomdp(0.1).fit(Game(source, observation=BLOCKS))
    with pytest.raises(NotApplicableError, match="feature 'score' is not observed"):
        TrimPomdp(0.1).fit(Game(source, mode="regenerate", observation=["progress"]))
    with pytest.raises(NotApplicableError, match="is random"):
        TrimPomdp(0.1).fit(Game(Untabulated(source), mode="regenerate", observation=BLOCKS))
    with pytest.raises(ValueError, match="price=-1; allowed: >= 0"):
        TrimPomdp(-1)
