"""The environment ``StepwiseRouting-v0``: which model writes the next reasoning step?"""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.error import ResetNeeded
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from gym_stepwise_routing.costs.units import CostUnit
from gym_stepwise_routing.envs.rendering import Frame, Renderer
from gym_stepwise_routing.errors import check_choice
from gym_stepwise_routing.game.config import Budget, MaskedAction, RoutingSpec, check_budget, draw_budget
from gym_stepwise_routing.game.episodes import Standing, cursor, positions, project_actions
from gym_stepwise_routing.game.game import Game
from gym_stepwise_routing.types import DEFAULT_BLOCKS, Block, Mode, Split

__all__ = ["StepwiseRoutingEnv", "StepwiseRoutingVectorEnv"]

Info = dict[str, Any]
_OR_PROJECT = ", or masked_action='project' for agents that know no masks"


def observation_space(spec: RoutingSpec) -> spaces.Box[np.float32]:
    """Box of the features' ranges."""
    low, high = ([getattr(f, end) for f in spec.features] for end in ("low", "high"))
    return spaces.Box(np.array(low, np.float32), np.array(high, np.float32), dtype=np.float32)


def _check_options(options: dict[str, Any] | None, allowed: Sequence[str]) -> dict[str, Any]:
    for key in options or {}:
        check_choice("reset option", key, allowed)
    return options or {}


