"""What RL libraries make of the environment: the table of docs/rl_libraries.md, line by line.

Gymnasium's part always runs; the others need the library, which no extra of this package brings.
"""

from __future__ import annotations

import re

import gymnasium as gym
import numpy as np
import pytest
from fake_sources import TreeSource, Untabulated
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from info_types import INFOS
from scipy import stats

from gym_stepwise_routing.envs.wrappers import FinalTruncation, MaskInObservation, VectorReward
from gym_stepwise_routing.evaluation.bootstrap import bootstrap_difference, bootstrap_mean

HARD = {"cost_unit": "large_tokens", "budget": 0.6, "hard_budget": True}
PENALTY_FREE = {**HARD, "masked_action": "project"}
WITHOUT = "needs {}, which no extra of this package brings"


def make(**game):
    return gym.make("StepwiseRouting-v0", **game)


def infos_of(env, episodes: int = 4) -> list[dict]:
    """Infos of seeded random play, resets included."""
    rng = np.random.default_rng(0)
    infos = []
    for episode in range(episodes):
        infos.append(env.reset(seed=episode)[1])
        ended = False
        while not ended:
            allowed = np.flatnonzero(env.get_wrapper_attr("action_masks")())
            *_, terminated, truncated, info = env.step(int(rng.choice(allowed)))
            infos.append(info)
            ended = terminated or truncated
    return infos


# ------------------------------------------------------------------------------------------------------- Gymnasium

GAMES = {
    "bank": HARD,
    "table": {"source": TreeSource(1, models=3)},
    "rules": {
        "source": Untabulated(TreeSource(2, failures=0.3)),
        "cost_unit": "large_tokens",
        "normaliser": 60.0,
        "budget": (0.2, 0.9),
    },
}


@pytest.mark.parametrize("game", GAMES)
def test_every_info_has_the_same_keys_types_and_shapes(game):
    infos = infos_of(make(**GAMES[game]))
    for info in infos:
        assert {name: value.dtype.type for name, value in info.items()} == INFOS
    assert {name: len({info[name].shape for info in infos}) for name in INFOS} == dict.fromkeys(INFOS, 1)


@pytest.mark.parametrize("mode", ["sync", "vector_entry_point"])
@pytest.mark.parametrize("game", GAMES)
def test_infos_of_many_episodes_hold_arrays_of_the_same_types_and_no_objects(game, mode):
    env = gym.make_vec("StepwiseRouting-v0", num_envs=2, vectorization_mode=mode, **GAMES[game])
    _, infos = env.reset(seed=0)
    for _ in range(8):
        assert {name: infos[name].dtype.type for name in infos if name[0] != "_"} == INFOS
        masks = np.array(env.call("action_masks")) if mode == "sync" else env.unwrapped.action_masks()
        *_, infos = env.step(masks.argmax(axis=1))


def test_a_free_first_step_does_not_make_whole_numbers_of_the_others():
    """Gymnasium gives the figures of all episodes the type of the first one's."""
    env = SyncVectorEnv([lambda: make(cost_unit="large_tokens", budget=1)] * 2)
    _, infos = env.reset(seed=0)
    before = {name: values.dtype for name, values in infos.items()}
    *_, infos = env.step(np.array([0, 1]))
    assert infos["cost"][0] == 0 < infos["cost"][1] < 1
    assert infos["raw_cost"][1] > 0
    assert infos["budget"].tolist() == [1, 1]
    assert {name: infos[name].dtype for name in before} == before


def test_reasons_of_failures_are_attributes():
    class Down(TreeSource):
        """The smallest model never writes, and says why on every problem but the first."""

        def at(self, nodes, down, failed=None):
            state = super().at(nodes, down, failed)
            state.latent["reason"] = np.where(state.failed & (state.problem > 0), "m0: down", "").astype(object)
            return state

    source = Down(0, problems=6)
    source.fails[:, 0] = source.child[:, 0] >= 0
    env = SyncVectorEnv([lambda: make(source=Untabulated(source), normaliser=1.0)] * 2)
    for number, sub in enumerate(env.envs):
        sub.reset(options={"problem": 3 * number})
    *_, infos = env.step(np.array([0, 0]))
    assert infos["failed"].tolist() == [1, 1]
    assert env.get_attr("failed_reason") == ("", "m0: down")


