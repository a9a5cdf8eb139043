"""The vector environment is the scalar one, trajectory by trajectory; and the table is the rules."""

from __future__ import annotations

import math

import numpy as np
import pytest
from fake_sources import TreeSource, Untabulated
from gymnasium.vector import AutoresetMode
from hypothesis import given, settings
from hypothesis import strategies as st

from gym_stepwise_routing.costs.units import COST_UNITS
from gym_stepwise_routing.envs import StepwiseRoutingEnv, StepwiseRoutingVectorEnv
from gym_stepwise_routing.game.episode_standing import Standing
from gym_stepwise_routing.game.episodes import RulePositions, TablePositions, positions
from gym_stepwise_routing.game.game import Game
from gym_stepwise_routing.game.row_table import project_actions
from gym_stepwise_routing.types import BLOCKS, MODES

NUM_ENVS = 5
STEP_INFOS = ("cost", "raw_cost")
BUDGETS = st.sampled_from([None, 0.4, 1.0, (0.2, 1.5)])
GAMES = {
    "seed": st.integers(0, 50),
    "models": st.integers(2, 4),
    "mode": st.sampled_from(MODES),
    "cost_unit": st.sampled_from(COST_UNITS.names()),
    "budget": BUDGETS,
    "hard_budget": st.booleans(),
    "masked_action": st.sampled_from(["error", "project"]),
    "failures": st.sampled_from([0.0, 0.3]),
    "deterministic": st.booleans(),
}


class Twins:
    """A vector environment and, for each of its episodes, a scalar one that is kept at the same place."""

    def __init__(self, same_step: bool, source: object, **game: object) -> None:
        autoreset = AutoresetMode.SAME_STEP if same_step else AutoresetMode.NEXT_STEP
        self.same_step = same_step
        self.vector = StepwiseRoutingVectorEnv(NUM_ENVS, source, autoreset_mode=autoreset, **game)
        self.scalars = [StepwiseRoutingEnv(source, **game) for _ in range(NUM_ENVS)]
        self.over = [True] * NUM_ENVS

    def reset(self, seed: int, options: dict | None) -> None:
        observation, info = self.vector.reset(seed=seed, options=options)
        for row in range(NUM_ENVS):
            self.restart(row, observation[row], info)

    def restart(self, row: int, observation: np.ndarray, info: dict, costs: bool = True) -> None:
        """Start the scalar episode on what the vector environment drew."""
        budget = float(info["budget"][row])
        chosen = {"problem": int(info["problem"][row]), "budget": budget if math.isfinite(budget) else None}
        expected, expected_info = self.scalars[row].reset(options=chosen)
        np.testing.assert_array_equal(observation, expected)
        self.compare_infos(row, info, expected_info, costs)
        assert self.vector.failed_reason[row] == self.scalars[row].failed_reason
        self.over[row] = False

    def compare_infos(self, row: int, info: dict, expected: dict, costs: bool = True) -> None:
        assert len(expected) == 12
        for name, value in expected.items():
            if costs or name not in STEP_INFOS:
                np.testing.assert_array_equal(info[name][row], value, err_msg=name)
                assert info[name].dtype == value.dtype, name

    def step(self, rng: np.random.Generator, masked: bool) -> None:
        masks = self.vector.action_masks()
        for row in range(NUM_ENVS):
            expected = [True, True] if self.over[row] else self.scalars[row].action_masks()
            assert masks[row].all() if self.over[row] else (masks[row] == expected).all()
        anything = rng.integers(masks.shape[1], size=NUM_ENVS)
        actions = anything if masked else project_actions(anything, masks)
        observation, reward, terminated, truncated, info = self.vector.step(actions)
        for row in range(NUM_ENVS):
            if self.over[row]:
                assert (reward[row], terminated[row], truncated[row], info["cost"][row]) == (0, False, False, 0)
                self.restart(row, observation[row], info)
                continue
            expected = self.scalars[row].step(int(actions[row]))
            assert (reward[row], terminated[row], truncated[row]) == expected[1:4]
            ended = bool(expected[2] or expected[3])
            assert info["cost"][row] == expected[4]["cost"]
            final, final_observation = info, observation
            if ended and self.same_step:
                assert info["_final_obs"][row]
                assert info["_final_info"][row]
                final, final_observation = info["final_info"], info["final_obs"]
            np.testing.assert_array_equal(final_observation[row], expected[0])
            self.compare_infos(row, final, expected[4])
            if not (ended and self.same_step):
                assert self.vector.failed_reason[row] == self.scalars[row].failed_reason
            if ended and self.same_step:
                self.restart(row, observation[row], info, costs=False)
            elif ended:
                self.over[row] = True