class StepwiseRoutingEnv(gym.Env[NDArray[np.float32], np.int64]):
    """Stepwise LLM routing as a constrained Markov decision process.

    ## Description

    A chain of thought is written step by step. Before each step the agent sees the trace so far and picks which model
    of a pool, ordered from smallest to largest, writes the next one. The final answer is right or wrong; every token
    has its price. The task is to be right as often as possible at limited cost. Steps come from a *source*: a bank of
    recorded routing trees of real models (the default), a simulator, or models running live.

    Three modes decide what an action means (`mode`):

    | mode         | action                                                                                           |
    |--------------|--------------------------------------------------------------------------------------------------|
    | `route`      | any model writes the next step                                                                   |
    | `escalate`   | as `route`, but models smaller than the writer of the last step are masked                       |
    | `regenerate` | the smallest model has drafted the step: 0 keeps the draft, i has model i write the step instead |

    ## Action Space

    `Discrete(K)` for a pool of K models, smallest first. `action_masks()` (also `info["action_mask"]`) tells which
    actions are allowed: a branch may be unrecorded, a model down, or the mode may forbid it.

    ## Observation Space

    A flat float32 `Box`. `env.unwrapped.feature_names` names the components and `env.unwrapped.routing_spec.features`
    gives their meaning. With K = 2 and all blocks:

    | num   | block        | names                                                            | min  | max   |
    |-------|--------------|------------------------------------------------------------------|------|-------|
    | 0-6   | `progress`   | depth, trace_tokens, last_tokens, writer_k, share_k              | 0    | 2.5   |
    | 7-16  | `confidence` | p_mean, p_min, entropy_mean, ..., top1_mean, confidence_known    | 0    | 13.8  |
    | 17-25 | `aggregates` | worst_p_mean, ..., mean_margin_first, aggregates_known           | 0    | 13.8  |
    | 26-30 | `ledger`     | spent, budget_left, budget_known, decoded_k                      | -1e6 | 1e6   |
    | 31-33 | `probe`      | probe_entropy, probe_margin, probe_known                         | 0    | 13.8  |
    | 34-37 | `verifier`   | score, score_min, score_product, score_known                     | 0    | 1     |
    | 38-43 | `question`   | question_tokens, question_characters, ..., question_known        | 0    | 2.5   |

    Blocks `probe` and `verifier` cost tokens, which are charged. A missing value is 0 and the block's `*_known` feature
    says so.

    ## Rewards

    1 if the final answer is right, else 0, at the end; 0 before. The cost of a step is `info["cost"]`, normalised so
    that letting the largest model write everything costs 1 an episode on average over the split. What an observation
    itself costs (draft, probe, verifier) is charged in the step that follows it. Besides: `info["raw_cost"]` (this
    step, in the cost unit), `info["spent"]` (the episode so far, normalised), `info["ledger"]` (the episode so far,
    int array `[models, kinds]`, see `gym_stepwise_routing.costs.ledger`), `info["action_mask"]`, `info["problem"]`,
    `info["source"]`, `info["simulated"]` (a random process, or a bank drawn from one, instead of language models),
    with a budget `info["budget"]` and, at the end, `info["bankrupt"]`; `info["failed"]` is there where a live model
    did not deliver, and names it with the reason (True where the source tells none); the trace is as it was, or has
    no draft; `info["truncated_by"]` is the reason of a truncation:
    `horizon`, `budget` or `no_model`.

    ## Starting State

    The prompt of a problem drawn uniformly from the split, no step written. `reset(options={"problem": id_or_number,
    "budget": number_or_pair})` chooses either.

    ## Episode End

    Termination: the trace has ended, with or without an answer.

    Truncation: the horizon is reached without an end, a hard budget is exceeded (reward 0, even if the step finished
    the answer), or no model is left that can go on. An episode that begins without a model (all servers are down) ends
    so with its first action, whatever that is.

    Nothing comes after a truncation, and what brought it about is observed. Learners that take a truncation for an
    interruption add the value of the state that follows: Stable-Baselines3 does so in its own vector environments
    (`DummyVecEnv`, `SubprocVecEnv`), and would then teach an agent that exceeding a hard budget pays. Wrap the
    environment in `gym_stepwise_routing.envs.wrappers.FinalTruncation` there; `sb3.RoutingVecEnv` needs no wrapper.

    ## Arguments

    ```python
    >>> import gymnasium as gym
    >>> import gym_stepwise_routing
    >>> env = gym.make("StepwiseRouting-v0", mode="escalate", cost_unit="large_tokens", budget=0.5)
    >>> env.action_space
    Discrete(2)

    ```

    | parameter       | type                 | default               | meaning                                         |
    |-----------------|----------------------|-----------------------|-------------------------------------------------|
    | `source`        | name, path or object | `gsm8k-qwen2.5-coder` | where steps come from                           |
    | `split`         | str                  | `train`               | `train`, `calibration` or `test`                |
    | `mode`          | str                  | `route`               | see the table above                             |
    | `cost_unit`     | str                  | `flops`               | `flops`, `large_tokens`, `dollars` or `latency` |
    | `observation`   | sequence of blocks   | those that cost none  | see the table above                             |
    | `budget`        | float, pair or None  | None                  | cost allowed an episode; a pair is drawn from   |
    | `hard_budget`   | bool                 | False                 | truncate an episode that exceeds its budget     |
    | `masked_action` | str                  | `error`               | or `project`: the next larger available model   |
    | `normaliser`    | float or None        | None                  | cost of always-largest; None: measured          |
    | `render_mode`   | str or None          | None                  | `ansi`, `human` or `rgb_array`                  |

    ## Vectorized environment

    `gym.make_vec("StepwiseRouting-v0", num_envs=1024, vectorization_mode="vector_entry_point")` plays by the same rules
    on arrays (:class:`StepwiseRoutingVectorEnv`); `gym_stepwise_routing.envs.sb3.RoutingVecEnv` makes it a
    Stable-Baselines3 `VecEnv`.

    ## Version History

    * v0: initial version.
    """

    metadata: dict[str, Any] = {"render_modes": ["ansi", "human", "rgb_array"], "render_fps": 2}  # noqa: RUF012

    def __init__(
        self,
        source: object = "gsm8k-qwen2.5-coder",
        *,
        split: Split = "train",
        mode: Mode = "route",
        cost_unit: CostUnit = "flops",
        observation: Sequence[Block] = DEFAULT_BLOCKS,
        budget: Budget = None,
        hard_budget: bool = False,
        masked_action: MaskedAction = "error",
        normaliser: float | None = None,
        render_mode: str | None = None,
    ) -> None:
        check_choice("render_mode", render_mode, [None, *self.metadata["render_modes"]])
        self.game = Game(
            source,
            split=split,
            mode=mode,
            cost_unit=cost_unit,
            observation=observation,
            budget=budget,
            hard_budget=hard_budget,
            masked_action=masked_action,
            normaliser=normaliser,
        )
        self.routing_spec = self.game.spec
        self.action_space = spaces.Discrete(len(self.routing_spec.models))
        self.observation_space = observation_space(self.routing_spec)
        self.render_mode = render_mode
        self._renderer = None if render_mode is None else Renderer(self.routing_spec)
        self._frames: list[Frame] = []
        self._cursor = cursor(self.game)
        self._models = len(self.routing_spec.models)
        self._standing: Standing | None = None
        self._budget: float | None = None
        self._over = True
        self._problem = -1
        self._kind = self.game.source.kind

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Names of the observation's components, in order."""
        return self.routing_spec.feature_names

    def action_masks(self) -> NDArray[np.bool_]:
        """Allowed actions, ``bool[K]``; the name that sb3-contrib's ``MaskablePPO`` looks for."""
        mask: NDArray[np.bool_] = self._stands().mask.copy()
        return mask

    def reset(self, *, seed: int | None = None, options: Info | None = None) -> tuple[NDArray[np.float32], Info]:
        """Start an episode.

        Args:
            seed: seeds the environment's generator, which draws problems, budgets and random steps.
            options: ``problem`` (id or number, of this split) and ``budget`` (number, pair or None) of this episode.

        Raises:
            ValueError: unknown option, a problem of another split, or a bad budget.
        """
        super().reset(seed=seed)
        if options:
            chosen = _check_options(options, ("problem", "budget"))
            problem = self.game.position_of(chosen["problem"]) if "problem" in chosen else self._draw()
            budget = check_budget(chosen["budget"]) if "budget" in chosen else self.game.budget
        else:
            problem, budget = self._draw(), self.game.budget
        drawn = draw_budget(budget, self.np_random)
        self._budget = drawn if math.isfinite(drawn) else None
        self._problem = int(self.game.problems[problem])
        self._cursor.begin(problem, self.np_random)
        stands = self._standing = self._cursor.standing()
        self._over = False
        if self._renderer is not None:
            self._frames = [Frame(-1, *self._cursor.texts(), 0.0)]
            self._show()
        return self._observation(stands), self._info(stands, 0.0, 0.0)

    def step(self, action: np.int64 | int) -> tuple[NDArray[np.float32], float, bool, bool, Info]:
        """Let a model write the next step (*regenerate*: keep or rewrite the draft).

        Args:
            action: index of a model; must be allowed, unless ``masked_action="project"``. Where none is, any ends the
                episode.

        Raises:
            ValueError: the action is out of range or masked.
            ResetNeeded: the episode has ended, or none was started.
        """
        if self._over:
            raise ResetNeeded("step() on a finished episode; allowed: reset() first")
        before = self._stands()
        model = self._allowed(action, before)
        self._cursor.move(model, self.np_random)
        stands = self._standing = self._cursor.standing()
        info = self._info(stands, stands.cost - before.cost, stands.raw_cost - before.raw_cost)
        bankrupt = self.game.hard_budget and self._budget is not None and stands.cost > self._budget
        terminated = stands.terminal and not bankrupt
        truncated = bankrupt or (stands.stuck and not terminated)
        reward = 1.0 if terminated and stands.correct else 0.0
        if terminated or truncated:
            self._over = True
            if self._budget is not None:
                info["bankrupt"] = stands.cost > self._budget
            if truncated:
                info["truncated_by"] = self._reason(bankrupt, stands.depth)
        if self._renderer is not None:
            if stands.depth > before.depth:
                last, draft = self._cursor.texts()
                self._frames.append(Frame(model, last, draft, stands.cost, answered=terminated, right=reward > 0))
            self._show()
        return self._observation(stands), reward, terminated, truncated, info

    def render(self) -> str | NDArray[np.uint8] | None:  # type: ignore[override]
        """The trace so far, coloured by model, with its cost: text (``ansi``) or ``uint8[height, width, 3]``."""
        if self._renderer is None:
            gym.logger.warn("render() without a render mode; allowed: gym.make(..., render_mode='ansi')")
            return None
        if self.render_mode == "rgb_array":
            return self._renderer.image(self._frames)
        return self._renderer.text(self._frames) if self.render_mode == "ansi" else None

    def _show(self) -> None:
        if self.render_mode == "human" and self._renderer is not None:
            self._renderer.show(self._frames)

    def _draw(self) -> int:
        return int(self.np_random.integers(len(self.game.problems)))

    def _stands(self) -> Standing:
        if self._standing is None:
            raise ResetNeeded("no episode was started; allowed: reset() first")
        return self._standing

    def _allowed(self, action: np.int64 | int, stands: Standing) -> int:
        try:
            model = operator.index(action)
        except TypeError:
            model = -1
        if not 0 <= model < self._models:
            raise ValueError(f"action={action!r}; allowed: an integer from 0 to {self._models - 1}")
        if stands.mask[model] or stands.stuck:
            return model
        if self.game.masked_action == "project":
            return int(project_actions(np.array([model]), stands.mask[None])[0])
        raise ValueError(f"action={model} is masked here; allowed: {np.flatnonzero(stands.mask).tolist()}{_OR_PROJECT}")

    def _observation(self, stands: Standing) -> NDArray[np.float32]:
        observation: NDArray[np.float32] = stands.observation
        if self._budget is not None and self.game.budget_columns is not None:
            left, known = self.game.budget_columns
            observation[left] = self._budget - stands.cost
            observation[known] = 1.0
        return observation

    def _info(self, stands: Standing, cost: float, raw_cost: float) -> Info:
        info = {
            "cost": cost,
            "raw_cost": raw_cost,
            "spent": stands.cost,
            "ledger": stands.ledger.copy(),
            "action_mask": stands.mask.copy(),
            "problem": self._problem,
            "source": self._kind,
            "simulated": self.routing_spec.simulated,
        }
        if stands.failed or stands.reason:
            info["failed"] = stands.reason or True
        if self._budget is not None:
            info["budget"] = self._budget
        return info

    def _reason(self, bankrupt: bool, depth: int) -> str:
        if bankrupt:
            return "budget"
        return "horizon" if depth >= self.routing_spec.horizon else "no_model"