def test_masks_in_the_observation_are_those_of_the_environment():
    env = MaskInObservation(make(mode="escalate"))
    plain = make(mode="escalate")
    observation, _ = env.reset(seed=0)
    expected, _ = plain.reset(seed=0)
    for action in (1, 1):
        assert env.observation_space.contains(observation)
        np.testing.assert_array_equal(observation["observations"], expected)
        assert observation["action_mask"].tolist() == plain.unwrapped.action_masks().tolist()
        (observation, *_), (expected, *_) = env.step(action), plain.step(action)
    assert observation["action_mask"].tolist() == [0, 1]
    with pytest.raises(ValueError, match=r"masked here; allowed: \[1\], or masked_action='project'.*MaskInObservation"):
        env.step(0)


# -------------------------------------------------------------------------------------- MO-Gymnasium and intervals


def test_mo_gymnasiums_vector_returns_are_ours_and_its_discounted_ones_run_on():
    vector = pytest.importorskip("mo_gymnasium.wrappers.vector", reason="needs mo-gymnasium, which 'dev' brings")
    envs = vector.MOSyncVectorEnv([lambda: VectorReward(make(cost_unit="large_tokens"))] * 2)
    env = vector.MORecordEpisodeStatistics(envs, gamma=1.0)
    env.reset(seed=0)
    returns, before = np.zeros((2, 2)), np.zeros((2, 2))
    ended = np.zeros(2, dtype=np.bool_)
    episodes = 0
    while episodes < 6:
        _, rewards, terminated, truncated, infos = env.step(np.array([1, 1]))
        returns[ended] = 0
        returns += rewards
        ended = terminated | truncated
        for row in np.flatnonzero(ended):
            before[row] += returns[row]
            np.testing.assert_allclose(infos["episode"]["r"][row], returns[row], rtol=1e-6)
            np.testing.assert_allclose(infos["episode"]["dr"][row], before[row], rtol=1e-6)  # of all episodes so far
            episodes += 1
    assert not np.allclose(before, returns)


def test_the_interval_of_no_difference_is_zero_whatever_scipy_says():
    nothing = np.zeros(40)
    draws = {"n_resamples": 200, "rng": np.random.default_rng(0)}
    with np.errstate(invalid="ignore"), pytest.warns(stats.DegenerateDataWarning):
        theirs = stats.bootstrap((nothing,), np.mean, method="BCa", **draws).confidence_interval
    assert np.isnan([theirs.low, theirs.high]).all()
    right = np.arange(40) % 2
    for ours in (bootstrap_mean(nothing, resamples=200), bootstrap_difference(right, right, resamples=200)):
        assert (ours.estimate, ours.low, ours.high, ours.undefined) == (0, 0, 0, 0)


# ---------------------------------------------------------------------------------------------------------- TorchRL


@pytest.fixture
def torchrl():
    return pytest.importorskip("torchrl.envs", reason=WITHOUT.format("torchrl"))


def test_torchrls_reader_reads_costs(torchrl):
    env = torchrl.GymEnv("StepwiseRouting-v0", cost_unit="large_tokens", masked_action="project")
    env.set_info_dict_reader(torchrl.default_info_dict_reader(["cost", "spent"]))
    env.set_seed(0)
    steps = env.rollout(50)["next"]
    assert steps["cost"].sum().item() == pytest.approx(steps["spent"][-1].item())


def test_torchrls_checks_pass_on_four_at_once(torchrl):
    from torchrl.envs.utils import check_env_specs

    check_env_specs(torchrl.GymEnv("gym_stepwise_routing:StepwiseRouting-v0", num_envs=4, **PENALTY_FREE), seed=0)


def test_torchrl_masks_one_environment_by_its_transform_and_several_by_the_policy(torchrl):
    import torch
    from torchrl.modules import MaskedOneHotCategorical

    def one():  # its first rollout, for the specs, knows no masks
        return torchrl.GymEnv("StepwiseRouting-v0", mode="escalate", masked_action="project").auto_register_info_dict()

    def draw(td):  # by this name it is handed the whole td
        drawn = MaskedOneHotCategorical(logits=torch.zeros(td["action_mask"].shape), mask=td["action_mask"]).sample()
        return td.set("action", drawn)

    masks = torchrl.ActionMask(action_key="action", mask_key="action_mask")
    for env, policy in ((torchrl.TransformedEnv(one(), masks), None), (torchrl.SerialEnv(4, one), draw)):
        env.set_seed(0)
        steps = env.rollout(60, policy, break_when_any_done=False)
        masked = ~steps["action_mask"]
        assert masked.sum() > 10
        assert not (steps["action"].bool() & masked).any()


