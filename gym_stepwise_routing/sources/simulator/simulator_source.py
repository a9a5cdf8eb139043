"""Simulated steps: the hidden-state process as a step source. All traces of a batch step at once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from gym_stepwise_routing.errors import check_choice
from gym_stepwise_routing.sources.contract import ProblemBatch, SourceState
from gym_stepwise_routing.sources.simulator.parameters import STATUSES, SimulatorParameters, check_whole
from gym_stepwise_routing.sources.simulator.presets import load_preset
from gym_stepwise_routing.sources.simulator.process import CHANCE, SIGNAL, Process
from gym_stepwise_routing.sources.simulator.score_signals import (
    CONFIDENCE_ROWS,
    SCORE_BINS,
    TOKEN_DRAWS,
    confidence_rows,
)
from gym_stepwise_routing.types import CONFIDENCE, MODES, QUESTION, SPLITS, Split

__all__ = ["PROBLEMS", "SimulatorSource"]

_Ints = NDArray[np.int64]
_Bits = NDArray[np.uint16]

PROBLEMS = 10_000
"""Problems a split, unless one asks for others."""
_PROBE = [CONFIDENCE.index("entropy_first"), CONFIDENCE.index("margin_first")]
_ALL_BITS = np.uint64(2**64 - 1)
_TOKEN_SHIFT = np.uint16(16 - round(math.log2(TOKEN_DRAWS)))
_SIGNAL_SHIFT = np.uint16(16 - round(math.log2(SIGNAL)))
_FREE = np.uint32(0xFFFFFFFF)
"""``luck`` of a step on which each model has luck of its own."""


class SimulatorSource:
    """Plays a simulated hidden-state process (see :class:`gym_stepwise_routing.sources.contract.StepSource`).

    A problem is a number; its level of difficulty is a hash of that number and of ``seed``. The latent state is

    - ``level``: ``int64[B]`` level of difficulty of the problem;
    - ``wrong``: ``bool[B]`` the trace has gone wrong;
    - ``least``: ``uint8[B]`` bin of the least verifier score so far;
    - ``luck``: ``uint32[B]`` the uniform number (in 1/65536) that decides the next step for every model that may write
      it, or 2**32 - 1 if each model has its own.

    With a ``key``, what is drawn for a step is a hash of key, problem, depth and model, and the generator is not used:
    one and the same decisions lead to one and the same trace, whatever happens on other problems. Routers are then
    compared on common random numbers. Without, every play draws anew, which is what training needs.

    Args:
        preset: name of a preset, or parameters of one's own.
        problems: problems in each split.
        seed: draws the problems' difficulty; another seed gives other problems.
        key: fixes the draws of every problem; None takes them from the generator.

    Raises:
        ValueError: unknown preset, bad parameters, ``problems`` < 1, or a negative ``seed`` or ``key``.
    """

    kind: ClassVar[Literal["bank", "simulator", "live"]] = "simulator"
    deterministic = False
    simulated = True
    modes: tuple[str, ...] = MODES
    feedback = False
    alike = True
    """:meth:`describe` says the same of every problem."""

    def __init__(
        self, preset: str | SimulatorParameters, *, problems: int = PROBLEMS, seed: int = 0, key: int | None = None
    ) -> None:
        self.parameters = load_preset(preset).parameters if isinstance(preset, str) else preset
        check_whole("problems", problems, 1)
        check_whole("seed", seed, 0)
        if key is not None:
            check_whole("key", key, 0)
        self.name = self.parameters.name
        self.pool = self.parameters.pool
        self.horizon = self.parameters.horizon
        self.scores = self.parameters.scores is not None
        self.size = problems
        self.seed = seed
        self.key = key
        self.process = Process.of(self.parameters)
        self._tabulate()

    def _tabulate(self) -> None:
        """Flat look-up tables of integers, one look-up an event."""
        process = self.process
        _, models, self._levels, self._depths = process.flip.shape
        self._half = models * self._levels * self._depths
        self._flip = np.rint(process.flip.ravel() * CHANCE).astype(np.uint32)
        self._stop = np.rint(process.stop.ravel() * CHANCE).astype(np.uint32)
        self._recovery = np.rint(process.recovery * CHANCE).astype(np.uint32)
        self._coupling = np.uint32(round(process.coupling * CHANCE))
        self._tokens = process.tokens.ravel()
        self._score_bin = _inverse(process.scores).astype(np.uint8)
        self._group = process.group
        self._confidence_bin = _inverse(process.confidence).astype(np.uint8)
        if self.parameters.confidence is not None:
            rows, _ = confidence_rows(self.parameters.confidence.measured)
            self._rows = rows.reshape(-1, len(CONFIDENCE))

    def problems(self, split: Split) -> NDArray[np.int64]:
        """Numbers of the problems of a split; the splits are disjoint."""
        check_choice("split", split, SPLITS)
        return np.arange(self.size) + SPLITS.index(split) * self.size

    def describe(self, problems: NDArray[np.int64]) -> ProblemBatch:
        """Prompt lengths, the same for all problems; there is no question to count."""
        prompt, shape = self.parameters.prompt, (len(problems), len(self.pool))
        return ProblemBatch(
            prompt_tokens=np.broadcast_to(np.array(prompt.tokens, np.int64), shape).copy(),
            shared_prefix=np.broadcast_to(np.array(prompt.shared, np.int64), shape).copy(),
            question=np.full((len(problems), len(QUESTION)), np.nan, dtype=np.float32),
        )

    def problem_ids(self, problems: NDArray[np.int64]) -> Sequence[str]:
        """Ids such as ``simulated/math-qwen2.5/0/17``: preset, seed, number."""
        return [f"simulated/{self.name}/{self.seed}/{problem}" for problem in problems]

    def levels(self, problems: NDArray[np.int64]) -> NDArray[np.int64]:
        """Level of difficulty of each problem, ``int64[B]``; hidden from routers."""
        place = _hash(problems.astype(np.uint64) + np.uint64(self.seed) * np.uint64(0x632BE59BD9B4E019))
        bounds = np.cumsum(self.process.shares)[:-1]
        return np.searchsorted(bounds, place / 2.0**64, side="right")

    def start(self, problems: NDArray[np.int64], rng: np.random.Generator) -> SourceState:
        """Right traces without a step."""
        batch, models = len(problems), len(self.pool)
        if self.key is None:
            draws = rng.integers(CHANCE, size=(2, batch), dtype=np.uint16)
        else:
            draws = self._keyed_bits(problems, np.zeros(batch, np.int64), np.full(batch, -1, np.int64))[:2]
        return SourceState(
            problem=problems.astype(np.int64),
            depth=np.zeros(batch, np.int64),
            model=np.full(batch, -1, np.int64),
            tokens=np.zeros(batch, np.int64),
            confidence=np.full((batch, len(CONFIDENCE)), np.nan, np.float32),
            score=np.full(batch, np.nan, np.float32),
            terminal=np.zeros(batch, np.bool_),
            correct=np.zeros(batch, np.bool_),
            available=np.ones((batch, models), np.bool_),
            failed=np.zeros(batch, np.bool_),
            latent={
                "level": self.levels(problems),
                "wrong": np.zeros(batch, np.bool_),
                "least": np.full(batch, SCORE_BINS - 1, np.uint8),
                "luck": np.where(draws[0] < self._coupling, draws[1], _FREE),
            },
        )

    def step(self, state: SourceState, models: NDArray[np.int64], rng: np.random.Generator) -> SourceState:
        """State after ``models[b]`` has written the next step of trace ``b``; one block of random bits from ``rng``.

        Raises:
            ValueError: a model that is not in the pool.
        """
        if len(models) and not 0 <= models.min() <= models.max() < len(self.pool):
            known = f"0 to {len(self.pool) - 1}"
            raise ValueError(f"models={np.unique(models).tolist()}; allowed: {known}, the numbers of the pool")
        latent, batch = state.latent, len(state)
        if self.key is None:
            words = rng.integers(_ALL_BITS, size=2 * batch, dtype=np.uint64, endpoint=True)
            bits = words.view(np.uint16).reshape(8, batch)
        else:
            bits = self._keyed_bits(state.problem, state.depth + 1, models)
        level, wrong, luck = latent["level"], latent["wrong"], latent["luck"]
        kind = models * self._levels + level
        at = kind * self._depths + state.depth + wrong * self._half
        now_wrong = (np.where(luck == _FREE, bits[0], luck) < self._flip.take(at)) ^ wrong
        status = now_wrong * (wrong + np.int64(1))
        terminal = bits[1] < self._stop.take(models * self._depths + state.depth)
        right = terminal & (~now_wrong | (bits[2] < self._recovery.take(level)))
        tokens = self._tokens.take((kind * len(STATUSES) + status) * TOKEN_DRAWS + (bits[3] >> _TOKEN_SHIFT))
        score, least = self._score(models, status, latent["least"], bits[4], bits[5])
        return SourceState(
            problem=state.problem,
            depth=state.depth + 1,
            model=models,
            tokens=tokens,
            confidence=self._confidence(models, status, bits[5], bits[3]),
            score=score,
            terminal=terminal,
            correct=right,
            available=np.broadcast_to(~terminal[:, None], state.available.shape),
            failed=np.zeros(batch, np.bool_),
            latent={
                "level": level,
                "wrong": now_wrong,
                "least": least,
                "luck": np.where(bits[6] < self._coupling, bits[7], _FREE),
            },
        )

    def _keyed_bits(self, problems: _Ints, depth: _Ints, models: _Ints) -> _Bits:
        """Eight numbers of 16 bits a trace, ``uint16[8, B]``, that depend on nothing but the arguments and the key."""
        stream = _hash(np.array([2 * (self.key or 0) + 1], np.uint64) + _hash(np.array([self.seed], np.uint64)))
        own = _hash(problems.astype(np.uint64) ^ stream)
        event = (depth * (len(self.pool) + 1) + models + 1).astype(np.uint64) * np.uint64(2)
        words = np.stack([_hash(own + event), _hash(own + event + np.uint64(1))], axis=1)
        return np.ascontiguousarray(words.view(np.uint16).T)

    def _score(
        self, models: _Ints, status: _Ints, least: NDArray[np.uint8], bits: _Bits, more: _Bits
    ) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        """Score of a step and bin of the least score so far: 12 bits for its bin, 8 for the place in it."""
        if not self.process.scored.any():
            return np.full(len(least), np.nan, np.float32), least
        column = (self._group.take(least) * len(STATUSES) + status) * SIGNAL + (bits >> _SIGNAL_SHIFT)
        chosen = self._score_bin.take(column)
        place = chosen.astype(np.uint16) << 8 | (bits & 15) << 4 | more & 15
        score = (place + np.float32(0.5)) * np.float32(1 / (256 * SCORE_BINS))
        now_least = np.minimum(least, chosen)
        if self.process.scored.all():
            return score, now_least
        scored = self.process.scored.take(models)
        return np.where(scored, score, np.float32(np.nan)), np.where(scored, now_least, least)

    def _confidence(self, models: _Ints, status: _Ints, bits: _Bits, more: _Bits) -> NDArray[np.float32]:
        """Confidence figures of a step: 12 bits for their bin, 6 for the recorded step in it."""
        if len(self._confidence_bin) == 0:
            return np.full((len(models), len(CONFIDENCE)), np.nan, np.float32)
        column = (models * len(STATUSES) + status) * SIGNAL + (bits >> _SIGNAL_SHIFT)
        row = self._confidence_bin.take(column).astype(np.int64) * CONFIDENCE_ROWS + (more & CONFIDENCE_ROWS - 1)
        return self._rows.take(row, axis=0)

    def probe(
        self, state: SourceState, rng: np.random.Generator
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_], SourceState]:
        """First-token figures of the smallest model's next step, and the state after that step."""
        ahead = self.step(state, np.zeros(len(state), dtype=np.int64), rng)
        return ahead.confidence[:, _PROBE], ~ahead.failed, ahead

    def texts(self, latent: dict[str, NDArray[Any]]) -> Sequence[str]:
        """Simulated steps have no text."""
        return [""] * len(latent["wrong"])


def _inverse(chances: NDArray[np.float64]) -> NDArray[np.int64]:
    """Tables to draw from: each distribution (last axis, multiples of 1/SIGNAL) as SIGNAL equally likely bins, flat."""
    counts = np.rint(chances * SIGNAL).astype(np.int64)
    rows = counts.reshape(-1, counts.shape[-1]) if counts.size else np.zeros((0, 1), np.int64)
    return np.concatenate([np.zeros(0, np.int64), *(np.repeat(np.arange(len(row)), row) for row in rows)])


def _hash(numbers: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """64 well-mixed bits of each number (splitmix64, Steele et al., OOPSLA 2014)."""
    mixed = numbers * np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ mixed >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ mixed >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
    return mixed ^ mixed >> np.uint64(31)
