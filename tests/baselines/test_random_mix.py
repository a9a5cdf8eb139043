"""Random mixing of the smallest and the largest model."""

from __future__ import annotations

import numpy as np
import pytest
from fake_sources import TreeSource

from gym_stepwise_routing.baselines import RandomMix
from gym_stepwise_routing.game.game import Game


@pytest.mark.parametrize("p", [0.0, 0.2, 0.7, 1.0])
def test_the_largest_model_has_probability_p(p):
    router = RandomMix(p, seed=1)
    router.bind(Game(TreeSource(models=3)).spec)
    actions, _ = router.predict(np.zeros((20_000, 1)))
    assert set(actions.tolist()) <= {0, 2}
    assert (actions == 2).mean() == pytest.approx(p, abs=4 * np.sqrt(p * (1 - p) / 20_000))


def test_binding_starts_the_noise_afresh():
    router, spec = RandomMix(0.5, seed=3), Game(TreeSource()).spec
    router.bind(spec)
    first, following = (router.predict(np.zeros((50, 1)))[0] for _ in range(2))
    router.bind(spec)
    np.testing.assert_array_equal(router.predict(np.zeros((50, 1)))[0], first)
    assert (first != following).any()


@pytest.mark.parametrize("p", [-0.1, 1.1, float("nan")])
def test_bad_probabilities(p):
    with pytest.raises(ValueError, match=r"p=.*; allowed: 0 to 1"):
        RandomMix(p)
