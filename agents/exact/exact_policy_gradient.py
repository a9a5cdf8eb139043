"""The agent: policies of several folds, chosen by the problems that each has not seen, as one policy."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar, Self

import numpy as np
import torch as th
from gymnasium import spaces
from numpy.typing import NDArray
from sb3_contrib.common.maskable.policies import MaskableActorCriticPolicy
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.type_aliases import GymEnv, MaybeCallback

from gym_stepwise_routing.agents.common.on_policy import CONSTRAINTS, ConstraintKind, check_limit
from gym_stepwise_routing.agents.exact.decision_tree import DecisionTree
from gym_stepwise_routing.agents.exact.folds import Choice, FoldTraining, Progress, assign_folds
from gym_stepwise_routing.agents.exact.learners import Candidate, Layers
from gym_stepwise_routing.agents.exact.teachers import Opinion, Schooling, check_products, learn_from
from gym_stepwise_routing.agents.limits import tilt_to_floor, tilt_to_limit
from gym_stepwise_routing.agents.scores import scored
from gym_stepwise_routing.errors import check_choice
from gym_stepwise_routing.game.game import Game

__all__ = ["ExactPolicyGradient"]


class ExactPolicyGradient(BaseAlgorithm):
    """Policy gradient through a recorded tree: accuracy, cost and their gradients are sums over its rows.

    A bank tells what every branch leads to, so nothing is sampled, no critic is needed, and two runs differ by their
    folds only. One policy is trained for all costs at once (:mod:`.all_tilts`): its odds are tilted to each of
    ``budgets`` costs, each with the exact multiplier of that cost. What is maximised is the accuracy's mean over them:
    the area under the policy's own frontier.

    Logits are linear in what is seen and follow the *natural* gradient (:func:`.learners.natural_step`), of which a few
    steps do, each a small linear system; or they are those of a small network, by AdamW.

    **Regularisation is chosen on folds of the problems**, which are those of the train split: for each candidate a
    policy is learned without each fold, and what the policies do on the folds that they have not seen chooses the
    candidate and the number of steps. Inputs are scaled by all train problems. The mean of the policies' logits is the
    policy, so that every problem has been learned from; a mean of linear logits is linear, a mean of networks with one
    hidden layer is one of them.

    With ``products`` this policy and teachers, which see products of inputs too, are then followed by one network
    (:mod:`.teachers`): ``train exact --variant taught``.

    Its settings are those of a sampling agent where they mean something: ``total_timesteps`` counts gradient steps
    (each of all folds), shared evenly among the candidates, and there is one environment, which is not played.

    Records: ``train/accuracy`` (learned from) and ``train/held_out`` (not), both means over the costs,
    ``train/width``, ``train/decay``, and ``train/multiplier_i``, the mean multiplier of each cost.

    Args:
        policy: ``"MlpPolicy"``.
        env: a :class:`gym_stepwise_routing.envs.sb3.RoutingVecEnv` on a bank.
        limit: highest mean cost, or lowest accuracy: what the policy is tilted to at the end, on the train problems. It
            changes nothing in the training. None: a mean cost in the middle of those of the constants.
        constraint: ``cost_limit`` or ``accuracy_floor``.
        budgets: costs that are trained for, >= 1, evenly spread between those of the constants.
        folds: folds of the problems, >= 2; fewer problems make as many folds.
        candidates: what is tried, as ``(width, decay, rate)``, see :class:`.learners.Candidate`; at least one.
        patience: looks without a new best after which a candidate is given up, >= 1.
        products: number of inputs whose products teachers see, >= 1, or 0: there are no teachers.
        teachers: number of teachers, >= 1.
        stats_window_size: taken as by every agent; no episodes are averaged.
        tensorboard_log: TensorBoard folder; None for none.
        policy_kwargs: of the policy; ``net_arch`` is what the folds choose, with tanh units, and policy and value share
            their features extractor.
        verbose: 0 silent, 1 information, 2 debugging.
        seed: seed of folds and first weights.
        device: PyTorch device.
        _init_setup_model: Build the policy at once; ``load`` does so later.

    Attributes:
        chosen: the regularisation that the folds chose, None before the training.
        chosen_steps: gradient steps that they chose.
        sharpness: what the logits were multiplied by, see :meth:`.folds.FoldTraining.sharpness`; no order changes.
        held_out: each candidate that was tried, with its best accuracy on the folds not seen, mean over the costs.

    Raises:
        ValueError: an argument out of range. Learning raises it for a random source, a hard budget, fewer than two
            problems, problems without a right answer, and for a run that is to go on, since it keeps no state.
    """

    policy_aliases: ClassVar[dict[str, type[BasePolicy]]] = {"MlpPolicy": MaskableActorCriticPolicy}
    policy: MaskableActorCriticPolicy

    def __init__(
        self,
        policy: str | type[MaskableActorCriticPolicy],
        env: GymEnv | str | None,
        *,
        limit: float | None = None,
        constraint: ConstraintKind = "cost_limit",
        budgets: int = 5,
        folds: int = 5,
        candidates: Sequence[Sequence[float]] = ((0, 0.1, 4.0),),
        patience: int = 2,
        products: int = 0,
        teachers: int = 3,
        stats_window_size: int = 100,
        tensorboard_log: str | None = None,
        policy_kwargs: dict[str, Any] | None = None,
        verbose: int = 0,
        seed: int | None = None,
        device: th.device | str = "cpu",
        _init_setup_model: bool = True,
    ) -> None:
        check_choice("constraint", constraint, CONSTRAINTS)
        if limit is not None:
            check_limit(constraint, limit)
        for name, value, least in (
            ("budgets", budgets, 1),
            ("folds", folds, 2),
            ("patience", patience, 1),
            ("products", products, 0),
            ("teachers", teachers, 1),
        ):
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise ValueError(f"{name}={value!r}; allowed: an integer >= {least}")
        own = policy_kwargs or {}
        for name, only in (("activation_fn", th.nn.Tanh), ("share_features_extractor", True)):
            if own.get(name, only) is not only:
                raise ValueError(f"policy_kwargs: {name}={own[name]!r}; allowed: {only!r}, which is what is learned")
        if not candidates or any(len(one) != 3 for one in candidates):
            raise ValueError(f"candidates={candidates!r}; allowed: at least one (width, decay, rate)")
        self.candidates = [Candidate(*one) for one in candidates]  # type: ignore[arg-type]
        self.limit, self.constraint = limit, constraint
        self.budgets, self.folds = budgets, folds
        self.patience = patience
        self.products, self.teachers = products, teachers
        self.chosen: Candidate | None = None
        self.chosen_steps = 0
        self.sharpness = 1.0
        self.held_out: list[tuple[Candidate, float]] = []
        super().__init__(
            policy,  # type: ignore[arg-type]
            env,
            learning_rate=self.candidates[0].rate,
            policy_kwargs={"net_arch": _layers(self.candidates[0].width), **own},
            stats_window_size=stats_window_size,
            tensorboard_log=tensorboard_log,
            verbose=verbose,
            device=device,
            support_multi_env=True,
            seed=seed,
            supported_action_spaces=(spaces.Discrete,),
        )
        if _init_setup_model:
            self._setup_model()

    def _setup_model(self) -> None:
        self._setup_lr_schedule()
        self.set_random_seed(self.seed)
        self._make_policy()

    def _make_policy(self) -> None:
        self.policy = self.policy_class(  # type: ignore[assignment]
            self.observation_space, self.action_space, self.lr_schedule, **self.policy_kwargs
        ).to(self.device)

    def learn(
        self,
        total_timesteps: int,
        callback: MaybeCallback = None,
        log_interval: int = 1,
        tb_log_name: str = "ExactPolicyGradient",
        reset_num_timesteps: bool = True,
        progress_bar: bool = False,
    ) -> Self:
        """Train for at most ``total_timesteps`` gradient steps; the arguments are those of every algorithm.

        Raises:
            ValueError: as the class says.
        """
        if not reset_num_timesteps:
            raise ValueError("reset_num_timesteps=False: an exact training keeps no state to go on from; allowed: True")
        total_timesteps, callback = self._setup_learn(
            total_timesteps, callback, reset_num_timesteps, tb_log_name, progress_bar
        )
        game = _game_of(self.env)
        tree = DecisionTree(game)
        with th.no_grad():
            inputs = self.policy.extract_features(tree.observation.to(self.device))
        assert isinstance(inputs, th.Tensor)
        check_products(self.products, self.candidates, inputs.shape[1])
        seed = 0 if self.seed is None else self.seed
        training = FoldTraining(tree, inputs, assign_folds(tree.problems, self.folds, seed), self.budgets)
        self.held_out, self.chosen = [], None
        callback.on_training_start(locals(), globals())
        steps, choice = max(total_timesteps // len(self.candidates), 1), Choice()
        for candidate in self.candidates:
            if not self._try(training, candidate, seed, steps, choice, callback):
                break
        else:
            if self.products:
                self._follow(training, tree, inputs, Opinion.of(choice.logits, training), seed, steps)
        self._tilt_to_limit(game, training.middle_cost)
        callback.on_training_end()
        return self

    def _try(
        self,
        training: FoldTraining,
        candidate: Candidate,
        seed: int,
        steps: int,
        choice: Choice,
        callback: BaseCallback,
    ) -> bool:
        """Train a candidate and adopt it wherever it is the best so far; False if a callback ends the training."""
        begun, best = self.num_timesteps, -math.inf
        run = training.run(candidate, seed=seed, steps=steps, patience=self.patience)
        for progress, learns in run:
            while self.num_timesteps < begun + progress.step:
                self.num_timesteps += 1
                if not callback.on_step():
                    return False
            if choice.offer(progress, learns):
                self.chosen, self.chosen_steps = candidate, progress.step
                middle = float(progress.tilt[:, self.budgets // 2].mean())
                self.sharpness = training.sharpness(choice.logits, middle)
                self._adopt(learns.together(), middle)
            best = max(best, progress.held_out)
            self._log(candidate, progress)
            callback.on_rollout_end()
        self.held_out.append((candidate, best))
        return True

    def _follow(
        self, training: FoldTraining, tree: DecisionTree, inputs: th.Tensor, plain: Opinion, seed: int, steps: int
    ) -> None:
        """The policy becomes a network that follows what was chosen, and teachers."""
        schooling = Schooling(
            candidates=self.candidates, folds=self.folds, budgets=self.budgets, steps=steps, patience=self.patience
        )
        layers, taught = learn_from(
            schooling, tree, inputs, plain, products=self.products, teachers=self.teachers, seed=seed
        )
        middle = training.middle(taught.logits)
        self.sharpness = training.sharpness(taught.unseen.expand(training.policies, -1, -1), middle)
        self._adopt(layers, middle)

    def _adopt(self, layers: Layers, middle: float) -> None:
        """The mean of the policies becomes the policy, tilted to the middle one of the costs and sharpened."""
        shape = _layers(0 if layers.hidden is None else len(layers.hidden))
        if self.policy_kwargs["net_arch"] != shape:
            self.policy_kwargs = {**self.policy_kwargs, "net_arch": shape}
            self._make_policy()
        last: Any = self.policy.action_net
        with th.no_grad():
            if layers.hidden is not None and layers.bias is not None:
                hidden: Any = self.policy.mlp_extractor.policy_net[0]
                hidden.weight.copy_(layers.hidden)
                hidden.bias.copy_(layers.bias)
            last.weight.copy_(self.sharpness * layers.output)
            last.bias.copy_(-self.sharpness * middle * _ranks(len(last.bias)))
            if layers.offset is not None:
                last.bias += self.sharpness * layers.offset

    def _tilt_to_limit(self, game: Game, middle_cost: float) -> None:
        """Sharpened, the policy costs something else than the policies of the folds did at their tilts."""
        if self.limit is not None and self.constraint == "accuracy_floor":
            tilt = tilt_to_floor(scored(self), game, self.limit)
        else:
            tilt = tilt_to_limit(scored(self), game, middle_cost if self.limit is None else self.limit)
        last: Any = self.policy.action_net
        with th.no_grad():
            last.bias -= tilt * _ranks(len(last.bias))

    def _log(self, candidate: Candidate, progress: Progress) -> None:
        self.logger.record("train/accuracy", progress.accuracy)
        self.logger.record("train/held_out", progress.held_out)
        self.logger.record("train/width", candidate.width)
        self.logger.record("train/decay", candidate.decay)
        for i, value in enumerate(progress.multiplier.mean(dim=0).tolist()):
            self.logger.record(f"train/multiplier_{i}", value)
        self.logger.dump(self.num_timesteps)

    def predict(
        self,
        observation: NDArray[Any] | dict[str, NDArray[Any]],
        state: tuple[NDArray[Any], ...] | None = None,
        episode_start: NDArray[np.bool_] | None = None,
        deterministic: bool = False,
        action_masks: NDArray[np.bool_] | None = None,
    ) -> tuple[NDArray[Any], tuple[NDArray[Any], ...] | None]:
        """Choose actions with Stable-Baselines3's signature and, optionally, masks ``bool[B, K]``."""
        return self.policy.predict(observation, state, episode_start, deterministic, action_masks=action_masks)


def _layers(width: int) -> dict[str, list[int]]:
    return {"pi": [width] if width else [], "vf": []}


def _ranks(models: int) -> th.Tensor:
    return th.arange(models, dtype=th.float32) / max(models - 1, 1)


def _game_of(env: Any) -> Game:
    try:
        game = env.get_attr("game")[0]
    except AttributeError:
        raise ValueError(f"env={env!r} plays no routing game; allowed: a RoutingVecEnv on a bank") from None
    assert isinstance(game, Game)
    return game
