"""Known answers for agents and calibration: what they reach, against an optimum and risks that are known exactly."""

from __future__ import annotations

import numpy as np
import pytest
from simulator_toys import toy

from gym_stepwise_routing.game import Game
from gym_stepwise_routing.planning import Planner
from gym_stepwise_routing.sources.simulator import SimulatorSource
from gym_stepwise_routing.sources.simulator.curves import threshold_rule

BUDGET = 0.25


@pytest.mark.slow
def test_lagrangian_ppo_reaches_the_constrained_optimum():
    th = pytest.importorskip("torch")
    lagrangian_ppo = pytest.importorskip("gym_stepwise_routing.agents.lagrangian_ppo")
    sb3 = pytest.importorskip("gym_stepwise_routing.sb3")
    th.set_num_threads(1)
    no_repair = ((0.0, 0.0), (0.0, 0.0))
    source = SimulatorSource(toy(scores=True, confidence=False, repair=no_repair, recovery=(0.0, 0.0)), problems=50_000)
    planner = Planner(source, mode="regenerate", cost_unit="large_tokens", information="score")
    frontier = planner.frontier()
    game = {
        "source": source,
        "mode": "regenerate",
        "cost_unit": "large_tokens",
        "observation": ("progress", "verifier"),
        "normaliser": planner.costs.normaliser,
    }
    agent = lagrangian_ppo.LagrangianPPO(
        "MlpPolicy",
        sb3.RoutingVecEnv(256, seed=0, **game),
        limit=BUDGET,
        n_steps=32,
        batch_size=2048,
        n_epochs=10,
        learning_rate=lambda left: 3e-3 * left,
        multiplier_init=0.5,
        seed=0,
        policy_kwargs={"net_arch": [64]},
        device="cpu",
    )
    agent.learn(400_000)
    arena = sb3.RoutingVecEnv(4096, seed=1, split="test", **game)
    observation, episodes = arena.reset(), []
    for _ in range(30):
        actions, _ = agent.predict(observation, deterministic=False, action_masks=arena.action_masks())
        observation, _, done, infos = arena.step(actions)
        episodes += [(infos[row]["episode"]["r"], infos[row]["episode"]["c"]) for row in np.flatnonzero(done)]
    accuracy, cost = np.mean(episodes, axis=0)
    cheap, dear = frontier.solutions[0], frontier.solutions[-1]
    mixture = cheap.accuracy + (dear.accuracy - cheap.accuracy) * (cost - cheap.cost) / (dear.cost - cheap.cost)
    assert abs(cost - BUDGET) <= 0.03
    assert frontier.upper(cost) - accuracy <= 0.015  # measured: 0.001 to 0.005 with four seeds
    assert accuracy >= mixture + 0.01  # better than tossing a coin between the two extremes, by its information


def test_certified_thresholds_keep_their_known_risk():
    calibration = pytest.importorskip("gym_stepwise_routing.agents.calibration")
    from gym_stepwise_routing.baselines.verifier_threshold import VerifierThreshold
    from gym_stepwise_routing.evaluation.evaluate import sweep

    alpha, delta, sets, items = 0.33, 0.1, 60, 200
    keep_above = np.array([0.95, 0.8, 0.65, 0.5, 0.35, 0.2, 0.05])
    source = SimulatorSource("math-qwen2.5", problems=sets * items)
    risk = 1 - threshold_rule(source.process, keep_above.tolist()).accuracy
    game = Game(
        source,
        split="calibration",
        mode="regenerate",
        cost_unit="large_tokens",
        observation=("verifier",),
        normaliser=1.0,
    )
    played = sweep(VerifierThreshold(), game, 1 - keep_above, seed=0)
    np.testing.assert_allclose(played.thresholds, 1 - keep_above)
    np.testing.assert_allclose(1 - played.right.mean(axis=1), risk, atol=4.5 * 0.5 / np.sqrt(sets * items))
    losses = 1.0 - played.right.reshape(len(keep_above), sets, items)
    found = [
        calibration.certify([calibration.Risk(losses=losses[:, number], alpha=alpha)], delta=delta)
        for number in range(sets)
    ]
    certified = [max(one.accepted) for one in found if isinstance(one, calibration.Certified)]
    broken = sum(risk[row] > alpha for row in certified)
    assert risk[0] < alpha < risk[-1]
    assert len(certified) >= sets // 4
    assert broken <= delta * sets + 3 * np.sqrt(delta * (1 - delta) * sets)
    assert max(certified) > 0  # cheaper thresholds than the safest are found, too
