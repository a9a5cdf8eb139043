"""Constants."""

from __future__ import annotations

import numpy as np
import pytest
from fake_sources import TreeSource

from gym_stepwise_routing.baselines import AlwaysLargest, AlwaysModel, AlwaysSmallest
from gym_stepwise_routing.game.game import Game


@pytest.mark.parametrize(
    ("router", "action", "name"),
    [
        (AlwaysSmallest(), 0, "always-smallest"),
        (AlwaysLargest(), 2, "always-largest"),
        (AlwaysModel(1), 1, "always-1"),
        (AlwaysModel(-2), 1, "always--2"),
    ],
)
def test_the_same_model_always(router, action, name):
    router.bind(Game(TreeSource(models=3)).spec)
    actions, state = router.predict(np.zeros((4, 9), dtype=np.float32))
    assert (actions.tolist(), actions.dtype, state) == ([action] * 4, np.int64, None)
    assert router.name == name


@pytest.mark.parametrize("model", [3, -4])
def test_a_model_that_is_not_in_the_pool(model):
    with pytest.raises(ValueError, match=f"model={model}; allowed: -3 to 2 with"):
        AlwaysModel(model).bind(Game(TreeSource(models=3)).spec)
