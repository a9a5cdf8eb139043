"""Step sources for tests: random trees in memory (simulated, no language model behind them) and a shell around one.

Everything that a rule may meet is in them: unrecorded branches, missing figures, models that fail, any pool size.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from gym_stepwise_routing.costs.models import Latency, Model, ModelPool, Price
from gym_stepwise_routing.sources.contract import ProblemBatch, SourceState, StepSource
from gym_stepwise_routing.types import CONFIDENCE, FEEDBACK, MODES, QUESTION, Split

LOW = np.array([-3, -6, 0, 0, 0, 0, 0, 0, 0], dtype=np.float32)
HIGH = np.array([0, 0, 3, 5, 5, 1, 1, 1, 1], dtype=np.float32)


def fake_pool(models: int, *, verifier: bool) -> ModelPool:
    """A pool with figures for every cost unit; no two of them are equal."""

    def model(name: str, size: float) -> Model:
        price = Price(input=2 * size, cached_input=0.5 * size, output=7 * size, date="2026-01-01", source="made up")
        latency = Latency(prefill=1e-4 * size, decode=1e-2 * size, overhead=0.1 * size, source="made up")
        return Model(name, parameters=1e9 * size, price=price, latency=latency)

    return ModelPool([model(f"m{k}", 1.0 + 2 * k) for k in range(models)], model("prm", 5.5) if verifier else None)


class TreeSource:
    """A random tree for each problem. Problem ``p`` belongs to the split ``("train", "calibration", "test")[p % 3]``.

    Args:
        seed: seed of the trees.
        models: K.
        problems: number of problems.
        horizon: most steps of a trace.
        verifier: whether the pool has a verifier and steps have scores.
        told: whether ``probe`` tells the smallest model's whole next step.
        gaps: share of branches that were not recorded, of figures that are missing.
        failures: share of calls that fail, each time they are tried.
        deterministic: what the source says of itself; False forces the rules to be played instead of the table.
    """

    kind: ClassVar[Literal["bank", "simulator", "live"]] = "simulator"
    name = "fake-tree"
    simulated = True
    modes: tuple[str, ...] = MODES
    feedback = True
    token_classes = True

    def __init__(
        self,
        seed: int = 0,
        *,
        models: int = 2,
        problems: int = 6,
        horizon: int = 3,
        verifier: bool = False,
        told: bool = True,
        gaps: float = 0.0,
        failures: float = 0.0,
        deterministic: bool = True,
    ) -> None:
        rng = np.random.default_rng(seed)
        self.pool = fake_pool(models, verifier=verifier)
        self.horizon = horizon
        self.scores = verifier
        self.deterministic = deterministic
        self.told = told
        count = problems
        levels = [np.arange(problems)]  # problem of each node, level by level; every node has K children
        for _ in range(horizon):
            levels.append(np.repeat(levels[-1], models))
        self.problem = np.concatenate(levels)
        self.depth = np.concatenate([np.full(len(level), depth) for depth, level in enumerate(levels)])
        self.model = np.concatenate(
            [np.full(problems, -1), *(np.tile(np.arange(models), len(level)) for level in levels[:-1])]
        )
        count = len(self.problem)
        self.child = np.full((count, models), -1)
        inner = count - len(levels[-1])
        self.child[:inner] = problems + np.arange(inner * models).reshape(inner, models)
        self.tokens = np.where(self.depth > 0, rng.integers(1, 40, count), 0)
        self.terminal = (self.depth > 0) & (
            (rng.random(count) < 0.25) | (self.depth == horizon) & (rng.random(count) < 0.8)
        )
        self.correct = self.terminal & (rng.random(count) < 0.5)
        self.child[self.terminal] = -1
        self.child[(rng.random(self.child.shape) < gaps) & (self.depth[:, None] > 0)] = -1
        figures = rng.uniform(LOW, HIGH, size=(count, len(CONFIDENCE))).astype(np.float32)
        figures[rng.random(figures.shape) < gaps] = np.nan
        figures[rng.random(count) < gaps] = np.nan
        self.confidence = np.where(self.depth[:, None] > 0, figures, np.float32(np.nan))
        scored = (self.depth > 0) & (rng.random(count) >= gaps) & verifier
        self.score = np.where(scored, rng.random(count), np.nan).astype(np.float32)
        self.fails = (rng.random(self.child.shape) < failures) & (self.child >= 0)
        self.prompt_tokens = rng.integers(20, 90, size=(problems, models))
        self.shared_prefix = np.minimum(rng.integers(0, 30, size=models), self.prompt_tokens)
        self.question = rng.integers(1, 200, size=(problems, len(QUESTION))).astype(np.float32)
        self.question[rng.random(problems) < gaps] = np.nan
        answers = rng.integers([0, 0, 0], [2, 40, 2], size=(count, len(FEEDBACK))).astype(np.float32)
        answers[(rng.random(count) < gaps) | (self.depth == 0)] = np.nan
        answers[answers[:, 0] == 1, FEEDBACK.index("rows")] = np.nan
        self.answers = answers
        self.classes = self._classes(np.random.default_rng([seed, 1]), gaps)
        told = (rng.random(count) < gaps) & (self.depth > 0)
        self.contexts = np.where(told, rng.integers(1, 300, count), -1)

    def _classes(self, rng: np.random.Generator, gaps: float) -> NDArray[np.float32]:
        """Figures by class of token: unknown at the start and in gaps; without figures where a class has no token."""
        count = len(self.depth)
        table = rng.integers(0, np.maximum(self.tokens, 1) + 1)
        columns = []
        for tokens in (table, np.maximum(self.tokens, 1) - table):
            least = rng.uniform(-9, 0, count)
            figures = np.stack([least * rng.random(count), least, rng.uniform(0, 3, count)], axis=1)
            columns += [tokens[:, None], np.where(tokens[:, None] > 0, figures, np.nan)]
        classes = np.concatenate(columns, axis=1).astype(np.float32)
        classes[(self.depth == 0) | (rng.random(count) < gaps)] = np.nan
        return classes

    def problems(self, split: Split) -> NDArray[np.int64]:
        names = ("train", "calibration", "test")
        return np.arange(names.index(split), len(self.prompt_tokens), 3)

    def describe(self, problems: NDArray[np.int64]) -> ProblemBatch:
        return ProblemBatch(self.prompt_tokens[problems], self.shared_prefix[problems], self.question[problems])

    def problem_ids(self, problems: NDArray[np.int64]) -> Sequence[str]:
        return [f"fake/{problem}" for problem in problems]

    def start(self, problems: NDArray[np.int64], rng: np.random.Generator) -> SourceState:
        return self.at(problems, np.zeros((len(problems), len(self.pool)), dtype=np.bool_))

    def step(self, state: SourceState, models: NDArray[np.int64], rng: np.random.Generator) -> SourceState:
        nodes, down = state.latent["node"], state.latent["down"]
        rows = np.arange(len(models))
        ahead = self.child[nodes, models]
        assert (ahead >= 0).all(), "the rules asked for a branch that was not recorded"
        assert not down[rows, models].any(), "the rules asked a model that is down"
        failed = self.fails[nodes, models]
        still = down.copy()
        still[rows[failed], models[failed]] = True
        still[~failed] = False
        return self.at(np.where(failed, nodes, ahead), still, failed)

    def probe(
        self, state: SourceState, rng: np.random.Generator
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_], SourceState | None]:
        ahead = self.step(state, np.zeros(len(state), dtype=np.int64), rng)
        columns = [CONFIDENCE.index("entropy_first"), CONFIDENCE.index("margin_first")]
        figures = np.where(ahead.failed[:, None], np.float32(np.nan), ahead.confidence[:, columns])
        return figures, ~ahead.failed, ahead if self.told else None

    def texts(self, latent: dict[str, NDArray[Any]]) -> Sequence[str]:
        return [f"step {node}" if self.depth[node] else "" for node in latent["node"]]

    def at(
        self, nodes: NDArray[np.int64], down: NDArray[np.bool_], failed: NDArray[np.bool_] | None = None
    ) -> SourceState:
        return SourceState(
            problem=self.problem[nodes],
            depth=self.depth[nodes],
            model=self.model[nodes],
            tokens=self.tokens[nodes],
            confidence=self.confidence[nodes],
            score=self.score[nodes],
            terminal=self.terminal[nodes],
            correct=self.correct[nodes],
            available=(self.child[nodes] >= 0) & ~down,
            failed=np.zeros(len(nodes), dtype=np.bool_) if failed is None else failed,
            latent={"node": np.asarray(nodes), "down": down},
            feedback=self.answers[nodes],
            context=self.contexts[nodes],
            classes=self.classes[nodes],
        )


class Untabulated:
    """A source that is the same but does not say that it is deterministic, so that the rules are played."""

    deterministic = False

    def __init__(self, source: StepSource) -> None:
        self.inner = source

    def __getattr__(self, name: str) -> Any:
        if name == "inner":  # not there yet while unpickling
            raise AttributeError(name)
        return getattr(self.inner, name)
