"""The environment ``StepwiseRouting-v0``: which model writes the next reasoning step?"""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Unpack

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.error import ResetNeeded
from numpy.typing import NDArray

from gym_stepwise_routing.envs.rendering import Frame, Renderer
from gym_stepwise_routing.errors import check_choice
from gym_stepwise_routing.game.config import (
    DEFAULT_BANK,
    GameArguments,
    GameConfig,
    RoutingSpec,
    check_budget,
    draw_budgets,
)
from gym_stepwise_routing.game.episode_standing import Standing, ending, truncation_numbers
from gym_stepwise_routing.game.episodes import cursor
from gym_stepwise_routing.game.game import Game
from gym_stepwise_routing.game.row_table import project_actions
from gym_stepwise_routing.types import SOURCES

__all__ = ["StepwiseRoutingEnv", "check_options", "environment_game", "observation_space"]

Info = dict[str, Any]
_NO, _YES = np.uint8(0), np.uint8(1)  # NumPy's truth values become objects in Gymnasium's vector infos
OR_PROJECT = (
    ", or masked_action='project' for agents that know no masks "
    "(wrappers.MaskInObservation shows them to RLlib's masking module)"
)


def observation_space(spec: RoutingSpec) -> spaces.Box[np.float32]:
    """Box of the features' ranges."""
    low, high = ([getattr(f, end) for f in spec.features] for end in ("low", "high"))
    return spaces.Box(np.array(low, np.float32), np.array(high, np.float32), dtype=np.float32)


def environment_game(source: object, arguments: GameArguments) -> Game:
    """The game of an environment: masked actions are errors there unless it is said otherwise."""
    config = GameConfig.of(source, **arguments)
    return Game(replace(config, masked_action=config.masked_action or "error"))


