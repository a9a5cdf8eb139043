"""The simulator as a step source: the contract, the seeds, and that it draws what its process says."""

from __future__ import annotations

import itertools
import pickle

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import gym_stepwise_routing  # noqa: F401  (registers the environment)
from gym_stepwise_routing.game.transitions import Rules
from gym_stepwise_routing.sources import resolve
from gym_stepwise_routing.sources.contract import StepSource
from gym_stepwise_routing.sources.simulator import PRESETS, SimulatorSource, load_preset
from gym_stepwise_routing.sources.simulator.process import both_flip
from gym_stepwise_routing.sources.simulator.score_signals import confidence_rows
from gym_stepwise_routing.sources.simulator.threshold_curves import solo, threshold_rule
from gym_stepwise_routing.types import CONFIDENCE, SOURCES, SPLITS


def play(source, model, episodes, seed=0):
    """One model alone: right, steps, tokens of each episode."""
    rng = np.random.default_rng(seed)
    state = source.start(rng.integers(2**40, size=episodes), rng)
    right, steps, tokens = np.zeros(episodes, bool), np.zeros(episodes), np.zeros(episodes)
    number = np.arange(episodes)
    while len(state):
        state = source.step(state, np.full(len(state), model), rng)
        right[number], steps[number] = state.correct, state.depth
        tokens[number] += state.tokens
        going = np.flatnonzero(~state.terminal)
        state, number = state.take(going), number[going]
    return right, steps, tokens


def within(sample, expected, sigmas=4.5):
    return abs(sample.mean() - expected) <= sigmas * sample.std() / np.sqrt(len(sample))


def test_the_presets_are_those_that_are_documented():
    assert set(PRESETS) == {"gsm8k-like", "math-qwen2.5", "math-qwen2.5-3", "omni-like"}


@pytest.mark.parametrize("preset", PRESETS)
def test_it_is_a_step_source_and_says_what_it_is(preset):
    source = resolve(preset)
    assert isinstance(source, StepSource)
    assert isinstance(source, SimulatorSource)
    assert (source.kind, source.name, source.simulated, source.deterministic) == ("simulator", preset, True, False)
    assert len(source.pool) == (3 if preset.endswith("-3") else 2)
    assert (source.pool.verifier is None) == (preset == "gsm8k-like")


def test_splits_are_disjoint_and_as_large_as_asked():
    source = SimulatorSource("gsm8k-like", problems=50)
    numbers = np.concatenate([source.problems(split) for split in SPLITS])
    assert len(np.unique(numbers)) == 150
    assert len(set(source.problem_ids(numbers))) == 150
    with pytest.raises(ValueError, match="split='dev'"):
        source.problems("dev")


def test_difficulty_belongs_to_the_problem():
    source, other = (SimulatorSource("math-qwen2.5", problems=20_000, seed=seed) for seed in (0, 1))
    numbers = source.problems("test")
    levels = source.levels(numbers)
    np.testing.assert_array_equal(levels, source.levels(numbers))
    assert within(levels == 1, source.process.shares[1])
    assert 0.2 < (levels != other.levels(numbers)).mean() < 0.5


@pytest.mark.parametrize("preset", PRESETS)
def test_shapes_and_ranges(preset):
    source, rng = SimulatorSource(preset), np.random.default_rng(0)
    state = source.start(np.arange(1000), rng)
    assert (state.model == -1).all()
    assert (state.depth == 0).all()
    assert np.isnan(state.confidence).all()
    for depth in range(1, source.horizon + 1):
        state = source.step(state, rng.integers(len(source.pool), size=len(state)), rng)
        assert (state.depth == depth).all()
        assert state.tokens.dtype == np.int64
        assert state.tokens.min() >= 1
        assert state.confidence.shape == (len(state), len(CONFIDENCE))
        assert np.isfinite(state.confidence).all()
        assert (state.correct <= state.terminal).all()
        assert (state.available.any(axis=1) == ~state.terminal).all()
        if source.pool.verifier is None:
            assert np.isnan(state.score).all()
        else:
            assert state.score.min() > 0
            assert state.score.max() < 1
        state = state.take(np.flatnonzero(~state.terminal))
    assert len(state) == 0  # everyone has stopped at the horizon


