"""The threshold policy of CCPO."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import torch as th
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3.common.type_aliases import PyTorchObs, Schedule

from gym_stepwise_routing.agents.ccpo.action_sets import SELECTIONS, Selection, hard_choice, soft_log_probabilities
from gym_stepwise_routing.agents.common.policies import CostActorCriticPolicy, Masks
from gym_stepwise_routing.errors import check_choice
from gym_stepwise_routing.routers.policy_network import ScoreKind, highest_above

HIDDEN = [64, 64, 64]


class ThresholdPolicy(CostActorCriticPolicy):
    """Scores pi(a|o) from a network, and actions from the set of those whose score reaches ``kappa``.

    What is trained, constrained and deployed is the threshold policy (``target_log_probabilities`` soft, ``predict``
    hard). In rollouts (``forward``) the first ``n_explorers`` rows sample the score policy pi instead, which keeps
    trying every action. ``kappa`` is saved with the weights.

    Args:
        observation_space: Observation space.
        action_space: ``Discrete`` actions, smallest model first.
        lr_schedule: Learning rate of the critics by the progress remaining.
        kappa: Initial threshold, in [0, 1].
        softness: Width of the sigmoid that softens the threshold for gradients, > 0.
        selection: ``largest`` admitted action, or ``uniform`` among the admitted ones.
        use_sde: Passed by SB3; has to be False, actions are discrete.
        kwargs: Arguments of ``CostActorCriticPolicy``; ``net_arch`` is three layers of 64 units by default.
    """

    kappa: th.Tensor
    score_kind: ClassVar[ScoreKind] = "max"
    """Kappa is compared with single scores: what is deployed has to be, too."""

    def __init__(
        self,
        observation_space: spaces.Space[Any],
        action_space: spaces.Space[Any],
        lr_schedule: Schedule,
        *,
        kappa: float,
        softness: float,
        selection: Selection,
        use_sde: bool = False,
        **kwargs: Any,
    ) -> None:
        check_choice("selection", selection, SELECTIONS)
        check_choice("use_sde", use_sde, [False])
        if not softness > 0.0:
            raise ValueError(f"softness={softness!r} must be above 0")
        super().__init__(observation_space, action_space, lr_schedule, **{"net_arch": HIDDEN, **kwargs})
        self.softness = softness
        self.selection = selection
        self.n_explorers = 0
        self.register_buffer("kappa", th.tensor(kappa))

    def _get_constructor_parameters(self) -> dict[str, Any]:
        data = super()._get_constructor_parameters()
        return {**data, "kappa": self.kappa.item(), "softness": self.softness, "selection": self.selection}

    def _scores_and_masks(self, obs: PyTorchObs, action_masks: Masks | None) -> tuple[th.Tensor, th.Tensor]:
        scores = self._categorical(obs, action_masks).probs
        if action_masks is None:
            return scores, th.ones_like(scores, dtype=th.bool)
        return scores, th.as_tensor(action_masks, dtype=th.bool, device=scores.device).reshape(scores.shape)

    def target_log_probabilities(self, obs: PyTorchObs, action_masks: Masks | None = None) -> th.Tensor:
        """Return log-probabilities of the softened threshold policy S, float[B, K]."""
        scores, allowed = self._scores_and_masks(obs, action_masks)
        return soft_log_probabilities(scores, allowed, self.kappa, softness=self.softness, selection=self.selection)

    def forward(  # type: ignore[override]
        self, obs: PyTorchObs, deterministic: bool = False, action_masks: Masks | None = None
    ) -> tuple[th.Tensor, th.Tensor, th.Tensor, th.Tensor]:
        """Act in a rollout: arguments and results are the parent's; log-probabilities are of the policy that acted."""
        scores, allowed = self._scores_and_masks(obs, action_masks)
        log_probabilities = soft_log_probabilities(
            scores, allowed, self.kappa, softness=self.softness, selection=self.selection
        )
        log_probabilities[: self.n_explorers] = scores[: self.n_explorers].log()
        acting = self.action_dist.proba_distribution(action_logits=log_probabilities)
        actions = acting.get_actions(deterministic=deterministic)
        values, cost_values = self.predict_both_values(obs)
        return actions, values, cost_values, acting.log_prob(actions)

    def _predict(
        self, observation: PyTorchObs, deterministic: bool = False, action_masks: Masks | None = None
    ) -> th.Tensor:
        scores, allowed = self._scores_and_masks(observation, action_masks)
        return hard_choice(scores, allowed, self.kappa, selection=self.selection, deterministic=deterministic)

    def scores(
        self, observation: NDArray[np.float32], action_masks: NDArray[np.bool_] | None = None
    ) -> NDArray[np.float64]:
        """Return the highest score of an action larger than k in column k, float[B, K - 1].

        The number of columns that reach a threshold t is then the largest action of C(o) at kappa = t, so a threshold
        on these scores *is* kappa: always-largest at 0, always-smallest above 1.
        """
        return highest_above(self.action_probabilities(observation, action_masks))


MlpPolicy = ThresholdPolicy
