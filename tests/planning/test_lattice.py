"""Lengths on a lattice: same mean, and spread or gathered as the bound needs."""

from __future__ import annotations

import numpy as np
import pytest
from simulator_toys import toy

from gym_stepwise_routing.planning import Planner
from gym_stepwise_routing.planning.lattice import _gathered, _most_unread, _spread
from gym_stepwise_routing.sources.simulator import SimulatorSource

LENGTHS = np.sort(np.random.default_rng(0).lognormal(3.5, 0.7, 500).astype(np.int64) + 1)


@pytest.mark.parametrize("spacing", [1, 3, 8, 50])
def test_spread_keeps_the_mean_and_grows_in_convex_order(spacing):
    chances = _spread(LENGTHS, spacing)
    points = np.arange(len(chances)) * spacing
    assert chances.sum() == pytest.approx(1)
    assert chances @ points == pytest.approx(LENGTHS.mean())
    for kink in (10, 25, 60, 120):
        assert chances @ np.maximum(points - kink, 0) >= np.maximum(LENGTHS - kink, 0).mean() - 1e-9


@pytest.mark.parametrize("spacing", [1, 3, 8, 50])
def test_gathered_shrinks_in_convex_order_but_for_rounding_up(spacing):
    chances = _gathered(LENGTHS, spacing)
    points = np.arange(len(chances)) * spacing
    assert chances.sum() == pytest.approx(1)
    assert LENGTHS.mean() - 1e-9 <= chances @ points <= LENGTHS.mean() + spacing
    for level in (10, 25, 60, 120):  # falling convex functions: what rounding up lowers further
        assert chances @ np.maximum(level - points, 0) <= np.maximum(level - LENGTHS, 0).mean() + 1e-9


def test_a_spacing_of_one_is_exact():
    exact = np.bincount(LENGTHS) / len(LENGTHS)
    for chances in (_spread(LENGTHS, 1), _gathered(LENGTHS, 1)):
        np.testing.assert_allclose(chances[: len(exact)], exact, atol=1e-12)


@pytest.mark.parametrize("preset", ["gsm8k-like", "math-qwen2.5"])
def test_no_trace_leaves_the_lattice(preset):
    source, rng = SimulatorSource(preset), np.random.default_rng(0)
    longest = np.zeros(50_000)
    for model in range(2):
        state = source.start(np.arange(50_000), rng)
        total, number = np.zeros(50_000), np.arange(50_000)
        while len(state):
            state = source.step(state, np.full(len(state), model), rng)
            total[number] += state.tokens
            going = np.flatnonzero(~state.terminal)
            state, number = state.take(going), number[going]
        longest = np.maximum(longest, total)
    assert longest.max() <= _most_unread(source.process) <= source.process.tokens.max() * source.horizon
    if preset == "gsm8k-like":  # the mean lengths do not suffice
        assert longest.max() > source.process.mean_tokens.max() * source.horizon


def test_the_end_of_the_lattice_is_exact_where_lengths_are():
    source = SimulatorSource(toy())
    assert _most_unread(source.process) == 1 + source.process.tokens.max() * 3
    assert Planner(source, cost_unit="flops", spacing=1).program.lattice.size >= 1 + source.process.tokens.max() * 3