def test_a_step_leaves_the_state_before_it_alone():
    source, rng = SimulatorSource("math-qwen2.5"), np.random.default_rng(0)
    state = source.start(np.arange(100), rng)
    before = pickle.dumps(state)
    source.step(state, np.ones(100, dtype=np.int64), rng)
    assert pickle.dumps(state) == before


def test_randomness_comes_from_the_generator_alone():
    source = SimulatorSource("omni-like")

    def trace(seed):
        rng = np.random.default_rng(seed)
        return source.step(source.start(np.arange(200), rng), np.zeros(200, dtype=np.int64), rng)

    np.random.seed(0)  # noqa: NPY002  (the global generator must not matter)
    first = pickle.dumps(trace(5))
    np.random.seed(1)  # noqa: NPY002
    assert pickle.dumps(trace(5)) == first
    assert pickle.dumps(trace(6)) != first


@pytest.mark.parametrize("preset", PRESETS)
def test_each_model_alone_does_as_expected(preset):
    source = SimulatorSource(preset)
    for model in range(len(source.pool)):
        expected = solo(source.process, model)
        right, steps, tokens = play(source, model, 40_000, seed=model)
        assert within(right, expected.accuracy)
        assert within(steps, expected.steps)
        assert within(tokens, expected.tokens)
        lengths = np.bincount(steps[right].astype(int), minlength=source.horizon + 1)[1:] / len(right)
        assert abs(lengths - expected.right_length).max() < 0.012


@pytest.mark.parametrize("threshold", [0.05, 0.5, 0.95])
def test_the_threshold_rule_by_the_rules_does_as_expected(threshold):
    source, rng, n = SimulatorSource("math-qwen2.5"), np.random.default_rng(1), 30_000
    rules = Rules(source, mode="regenerate", observation=("verifier",), cost_unit="large_tokens")
    game = rules.start(rng.integers(2**40, size=n), rng)
    right, spent, number = np.zeros(n, bool), np.zeros(n), np.arange(n)
    while len(game):
        game = rules.step(game, (game.lookahead.score < threshold).astype(np.int64), rng)
        right[number], spent[number] = game.trace.correct, rules.cost(game)
        going = np.flatnonzero(~game.trace.terminal)
        game, number = game.take(going), number[going]
    expected = threshold_rule(source.process, [threshold])
    assert within(right, expected.accuracy[0])
    assert within(spent, expected.large_tokens[0])


def test_the_second_writer_of_a_step_shares_the_luck_of_the_first():
    source, rng, n = SimulatorSource("math-qwen2.5"), np.random.default_rng(2), 200_000
    state = source.start(rng.integers(2**40, size=n), rng)
    state = state.take(np.flatnonzero(state.latent["level"] == 0))
    state = source.step(state, np.zeros(len(state), dtype=np.int64), rng)
    state = state.take(np.flatnonzero(~state.latent["wrong"] & ~state.terminal))
    small, large = (source.step(state, np.full(len(state), m), rng).latent["wrong"] for m in (0, 1))
    process = source.process
    flips = process.flip[0, :, 0, 1]
    assert within(small, flips[0])
    assert within(large, flips[1])
    assert within(small & large, float(both_flip(flips[0], flips[1], process.coupling)))
    assert (small & large).mean() > 2 * flips[0] * flips[1]  # far from independent


def test_confidence_figures_are_recorded_ones_and_errors_look_less_confident():
    source, rng = SimulatorSource("gsm8k-like"), np.random.default_rng(3)
    rows, borders = confidence_rows("gsm8k-qwen2.5-coder")
    state = source.step(source.start(np.arange(30_000), rng), np.zeros(30_000, dtype=np.int64), rng)
    known = {row.tobytes() for row in rows.reshape(-1, len(CONFIDENCE))}
    assert {row.tobytes() for row in state.confidence[:2000]} <= known
    place = (state.confidence[:, :1] > borders + 5e-5).sum(axis=1)
    for status, wrong in ((0, False), (1, True)):
        drawn = place[state.latent["wrong"] == wrong]
        shares = np.bincount(drawn, minlength=len(rows)) / len(drawn)
        np.testing.assert_allclose(shares, source.process.confidence[0, status], atol=0.02)
    assert state.confidence[state.latent["wrong"], 0].mean() < state.confidence[~state.latent["wrong"], 0].mean() - 0.03