def make_game(seed, models, failures, deterministic, **game):
    source = TreeSource(
        seed, models=models, horizon=3, verifier=True, gaps=0.1, failures=failures, deterministic=deterministic
    )
    if failures:
        source = Untabulated(source)
    return source, {**game, "hard_budget": game["hard_budget"] and game["budget"] is not None}


@settings(max_examples=30, deadline=None)
@given(same_step=st.booleans(), options=st.booleans(), **GAMES)
def test_vector_equals_scalar(same_step, options, **game):
    source, game = make_game(**game)
    game["observation"] = BLOCKS if game["mode"] != "escalate" else BLOCKS[:4]
    twins = Twins(same_step, source, normaliser=1.7, **game)
    rng = np.random.default_rng(7)
    chosen = {"problems": ["fake/0", 3, 3, 0, "fake/3"], "budgets": [0.3, None, (0.1, 0.5), 2.0, 1e9]}
    twins.reset(seed=11, options=chosen if options else None)
    for _ in range(12):
        twins.step(rng, masked=game["masked_action"] == "project")
    twins.reset(seed=12, options=None)
    twins.step(rng, masked=False)


@pytest.mark.parametrize("mode", MODES)
def test_vector_equals_scalar_on_the_bundled_bank(mode):
    twins = Twins(False, "gsm8k-qwen2.5-coder", mode=mode, budget=(0.2, 1.0), hard_budget=True)
    twins.reset(seed=0, options=None)
    rng = np.random.default_rng(0)
    for _ in range(40):
        twins.step(rng, masked=False)


@settings(max_examples=25, deadline=None)
@given(
    **{name: strategy for name, strategy in GAMES.items() if name not in ("failures", "deterministic", "masked_action")}
)
def test_the_table_equals_the_rules(seed, models, **game):
    source = TreeSource(seed, models=models, horizon=4, verifier=True, gaps=0.1)
    game["hard_budget"] = game["hard_budget"] and game["budget"] is not None
    table = Game(source, observation=BLOCKS, **game)
    rules = Game(Untabulated(source), observation=BLOCKS, normaliser=table.normaliser, **game)
    assert table.table is not None
    assert rules.table is None
    problems = np.tile(np.arange(len(table.problems)), 8)
    quick, slow = positions(table, len(problems)), positions(rules, len(problems))
    assert (type(quick), type(slow)) == (TablePositions, RulePositions)
    rng = np.random.default_rng(0)
    never = np.zeros(len(problems), dtype=np.bool_)
    for position in (quick, slow):
        position.begin(np.arange(len(problems)), problems, rng)
    for _ in range(rules.rules.longest + 1):
        stands, expected = quick.standing(), slow.standing()
        for name in Standing._fields:
            np.testing.assert_array_equal(getattr(stands, name), getattr(expected, name), err_msg=name)
        anything = rng.integers(models, size=len(problems))
        actions = project_actions(anything, stands.mask)
        for position in (quick, slow):
            position.move(actions, rng, never)
    assert stands.stuck.all()


def test_scalar_environments_by_table_and_by_rules_show_the_same_texts():
    source = TreeSource(4, models=3)
    for mode in MODES:
        quick, slow = (
            StepwiseRoutingEnv(each, mode=mode, render_mode="ansi", normaliser=1.0)
            for each in (source, Untabulated(source))
        )
        for env in (quick, slow):
            env.reset(options={"problem": 0})
        assert quick.render() == slow.render()
        while not quick._over:
            action = int(np.flatnonzero(quick.action_masks())[-1])
            quick.step(action), slow.step(action)
            assert quick.render() == slow.render()


def test_a_random_vector_environment_repeats_itself_under_a_seed():
    env = StepwiseRoutingVectorEnv(8, budget=(0.1, 2.0))
    runs = []
    for _ in range(2):
        first = env.reset(seed=3)
        runs.append([first, *(env.step(np.arange(8) % 2) for _ in range(20))])
    for one, other in zip(*runs, strict=True):
        np.testing.assert_array_equal(one[0], other[0])
        np.testing.assert_array_equal(one[-1]["problem"], other[-1]["problem"])
        np.testing.assert_array_equal(one[-1]["budget"], other[-1]["budget"])
