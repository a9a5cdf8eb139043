"""Process reward: means along paths, and what its weight does."""

from __future__ import annotations

import numpy as np
import pytest
from fake_sources import TreeSource, Untabulated

from gym_stepwise_routing.baselines.experience import experience
from gym_stepwise_routing.baselines.fitted_q import FittedQ
from gym_stepwise_routing.baselines.process_reward import ProcessReward, mean_scores
from gym_stepwise_routing.errors import NotApplicableError
from gym_stepwise_routing.game.game import Game


@pytest.fixture(scope="module")
def game():
    return Game(TreeSource(0, problems=60), observation=["progress", "confidence"], cost_unit="large_tokens")


def test_means_run_along_the_path(game):
    known = experience(game)
    score = np.random.default_rng(0).random(len(known))
    score[known.depth == 0] = np.nan
    found = mean_scores(known, score)
    parent = np.full(len(known), -1)
    for action in range(known.child.shape[1]):
        has = known.child[:, action] >= 0
        parent[known.child[has, action]] = np.flatnonzero(has)
    for row in np.random.default_rng(1).integers(0, len(known), 40):
        path, at = [], row
        while parent[at] >= 0:
            path.append(score[at])
            at = parent[at]
        assert found[row] == pytest.approx(np.mean(path) if path else 0)


def test_without_weight_it_is_a_fitted_q(game):
    scores = np.random.default_rng(0).random(int(game.table.node.max()) + 1)
    plain, shaped = FittedQ(0.3).fit(game), ProcessReward(0.3, weight=0.0).fit_scored(game, scores)
    seen = game.table.observation
    np.testing.assert_allclose(shaped.gains(seen), plain.gains(seen))


def test_with_all_the_weight_it_goes_where_the_scores_are(game):
    known, node = experience(game), game.table.node
    scores = np.zeros(int(node.max()) + 1)
    for row in np.flatnonzero(~known.ended):
        scores[node[known.child[row, 1]]] = 1.0
    router = ProcessReward(0.0, weight=1.0).fit_scored(game, scores)
    going = ~known.ended
    assert (router.predict(known.observation[going])[0] == 1).mean() > 0.95
    other = ProcessReward(0.0, weight=1.0).fit_scored(game, 1 - scores)
    assert (other.predict(known.observation[going])[0] == 0).mean() > 0.95


def test_what_it_needs(game):
    nothing = np.full(int(game.table.node.max()) + 1, np.nan)
    with pytest.raises(NotApplicableError, match="no scores of its train steps"):
        ProcessReward(0.0).fit_scored(game, nothing)
    random = Game(Untabulated(TreeSource(0)), observation=["progress"])
    with pytest.raises(NotApplicableError, match="is random"):
        ProcessReward(0.0).fit_scored(random, nothing)
    with pytest.raises(ValueError, match="weight=2"):
        ProcessReward(0.0, weight=2)
