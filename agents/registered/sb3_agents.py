"""Agents of Stable-Baselines3 and sb3-contrib, which take costs as a penalty in the reward."""

from gym_stepwise_routing.agents.agent import AGENTS, Agent

_SB3, _CONTRIB = "stable_baselines3", "sb3_contrib"
for _agent in (
    Agent(name="ppo", title="PPO", module=_SB3, algorithm="PPO", paper="arXiv 1707.06347"),
    Agent(
        name="maskable_ppo",
        title="MaskablePPO",
        module=_CONTRIB,
        algorithm="MaskablePPO",
        paper="arXiv 2006.14171",
        masks=True,
    ),
    Agent(
        name="recurrent_ppo",
        title="RecurrentPPO",
        module=_CONTRIB,
        algorithm="RecurrentPPO",
        paper="arXiv 1707.06347",
        policy="MlpLstmPolicy",
    ),
    Agent(name="dqn", title="DQN", module=_SB3, algorithm="DQN", paper="arXiv 1312.5602", plays="values"),
    Agent(name="qr_dqn", title="QR-DQN", module=_CONTRIB, algorithm="QRDQN", paper="arXiv 1710.10044", plays="values"),
):
    AGENTS.register(_agent)