def check_options(options: dict[str, Any] | None, allowed: Sequence[str]) -> dict[str, Any]:
    """The options of a reset; ``ValueError`` for an unknown one."""
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

    Four modes decide what an action means (`mode`):

    | mode         | action                                                                                           |
    |--------------|--------------------------------------------------------------------------------------------------|
    | `route`      | any model writes the next step                                                                   |
    | `escalate`   | as `route`, but models smaller than the writer of the last step are masked                       |
    | `regenerate` | the smallest model has drafted the step: 0 keeps the draft, i has model i write the step instead |
    | `restart`    | the writer goes on, or a larger model begins the problem afresh, not seeing what was written     |

    In `restart` every attempt has the whole horizon, and an attempt that ends, right or wrong, ends the episode:
    whoever wants to hand over does so before. What was spent on an attempt that was left stays spent.

    ## Action Space

    `Discrete(K)` for a pool of K models, smallest first. `action_masks()` (also `info["action_mask"]`) tells which
    actions are allowed: a branch may be unrecorded, a model down, or the mode may forbid it.

    ## Observation Space

    A flat float32 `Box`. `env.unwrapped.feature_names` names the components and `env.unwrapped.routing_spec.features`
    gives their meaning. With K = 2 and all blocks:

    | num   | block           | names                                                         | min  | max  |
    |-------|-----------------|---------------------------------------------------------------|------|------|
    | 0-6   | `progress`      | depth, trace_tokens, last_tokens, writer_k, share_k           | 0    | 2.5  |
    | 7-16  | `confidence`    | p_mean, p_min, entropy_mean, ..., top1_mean, confidence_known | 0    | 13.8 |
    | 17-25 | `aggregates`    | worst_p_mean, ..., mean_margin_first, aggregates_known        | 0    | 13.8 |
    | 26-30 | `ledger`        | spent, budget_left, budget_known, decoded_k                   | -1e6 | 1e6  |
    | 31-33 | `probe`         | probe_entropy, probe_margin, probe_known                      | 0    | 13.8 |
    | 34-37 | `verifier`      | score, score_min, score_product, score_known                  | 0    | 1    |
    | 38-43 | `question`      | question_tokens, question_characters, ..., question_known     | 0    | 2.5  |
    | 44-49 | `feedback`      | answer_error, ..., answer_repeat, turns_left, answer_known    | 0    | 2.5  |
    | 50-57 | `token_classes` | table_share, table_p_mean, ..., token_classes_known           | 0    | 13.8 |

    Blocks `probe` and `verifier` cost tokens, which are charged. Block `feedback` is for sources in which steps are
    actions that an environment answers, `token_classes` for problems with tables. In `restart`, `depth` and the
    aggregates are those of the present attempt. A missing value is 0 and the block's `*_known` feature says so.

    ## Rewards

    1 if the final answer is right, else 0, at the end; 0 before. The cost of a step is `info["cost"]`, normalised so
    that letting the largest model write everything costs 1 an episode on average over the split. What an observation
    itself costs (draft, probe, verifier) is charged in the step that follows it.

    `info` holds twelve NumPy scalars and arrays, the same at every step and at the reset. It has no texts: those are
    numbers in the tuples of `gym_stepwise_routing.types`, and `env.unwrapped.failed_reason`.

    | key            | type                | meaning                                                                   |
    |----------------|---------------------|---------------------------------------------------------------------------|
    | `cost`         | float64             | of this step, normalised                                                  |
    | `raw_cost`     | float64             | of this step, in the cost unit                                            |
    | `spent`        | float64             | in the episode so far, normalised                                         |
    | `budget`       | float64             | of the episode, normalised; inf for none                                  |
    | `bankrupt`     | uint8               | 1 at the end of an episode whose cost exceeds its budget                  |
    | `ledger`       | int64[rows, kinds]  | spent so far, rows the models and the verifier, see `costs.ledger`        |
    | `action_mask`  | bool[K]             | allowed actions                                                           |
    | `problem`      | int64               | number of the problem in its source                                       |
    | `source`       | uint8               | number in `types.SOURCES`                                                 |
    | `simulated`    | uint8               | 1 for a random process, or a bank drawn from one, instead of models       |
    | `failed`       | uint8               | 1 where a live model did not deliver: the trace or draft is as it was     |
    | `truncated_by` | uint8               | number in `types.TRUNCATIONS`; 0 where the episode is not truncated       |

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
    | `cost_unit`     | str                  | `large_tokens`        | `flops`, `large_tokens`, `dollars` or `latency` |
    | `observation`   | sequence of blocks   | those that cost none  | see the table above                             |
    | `budget`        | float, pair or None  | None                  | cost allowed an episode; a pair is drawn from   |
    | `hard_budget`   | bool                 | False                 | truncate an episode that exceeds its budget     |
    | `masked_action` | str                  | `error`               | or `project`: the next larger available model   |
    | `normaliser`    | float or None        | None                  | cost of always-largest; None: measured          |
    | `render_mode`   | str or None          | None                  | `ansi`, `human` or `rgb_array`                  |

    ## Vectorized environment

    `gym.make_vec("StepwiseRouting-v0", num_envs=1024, vectorization_mode="vector_entry_point")` plays by the same rules
    on arrays (:class:`...envs.stepwise_routing_vector.StepwiseRoutingVectorEnv`);
    `gym_stepwise_routing.envs.sb3.RoutingVecEnv` makes it a Stable-Baselines3 `VecEnv`.

    ## Version History

    * v0: initial version.
    """

    metadata: dict[str, Any] = {"render_modes": ["ansi", "human", "rgb_array"], "render_fps": 2}  # noqa: RUF012

    def __init__(
        self, source: object = DEFAULT_BANK, *, render_mode: str | None = None, **game: Unpack[GameArguments]
    ) -> None:
        check_choice("render_mode", render_mode, [None, *self.metadata["render_modes"]])
        self.game = environment_game(source, game)
        self.routing_spec = self.game.spec
        self.action_space = spaces.Discrete(len(self.routing_spec.models))
        self.observation_space = observation_space(self.routing_spec)
        self.render_mode = render_mode
        self._renderer = None if render_mode is None else Renderer(self.routing_spec)
        self._frames: list[Frame] = []
        self._cursor = cursor(self.game)
        self._models = len(self.routing_spec.models)
        self._standing: Standing | None = None
        self._budget = math.inf
        self._over = True
        self._problem = np.int64(-1)
        self._source = np.uint8(SOURCES.index(self.game.source.kind))
        self._simulated = np.uint8(self.routing_spec.simulated)

    @property
    def feature_names(self) -> tuple[str, ...]:
        """Names of the observation's components, in order."""
        return self.routing_spec.feature_names

    def action_masks(self) -> NDArray[np.bool_]:
        """Allowed actions, ``bool[K]``; the name that sb3-contrib's ``MaskablePPO`` looks for."""
        mask: NDArray[np.bool_] = self._stands().mask.copy()
        return mask

    @property
    def failed_reason(self) -> str:
        """Which live model did not deliver in the last step, and why; '' where none failed or the source tells none."""
        return str(self._stands().reason)

    @property
    def depth(self) -> int:
        """Steps of the trace so far; in *restart* those of the present attempt."""
        return int(self._stands().depth)

    def texts(self) -> tuple[str, str]:
        """Text of the last step and of the pending draft (*regenerate*); '' where there is none, or none is kept."""
        self._stands()
        return self._cursor.texts()

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
            chosen = check_options(options, ("problem", "budget"))
            problem = self.game.position_of(chosen["problem"]) if "problem" in chosen else self._draw()
            budget = check_budget(chosen["budget"]) if "budget" in chosen else self.game.budget
        else:
            problem, budget = self._draw(), self.game.budget
        self._budget = float(draw_budgets(budget, 1, self.np_random)[0])
        self._problem = self.game.problems[problem]
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
        end = ending(stands, self._budget, self.game.hard_budget)
        reward = 1.0 if end.right else 0.0
        if end.ended:
            self._over = True
            info["bankrupt"] = np.uint8(end.over)
            if end.truncated:
                info["truncated_by"] = truncation_numbers(end, self.game.hard_budget)[()]
        if self._renderer is not None:
            if stands.depth > before.depth:
                last, draft = self._cursor.texts()
                self._frames.append(Frame(model, last, draft, stands.cost, answered=end.terminated, right=end.right))
            self._show()
        return self._observation(stands), reward, end.terminated, end.truncated, info

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
        raise ValueError(f"action={model} is masked here; allowed: {np.flatnonzero(stands.mask).tolist()}{OR_PROJECT}")

    def _observation(self, stands: Standing) -> NDArray[np.float32]:
        if math.isinf(self._budget):
            return stands.observation  # type: ignore[no-any-return]
        return self.game.show_budget(stands.observation, stands.cost, self._budget)

    def _info(self, stands: Standing, cost: float, raw_cost: float) -> Info:
        return {
            "cost": np.float64(cost),
            "raw_cost": np.float64(raw_cost),
            "spent": np.float64(stands.cost),
            "budget": np.float64(self._budget),
            "bankrupt": _NO,
            "ledger": stands.ledger.astype(np.int64),
            "action_mask": stands.mask.copy(),
            "problem": self._problem,
            "source": self._source,
            "simulated": self._simulated,
            "failed": _YES if stands.failed or stands.reason else _NO,
            "truncated_by": _NO,
        }