def test_a_probe_shows_the_first_token_of_the_step_that_it_looks_ahead_to():
    source, rng = SimulatorSource("gsm8k-like"), np.random.default_rng(4)
    figures, decoded, ahead = source.probe(source.start(np.arange(50), rng), rng)
    assert decoded.all()
    names = [CONFIDENCE.index("entropy_first"), CONFIDENCE.index("margin_first")]
    np.testing.assert_array_equal(figures, ahead.confidence[:, names])
    assert (ahead.model == 0).all()
    assert source.texts(ahead.latent) == [""] * 50


@pytest.mark.parametrize("mode", ["route", "escalate", "regenerate"])
@pytest.mark.filterwarnings("error")
def test_the_environment_plays_it(mode):
    env = gym.make("StepwiseRouting-v0", source="math-qwen2.5-3", mode=mode, normaliser=1e13, disable_env_checker=True)
    check_env(env.unwrapped, skip_render_check=True)
    observation, info = env.reset(seed=7)
    assert SOURCES[info["source"]] == "simulator"
    again, _ = env.reset(seed=7)
    np.testing.assert_array_equal(observation, again)
    assert env.unwrapped.routing_spec.simulated


def test_bad_sources():
    with pytest.raises(ValueError, match=r"preset='math'.*'gsm8k-like', 'math-qwen2.5', 'math-qwen2.5-3', 'omni-like'"):
        SimulatorSource("math")
    with pytest.raises(ValueError, match="problems=0"):
        SimulatorSource("gsm8k-like", problems=0)
    with pytest.raises(ValueError, match="seed=-1"):
        SimulatorSource("gsm8k-like", seed=-1)
    for bad in (2.5, float("nan"), True, "7"):
        with pytest.raises(ValueError, match=f"problems={bad!r}; allowed: an integer >= 1"):
            SimulatorSource("gsm8k-like", problems=bad)
    for bad in (1.5, True):
        with pytest.raises(ValueError, match=f"seed={bad!r}; allowed: an integer >= 0"):
            SimulatorSource("gsm8k-like", seed=bad)
        with pytest.raises(ValueError, match=f"key={bad!r}; allowed: an integer >= 0"):
            SimulatorSource("gsm8k-like", key=bad)
    source, rng = SimulatorSource("gsm8k-like"), np.random.default_rng(0)
    for model in (-1, 2):
        with pytest.raises(ValueError, match=rf"models=\[{model}\]; allowed: 0 to 1"):
            source.step(source.start(np.arange(3), rng), np.full(3, model), rng)
    with pytest.raises(ValueError, match="has no verifier"):
        Rules(SimulatorSource("gsm8k-like"), mode="route", observation=("verifier",), cost_unit="flops")
    with pytest.raises(ValueError, match="thresholds="):
        threshold_rule(SimulatorSource("math-qwen2.5").process, [0.33])
    with pytest.raises(ValueError, match="needs scores"):
        threshold_rule(SimulatorSource("gsm8k-like").process, [0.5])


@pytest.fixture(scope="module")
def keyed():
    return SimulatorSource("math-qwen2.5-3", problems=400, key=3)


def decided(source, decisions, rng=None):
    """Right and total tokens of each problem of the test split under decisions ``int[B, horizon]``."""
    rng = np.random.default_rng(0) if rng is None else rng
    state = source.start(source.problems("test"), rng)
    right, tokens, number = np.zeros(len(state), bool), np.zeros(len(state), np.int64), np.arange(len(state))
    while len(state):
        state = source.step(state, decisions[number, state.depth], rng)
        right[number] = state.correct
        tokens[number] += state.tokens
        going = np.flatnonzero(~state.terminal)
        state, number = state.take(going), number[going]
    return right, tokens