class StepwiseRoutingVectorEnv(VectorEnv[NDArray[np.float32], NDArray[np.int64], NDArray[Any]]):
    """``num_envs`` episodes of the same game on arrays; rules, arguments and observations as in the scalar environment.

    Infos are arrays with one row an episode under the scalar environment's names; ``failed`` holds truth values beside
    the texts of ``failed_reason`` (both only where models can fail); ``truncated_by`` is there when an episode is
    truncated ('' for the others), ``budget`` holds inf for none. ``reset(options=...)`` takes ``problems`` and
    ``budgets``, one an episode.

    Args:
        num_envs: number of episodes played side by side.
        autoreset_mode: ``NEXT_STEP`` (Gymnasium's default: the step after the last one resets and ignores its action)
            or ``SAME_STEP`` (the last step resets; ``info["final_obs"]`` holds the last observations of all episodes
            that ended, and ``info["final_info"]`` their infos; ``cost`` and ``raw_cost`` stay those of the step).
        source: and all further arguments, see :class:`StepwiseRoutingEnv`.
    """

    metadata: dict[str, Any] = {"render_modes": [], "autoreset_mode": AutoresetMode.NEXT_STEP}  # noqa: RUF012

    def __init__(
        self,
        num_envs: int = 1,
        source: object = "gsm8k-qwen2.5-coder",
        *,
        split: Split = "train",
        mode: Mode = "route",
        cost_unit: CostUnit = "flops",
        observation: Sequence[Block] = DEFAULT_BLOCKS,
        budget: Budget = None,
        hard_budget: bool = False,
        masked_action: MaskedAction = "error",
        normaliser: float | None = None,
        autoreset_mode: AutoresetMode = AutoresetMode.NEXT_STEP,
        render_mode: str | None = None,
    ) -> None:
        check_choice("render_mode", render_mode, [None])
        check_choice("autoreset_mode", autoreset_mode, [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP])
        if isinstance(num_envs, bool) or not isinstance(num_envs, int | np.integer) or num_envs < 1:
            raise ValueError(f"num_envs={num_envs!r}; allowed: an integer >= 1")
        self.game = Game(
            source,
            split=split,
            mode=mode,
            cost_unit=cost_unit,
            observation=observation,
            budget=budget,
            hard_budget=hard_budget,
            masked_action=masked_action,
            normaliser=normaliser,
        )
        self.routing_spec = self.game.spec
        self.num_envs = int(num_envs)
        self.metadata = {**self.metadata, "autoreset_mode": autoreset_mode}
        self.render_mode = render_mode
        self.single_action_space = spaces.Discrete(len(self.routing_spec.models))
        self.single_observation_space = observation_space(self.routing_spec)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self._same_step = autoreset_mode == AutoresetMode.SAME_STEP
        self._positions = positions(self.game, num_envs)
        self._standing: Standing | None = None
        self._ended = np.zeros(num_envs, dtype=np.bool_)
        self._budgets = np.full(num_envs, np.inf)
        self._budgeted = False
        self._problems = np.zeros(num_envs, dtype=np.int64)
        self._everyone = np.arange(num_envs)
        self._source = np.full(num_envs, self.game.source.kind)
        self._simulated = np.full(num_envs, self.game.source.simulated)

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Names of the observation's components, in order."""
        return self.routing_spec.feature_names

    def action_masks(self) -> NDArray[np.bool_]:
        """Allowed actions, ``bool[num_envs, K]``; all True for an ended episode, whose next action is ignored."""
        masks: NDArray[np.bool_] = self._stands().mask | self._ended[:, None]
        return masks

    def reset(self, *, seed: int | None = None, options: Info | None = None) -> tuple[NDArray[np.float32], Info]:
        """Start every episode; see :meth:`StepwiseRoutingEnv.reset`. Options: ``problems`` and ``budgets``."""
        super().reset(seed=seed)
        chosen = _check_options(options, ("problems", "budgets"))
        for key, values in chosen.items():
            array = isinstance(values, np.ndarray) and values.ndim == 1
            if not array and (isinstance(values, str) or not isinstance(values, Sequence)):
                raise ValueError(
                    f"reset option {key}={values!r}; allowed: a sequence of {self.num_envs}, one an episode"
                )
            if len(values) != self.num_envs:
                raise ValueError(f"reset option {key!r} has {len(values)} entries; allowed: {self.num_envs}")
        problems = [self.game.position_of(problem) for problem in chosen["problems"]] if "problems" in chosen else None
        budgets = [check_budget(budget) for budget in chosen["budgets"]] if "budgets" in chosen else None
        self._begin(
            self._everyone,
            None if problems is None else np.array(problems),
            None if budgets is None else np.array([draw_budget(budget, self.np_random) for budget in budgets]),
        )
        self._budgeted = self.game.budget is not None or bool(np.isfinite(self._budgets).any())
        stands = self._standing = self._positions.standing()
        self._ended = np.zeros(self.num_envs, dtype=np.bool_)
        nothing = np.zeros(self.num_envs)
        return self._observation(stands), self._info(stands, nothing, nothing)

    def step(
        self, actions: NDArray[np.int64]
    ) -> tuple[NDArray[np.float32], NDArray[np.float64], NDArray[np.bool_], NDArray[np.bool_], Info]:
        """One decision in every episode; see :meth:`StepwiseRoutingEnv.step`."""
        before = self._stands()
        resets = np.flatnonzero(self._ended)
        models = self._allowed(np.asarray(actions), before)
        self._positions.move(models, self.np_random, self._ended)
        before_cost, before_raw_cost = before.cost, before.raw_cost
        if len(resets):
            self._begin(resets)
        stands = self._positions.standing()
        if len(resets):
            before_cost, before_raw_cost = before_cost.copy(), before_raw_cost.copy()
            before_cost[resets], before_raw_cost[resets] = stands.cost[resets], stands.raw_cost[resets]
        over_budget = stands.cost > self._budgets
        terminated, truncated = stands.terminal, stands.stuck & ~stands.terminal
        if self.game.hard_budget:
            terminated, truncated = terminated & ~over_budget, truncated | over_budget
        ended = terminated | truncated
        reward = (terminated & stands.correct).astype(np.float64)
        info = self._info(stands, stands.cost - before_cost, stands.raw_cost - before_raw_cost)
        if self._budgeted:
            info["bankrupt"] = over_budget & ended
        if truncated.any():
            info["truncated_by"] = self._reasons(truncated, over_budget, stands)
        observation = self._observation(stands)
        self._standing = stands
        self._ended = ended
        if self._same_step and ended.any():
            observation, info = self._restart(np.flatnonzero(ended), observation, info)
        return observation, reward, terminated, truncated, info

    def _restart(
        self, rows: NDArray[np.int64], observation: NDArray[np.float32], info: Info
    ) -> tuple[NDArray[np.float32], Info]:
        """SAME_STEP: begin the ended episodes anew and keep how they ended."""
        final = {"final_obs": observation, "final_info": info, "_final_obs": self._ended, "_final_info": self._ended}
        self._begin(rows)
        stands = self._standing = self._positions.standing()
        self._ended = np.zeros(self.num_envs, dtype=np.bool_)
        return self._observation(stands), info | self._info(stands, info["cost"], info["raw_cost"]) | final

    def _begin(
        self,
        rows: NDArray[np.int64],
        problems: NDArray[np.int64] | None = None,
        budgets: NDArray[np.float64] | None = None,
    ) -> None:
        if problems is None:
            problems = self.np_random.integers(len(self.game.problems), size=len(rows))
        self._problems[rows] = problems
        self._budgets[rows] = self.game.draw_budgets(len(rows), self.np_random) if budgets is None else budgets
        self._positions.begin(rows, problems, self.np_random)

    def _stands(self) -> Standing:
        if self._standing is None:
            raise ResetNeeded("no episode was started; allowed: reset() first")
        return self._standing

    def _allowed(self, actions: NDArray[np.int64], stands: Standing) -> NDArray[np.int64]:
        masks, models = stands.mask, stands.mask.shape[1]
        if actions.shape != (self.num_envs,) or not np.issubdtype(actions.dtype, np.integer):
            given = f"actions of shape {actions.shape} and type {actions.dtype}"
            raise ValueError(f"{given}; allowed: integers of shape ({self.num_envs},)")
        if actions.min() < 0 or actions.max() >= models:
            row = int(np.flatnonzero((actions < 0) | (actions >= models))[0])
            raise ValueError(f"action={actions[row]} of episode {row}; allowed: an integer from 0 to {models - 1}")
        allowed = masks.ravel().take(self._everyone * models + actions) | stands.stuck | self._ended
        if allowed.all():
            return actions
        if self.game.masked_action == "project":
            return np.where(allowed, actions, project_actions(actions, masks))
        row = int(np.flatnonzero(~allowed)[0])
        raise ValueError(
            f"action={actions[row]} of episode {row} is masked here; allowed: {np.flatnonzero(masks[row]).tolist()}"
            f"{_OR_PROJECT}"
        )

    def _observation(self, stands: Standing) -> NDArray[np.float32]:
        return self.game.with_budget(stands.observation, stands.cost, self._budgets)

    def _info(self, stands: Standing, cost: NDArray[np.float64], raw_cost: NDArray[np.float64]) -> Info:
        info = {
            "cost": cost,
            "raw_cost": raw_cost,
            "spent": stands.cost.copy(),  # the next step compares with cost and mask
            "ledger": stands.ledger,
            "action_mask": stands.mask.copy(),
            "problem": self.game.problems[self._problems],
            "source": self._source.copy(),
            "simulated": self._simulated.copy(),
        }
        if self.game.table is None:
            info["failed"] = stands.failed | (stands.reason != "")
            info["failed_reason"] = stands.reason.copy()  # else it is the source's own
        if self._budgeted:
            info["budget"] = self._budgets.copy()
        return info

    def _reasons(
        self, truncated: NDArray[np.bool_], over_budget: NDArray[np.bool_], stands: Standing
    ) -> NDArray[np.str_]:
        reasons = np.where(stands.depth >= self.routing_spec.horizon, "horizon", "no_model")
        if self.game.hard_budget:
            reasons = np.where(over_budget, "budget", reasons)
        return np.where(truncated, reasons, "")
