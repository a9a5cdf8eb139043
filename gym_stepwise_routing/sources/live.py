"""Live steps: real language models behind the environment.

The prompt, the step rule, the grader and the confidence figures are those of the recorder, so a policy trained on a
bank meets the same observations when the same models write (up to numerical ties between engines).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from gym_stepwise_routing.banks.questions import question_counts
from gym_stepwise_routing.costs.models import ModelPool
from gym_stepwise_routing.datasets.problem import Problem
from gym_stepwise_routing.errors import check_choice
from gym_stepwise_routing.generators.generator import Completion, Failure, Generator, Request, shared_prefix_tokens
from gym_stepwise_routing.generators.partial_step import PartialStep
from gym_stepwise_routing.generators.prompts import PromptTemplate
from gym_stepwise_routing.generators.step_rule import StepRule
from gym_stepwise_routing.generators.steps import Step, read_steps
from gym_stepwise_routing.generators.token_classes import table_words
from gym_stepwise_routing.generators.token_confidence import token_confidence
from gym_stepwise_routing.grading import GRADERS, Grading
from gym_stepwise_routing.grading.thoughts import without_thoughts
from gym_stepwise_routing.sources.contract import ProblemBatch, SourceState
from gym_stepwise_routing.types import CONFIDENCE, MODES, QUESTION, SPLITS, TOKEN_CLASS_FIGURES, Split

__all__ = ["LiveSource"]


class LiveSource:
    """Asks generators for every step (see :class:`gym_stepwise_routing.sources.contract.StepSource`).

    A model that does not deliver is masked for that step: the state is as before, ``failed`` is set, and
    ``latent["reason"]`` says why. A model that cannot even count the tokens of a problem's prompt could not be charged
    for, and is masked for that whole episode. Whether a trace can be repeated depends on the engines, so the source
    does not count as deterministic, although decoding is greedy.

    Args:
        problems: problems by split.
        generators: the models, smallest first.
        pool: what the cost units need to know of them, in the same order. A verifier in it, as in a bank's pool, scores
            nothing here.
        prompt: prompt template, the same for all models.
        rule: step rule, horizon and token limit.
        grading: how final answers are compared; None where nobody knows the answers: then none counts as right.
        name: name of the pool in ``info`` and reports.
        shared_prefix: tokens of the prompt's head, which all problems share, as each model counts them; None: the
            models are asked now.

    Raises:
        ValueError: a pool of another size, an unknown split, or one problem in two splits.
    """

    kind: ClassVar[Literal["bank", "simulator", "live"]] = "live"
    simulated = False
    scores = False
    deterministic = False
    modes: tuple[str, ...] = MODES
    feedback = False

    def __init__(
        self,
        problems: Mapping[Split, Sequence[Problem]],
        generators: Sequence[Generator],
        *,
        pool: ModelPool,
        prompt: PromptTemplate,
        rule: StepRule | None = None,
        grading: Grading | None = "numeric",
        name: str = "live",
        shared_prefix: Sequence[int] | None = None,
    ) -> None:
        if len(generators) != len(pool):
            raise ValueError(f"generators={[g.name for g in generators]!r}; allowed: one for each of {pool!r}")
        for split in problems:
            check_choice("split", split, SPLITS)
        self.name = name
        self.pool = pool
        self.rule = rule or StepRule()
        self.horizon = self.rule.horizon
        self.generators = tuple(generators)
        self._prompt = prompt
        self._grade = None if grading is None else GRADERS.get(grading).make()
        self._all = [problem for split in problems for problem in problems[split]]
        if len({problem.sha256 for problem in self._all}) != len(self._all):
            raise ValueError("problems: the same question twice; allowed: disjoint splits of distinct questions")
        self._words = [table_words(problem) for problem in self._all]
        self.token_classes = any(words is not None for words in self._words)
        self._splits: dict[Split, NDArray[np.int64]] = {}
        first = 0
        for split, chosen in problems.items():
            self._splits[split] = np.arange(first, first + len(chosen), dtype=np.int64)
            first += len(chosen)
        self._prompt_tokens: dict[int, list[int]] = {}
        self._uncounted: dict[int, dict[int, str]] = {}
        if shared_prefix is None:
            shared_prefix = [shared_prefix_tokens(generator, prompt.head) for generator in generators]
        if len(shared_prefix) != len(pool):
            raise ValueError(f"shared_prefix={list(shared_prefix)!r}; allowed: one number for each of {pool!r}")
        self._shared = list(shared_prefix)

    def __deepcopy__(self, memo: dict[int, Any]) -> LiveSource:
        """The source itself: engines are not copied, and Gymnasium copies the arguments of an environment."""
        return self

    def problems(self, split: Split) -> NDArray[np.int64]:
        """Numbers of the problems of a split."""
        return self._splits.get(split, np.zeros(0, dtype=np.int64))

    def problem_ids(self, problems: NDArray[np.int64]) -> Sequence[str]:
        """Public ids, such as ``gsm8k/test/17``."""
        return [self._all[problem].id for problem in problems]

    def describe(self, problems: NDArray[np.int64]) -> ProblemBatch:
        """Prompt tokens, counted by the generators, and counts over the questions."""
        self._count({int(problem) for problem in problems})
        counts = [self._prompt_tokens[int(problem)] for problem in problems]
        tokens = np.array(counts, dtype=np.int64).reshape(len(problems), len(self.pool))
        question = [question_counts(self._all[problem].question) for problem in problems]
        return ProblemBatch(
            prompt_tokens=tokens,
            # nothing is known to be shared of a prompt that was not counted
            shared_prefix=np.where(tokens > 0, np.array(self._shared, dtype=np.int64), 0),
            question=np.array(question, dtype=np.float32).reshape(len(problems), len(QUESTION)),
        )

    def start(self, problems: NDArray[np.int64], rng: np.random.Generator) -> SourceState:
        """The questions alone; nothing is asked of a model yet."""
        size = len(problems)
        reasons = ["; ".join(self._uncounted.get(int(problem), {}).values()) for problem in problems]
        return SourceState(
            problem=problems.astype(np.int64),
            depth=np.zeros(size, dtype=np.int64),
            model=np.full(size, -1, dtype=np.int64),
            tokens=np.zeros(size, dtype=np.int64),
            confidence=np.full((size, len(CONFIDENCE)), np.nan, dtype=np.float32),
            score=np.full(size, np.nan, dtype=np.float32),
            terminal=np.zeros(size, dtype=np.bool_),
            correct=np.zeros(size, dtype=np.bool_),
            available=self._chargeable(problems),
            failed=np.zeros(size, dtype=np.bool_),
            served=np.full(size, -1, dtype=np.int64),
            classes=np.full((size, len(TOKEN_CLASS_FIGURES)), np.nan, np.float32) if self.token_classes else None,
            latent={
                "steps": _objects([()] * size),
                "written": _objects([None] * size),  # the last step, as it was read
                "run_tokens": np.zeros(size, dtype=np.int64),
                "reason": _objects(reasons),
            },
        )

    def step(self, state: SourceState, models: NDArray[np.int64], rng: np.random.Generator) -> SourceState:
        """Let the models write, all at once; ``rng`` is not used."""
        results = self._write(state, models)
        out = _copy(state)
        for row, result in enumerate(results):
            model = int(models[row])
            if isinstance(result, Failure):
                out.failed[row] = True
                out.available[row, model] = False
                out.latent["reason"][row] = result.reason
                continue
            texts = (*state.latent["steps"][row], result.text)
            ended = bool(result.ending)
            out.failed[row] = False
            out.latent["reason"][row] = ""
            out.latent["steps"][row] = texts
            out.latent["written"][row] = result
            out.latent["run_tokens"][row] = result.tokens + self._run_tokens(state, row, model)
            out.depth[row] += 1
            out.model[row] = model
            out.tokens[row] = result.tokens
            assert out.served is not None
            out.served[row] = -1 if result.cached_tokens is None else result.cached_tokens
            out.confidence[row] = _figures(result)
            if out.classes is not None:
                out.classes[row] = _class_figures(result)
            out.terminal[row] = ended
            out.available[row] = self._chargeable(state.problem[[row]])[0] & (not ended)
            if ended and self._grade is not None:
                problem = self._all[state.problem[row]]
                out.correct[row] = self._grade(without_thoughts(self.rule.delimiter.join(texts)), problem).correct
        return out

    def probe(
        self, state: SourceState, rng: np.random.Generator
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_], SourceState | None]:
        """One token of the smallest model; NaN where it fails, stops at once or tells no log-probabilities."""
        figures = np.full((len(state), 2), np.nan, dtype=np.float32)
        decoded = np.zeros(len(state), dtype=np.bool_)
        for row in range(len(state)):
            prefix = self.rule.prefix(state.latent["steps"][row])
            self.generators[0].submit(row, Request(self._question(state, row), prefix, 1, self.rule.engine_stops))
        for row, result in _drain(self.generators[0]):
            decoded[row] = isinstance(result, Completion)
            if isinstance(result, Completion) and result.has_logprobs and result.text:
                token = token_confidence(result.logprob, result.top)
                figures[row] = token.entropy[0], token.margin[0]
        return np.round(figures, 4), decoded, None

    def texts(self, latent: dict[str, NDArray[Any]]) -> Sequence[str]:
        """Text of the last step of each trace, '' at the start."""
        return [steps[-1] if steps else "" for steps in latent["steps"]]

    def question(self, problem: int) -> str:
        """Text of a problem's question."""
        return self._all[problem].question

    def close(self) -> None:
        """Free the models."""
        for generator in self.generators:
            generator.close()

    def _count(self, problems: set[int]) -> None:
        """Have the prompts counted that are not yet, or that a model failed to count."""
        unknown = sorted(problem for problem in problems if self._uncounted.get(problem, True))
        texts = [self._prompt.fill(self._all[problem].question) for problem in unknown]
        for problem in unknown:
            self._prompt_tokens[problem], self._uncounted[problem] = [0] * len(self.generators), {}
        for model, generator in enumerate(self.generators if unknown else ()):
            try:
                counts = generator.count(texts)
            except ValueError as error:
                for problem in unknown:
                    self._uncounted[problem][model] = str(error)
                continue
            for problem, count in zip(unknown, counts, strict=True):
                self._prompt_tokens[problem][model] = count

    def _chargeable(self, problems: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Models whose prompt tokens are known, ``bool[B, K]``."""
        available = np.ones((len(problems), len(self.pool)), dtype=np.bool_)
        for row, problem in enumerate(problems):
            available[row, list(self._uncounted.get(int(problem), ()))] = False
        return available

    def _write(self, state: SourceState, models: NDArray[np.int64]) -> list[Step | Failure]:
        """The next step of every trace, or why there is none."""
        partial: dict[int, PartialStep] = {}
        for row, model in enumerate(models):
            steps = state.latent["steps"][row]
            if len(steps) + 1 < self.horizon:
                partial[row] = PartialStep(self.rule, steps, self._words[state.problem[row]])
            self._submit(state, row, int(model), partial.get(row))
        results: dict[int, Step | Failure] = {}
        cached: dict[int, int | None] = {}  # of the first request: later ones of a step find what it has read
        for model in sorted(set(models.tolist())):
            for row, result in _drain(self.generators[model]):
                if isinstance(result, Failure):
                    results[row] = result
                    continue
                cached.setdefault(row, result.cached_tokens)
                if row not in partial:
                    steps, words = state.latent["steps"][row], self._words[state.problem[row]]
                    results[row] = read_steps(result, self.rule, steps, words)[-1]
                elif (step := partial[row].add(result)) is not None:
                    results[row] = step
                else:
                    self._submit(state, row, model, partial[row])
        return [_with_cached(results[row], cached.get(row)) for row in range(len(models))]

    def _submit(self, state: SourceState, row: int, model: int, partial: PartialStep | None) -> None:
        left = max(self.rule.max_tokens - self._run_tokens(state, row, model), 1)
        prompt = self._question(state, row)
        if partial is None:
            request = Request(prompt, self.rule.prefix(state.latent["steps"][row]), left, self.rule.engine_stops)
        else:
            request = partial.request(prompt, left)
        self.generators[model].submit(row, request)

    def _run_tokens(self, state: SourceState, row: int, model: int) -> int:
        """Tokens that ``model`` has written since it took over."""
        return int(state.latent["run_tokens"][row]) if state.model[row] == model else 0

    def _question(self, state: SourceState, row: int) -> str:
        return self._prompt.fill(self._all[state.problem[row]].question)


def _drain(generator: Generator) -> Iterator[tuple[int, Completion | Failure]]:
    """Results until nothing is pending, also of what is submitted meanwhile."""
    while generator.pending:
        yield from generator.poll()


def _with_cached(step: Step | Failure, cached: int | None) -> Step | Failure:
    return step if isinstance(step, Failure) else replace(step, cached_tokens=cached)


def _figures(step: Step) -> NDArray[np.float32]:
    """Confidence figures in the order of ``CONFIDENCE``, rounded as in a recording; NaN where there are none."""
    if step.confidence is None:
        return np.full(len(CONFIDENCE), np.nan, dtype=np.float32)
    rounded = step.confidence.rounded()
    rounded["logprob_mean"] = rounded["logprob_sum"] / step.first_tokens
    return np.array([rounded[name] for name in CONFIDENCE], dtype=np.float32)


def _class_figures(step: Step) -> NDArray[np.float32]:
    """Figures by class of token, rounded as in a recording; NaN where there are none."""
    told = {} if step.classes is None else step.classes.rounded()
    return np.array([told.get(name, np.nan) for name in TOKEN_CLASS_FIGURES], dtype=np.float32)


def _objects(values: Sequence[Any]) -> NDArray[Any]:
    array = np.empty(len(values), dtype=object)
    for index, value in enumerate(values):
        array[index] = value
    return array


def _copy(state: SourceState) -> SourceState:
    names = ["depth", "model", "tokens", "confidence", "score", "served"]
    names += [] if state.classes is None else ["classes"]
    arrays = {name: getattr(state, name).copy() for name in names}
    flags = {name: getattr(state, name).copy() for name in ("terminal", "correct", "available", "failed")}
    return replace(state, **arrays, **flags, latent={key: value.copy() for key, value in state.latent.items()})