def test_with_a_key_one_decision_changes_no_other_problem(keyed):
    decisions = np.random.default_rng(0).integers(3, size=(400, keyed.horizon))
    right, tokens = decided(keyed, decisions)
    changed = 0
    for problem in range(0, 400, 20):
        other = decisions.copy()
        other[problem, 0] = (other[problem, 0] + 1) % 3
        now = decided(keyed, other, np.random.default_rng(problem))
        others = np.arange(400) != problem
        np.testing.assert_array_equal(now[0][others], right[others])
        np.testing.assert_array_equal(now[1][others], tokens[others])
        changed += now[1][problem] != tokens[problem]
    assert changed >= 15  # the problem itself does change


def test_with_a_key_the_order_of_problems_and_the_generator_do_not_matter(keyed):
    problems = keyed.problems("test")
    order = np.random.default_rng(1).permutation(len(problems))
    plain = keyed.step(keyed.start(problems, None), np.ones(400, np.int64), None)
    shuffled = keyed.step(keyed.start(problems[order], None), np.ones(400, np.int64), None)
    assert pickle.dumps(plain.take(order)) == pickle.dumps(shuffled.take(np.arange(400)))


def test_problems_of_neighbouring_seeds_are_not_the_same_ones_moved():
    """As they would be if item i of a seed were item 0 of seed + i."""
    problems = np.arange(2000)
    levels = [SimulatorSource("math-qwen2.5", seed=seed).levels(problems) for seed in range(3)]
    chance = sum(share**2 for share in load_preset("math-qwen2.5").parameters.level_shares)
    for first, second in itertools.pairwise(levels):
        for shift in range(-3, 4):
            equal = np.mean(np.roll(first, shift) == second)
            assert abs(equal - chance) < 5 * np.sqrt(chance * (1 - chance) / len(problems)), shift


def test_keys_and_seeds_give_other_draws(keyed):
    decisions = np.ones((400, keyed.horizon), np.int64)
    tokens = [
        decided(SimulatorSource("math-qwen2.5-3", problems=400, **other), decisions)[1]
        for other in ({"key": 3}, {"key": 4}, {"key": 3, "seed": 1})
    ]
    np.testing.assert_array_equal(tokens[0], decided(keyed, decisions)[1])
    assert (tokens[0] != tokens[1]).mean() > 0.8
    assert (tokens[0] != tokens[2]).mean() > 0.8
    with pytest.raises(ValueError, match="key=-1"):
        SimulatorSource("gsm8k-like", key=-1)


def test_keyed_bits_are_uniform_and_unrelated(keyed):
    from scipy.stats import chi2

    problems, grid = np.arange(20_000), [(depth, model) for depth in (1, 2) for model in (0, 1)]
    bits = np.concatenate([keyed._keyed_bits(problems, np.full(20_000, d), np.full(20_000, m)) for d, m in grid])
    counts = np.stack([np.bincount(row >> 10, minlength=64) for row in bits])
    statistic = ((counts - 20_000 / 64) ** 2 / (20_000 / 64)).sum(axis=1)
    assert statistic.max() < chi2.isf(1e-4 / len(bits), 63)
    correlation = np.corrcoef(bits.astype(float)) - np.eye(len(bits))
    assert np.abs(correlation).max() < 5 / np.sqrt(20_000)
    neighbours = [np.corrcoef(row[:-1].astype(float), row[1:])[0, 1] for row in bits]
    assert np.abs(neighbours).max() < 5 / np.sqrt(20_000)


@pytest.mark.parametrize("preset", PRESETS)
def test_keyed_draws_follow_the_same_process(preset):
    free, keyed = SimulatorSource(preset), SimulatorSource(preset, key=0)
    for model in range(len(free.pool)):
        one, other = (play(source, model, 20_000) for source in (free, keyed))
        for a, b in zip(one, other, strict=True):
            a, b = a.astype(float), b.astype(float)
            assert abs(a.mean() - b.mean()) < 4.5 * np.sqrt((a.var() + b.var()) / 20_000)