def largest(torch):
    """TorchRL's policy that always takes the larger of two models, as a one-hot action."""
    return lambda td: td.set("action", torch.tensor([0, 1]).expand(*td.shape, 2).clone())  # by its name, the whole td


@pytest.mark.parametrize("many", ["serial", "vector"])
@pytest.mark.parametrize("final", [True, False])
def test_torchrls_environments_side_by_side_show_what_ended_an_episode(torchrl, final, many):
    import torch
    from torchrl.envs.utils import check_env_specs

    def one():
        env = make(**HARD)
        return FinalTruncation(env) if final else env

    if many == "serial":
        env = torchrl.SerialEnv(2, lambda: torchrl.GymWrapper(one()).auto_register_info_dict())
        check_env_specs(env, seed=0)
    else:
        env = torchrl.GymWrapper(SyncVectorEnv([one] * 2, autoreset_mode=AutoresetMode.SAME_STEP))
    env.set_seed(0)
    steps = env.rollout(20, policy=largest(torch), break_when_any_done=False)["next"]
    spent = make(**HARD).unwrapped.feature_names.index("spent")
    over = (steps["spent"] > 0.6) & steps["done"][..., 0]
    assert over.sum() > 3
    assert bool(steps["truncated"][over].all()) != final
    assert bool(steps["terminated"][over].all()) == final
    shown = steps["observation"][over][:, spent]
    torch.testing.assert_close(shown, steps["spent"][over].float())  # not the first observation of the next episode
    assert bool((steps["bankrupt"][over] == 1).all())


def test_rllibs_masking_module_takes_no_masked_action_and_its_default_one_does():
    reason = WITHOUT.format("ray[rllib]")
    pytest.importorskip("ray.rllib", reason=reason)
    masking = pytest.importorskip("ray.rllib.examples.rl_modules.classes.action_masking_rlm", reason=reason)
    import torch
    from ray.rllib.algorithms.ppo.ppo_catalog import PPOCatalog
    from ray.rllib.algorithms.ppo.torch.default_ppo_torch_rl_module import DefaultPPOTorchRLModule
    from ray.rllib.core.rl_module.rl_module import RLModuleSpec

    def masked_actions(module_class, env) -> int:
        spaces = {"observation_space": env.observation_space, "action_space": env.action_space}
        torch.manual_seed(0)
        module = RLModuleSpec(
            module_class, model_config={"fcnet_hiddens": [8]}, catalog_class=PPOCatalog, **spaces
        ).build()
        draw = module.get_exploration_action_dist_cls().from_logits
        masked = 0
        for episode in range(20):
            observation, _ = env.reset(seed=episode)
            ended = False
            while not ended:
                allowed = env.unwrapped.action_masks()
                batch = {"obs": gym_tensors(torch, observation)}
                action = int(draw(module.forward_exploration(batch)["action_dist_inputs"]).sample()[0])
                masked += not allowed[action]
                observation, _, terminated, truncated, _ = env.step(action)
                ended = terminated or truncated
        return masked

    game = {"mode": "escalate", "cost_unit": "large_tokens", "masked_action": "project"}
    assert masked_actions(DefaultPPOTorchRLModule, make(**game)) > 5
    assert masked_actions(masking.ActionMaskingTorchRLModule, MaskInObservation(make(**game))) == 0


def gym_tensors(torch, observation):
    """An observation as a batch of one."""
    if isinstance(observation, dict):
        return {name: torch.as_tensor(part[None]) for name, part in observation.items()}
    return torch.as_tensor(observation[None])


# ------------------------------------------------------------------------------------------------------------- page


def test_the_page_names_the_versions_that_were_tried(repository):
    page = (repository / "docs" / "rl_libraries.md").read_text(encoding="utf-8")
    learners = ("Gymnasium 1.4.0", "TorchRL 0.14.1", "Minari 0.5.4", "d3rlpy 2.8.1", "RLlib (ray 2.60.0)")
    for line in (*learners, "Safety-Gymnasium 1.0.0, OmniSafe 0.5.0", "openenv 0.10.0", "verifiers 0.4.0"):
        assert line in page
    for block in re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL):
        compile(block, "docs/rl_libraries.md", "exec")
