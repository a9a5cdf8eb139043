"""Scoring the steps of a bank with a judge that is one of the bank's models, or any other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from gym_stepwise_routing.banks import Bank
from gym_stepwise_routing.baselines.verifiers.step_texts import bank_traces
from gym_stepwise_routing.costs.models import Model
from gym_stepwise_routing.errors import NotApplicableError
from gym_stepwise_routing.generators.tokenizers import weights_sha256

if TYPE_CHECKING:
    from gym_stepwise_routing.baselines.verifiers.hub import StepJudge

__all__ = ["check_weights", "judge_bank", "prompt_of", "small_steps"]


def check_weights(model: str | Path, wanted: Model) -> None:
    """Check that a model is one of a bank's, by the hash of its weights where both are known, or else by name.

    Args:
        model: local folder or hub name.
        wanted: the bank's model.

    Raises:
        ValueError: it is another one, or other weights.
    """
    found = weights_sha256(str(model))
    if found is not None and wanted.weights_sha256 is not None:
        if found != wanted.weights_sha256:
            raise ValueError(
                f"model={str(model)!r} has weights with hash {found}; allowed: those of the bank's {wanted.name!r}, "
                f"{wanted.weights_sha256} (or --any-weights, if they are the same model's in other files)"
            )
    elif Path(model).name != wanted.name:
        raise ValueError(
            f"model={str(model)!r} is not named like the bank's model; allowed: {wanted.name!r} (or --any-weights, if "
            "it is the same model by another name)"
        )


def prompt_of(bank: Bank) -> str:
    """Template of the prompt that a bank was recorded with; ``{question}`` stands for the question.

    Raises:
        NotApplicableError: the bank does not tell it, or the models were asked through a chat template.
    """
    prompt, form = bank.manifest.prompt, bank.manifest.decoding.form
    if prompt.template is None or form != "completion":
        raise NotApplicableError(
            f"bank {bank.name!r} was recorded with {'a chat template' if form == 'chat' else 'an unknown prompt'}; "
            "logits can be read again behind a known prompt for plain completion only"
        )
    return prompt.template


def small_steps(bank: Bank) -> NDArray[np.int64]:
    """Nodes that the smallest model writes, drafts among them: first children, ascending."""
    return np.unique(bank.child[:, 0][bank.child[:, 0] >= 0]).astype(np.int64)


def judge_bank(
    bank: Bank,
    questions: Sequence[str],
    judge: StepJudge,
    *,
    rows: NDArray[np.integer] | None = None,
    known: NDArray[np.floating] | None = None,
    save: Callable[[NDArray[np.float32]], None] = lambda scores: None,
    shown: Callable[[Iterable[list[int]]], Iterable[list[int]]] = lambda problems: problems,
) -> NDArray[np.float32]:
    """Scores of the steps of a bank, problem by problem.

    Args:
        bank: the bank.
        questions: question of each problem.
        judge: who scores.
        rows: nodes to score; every step if None.
        known: ``float[N]`` scores that need not be taken again, NaN where none is known; none is if None.
        save: is given the scores so far after each problem.
        shown: passes on the problems' lists of nodes, and may show how far it is.

    Returns:
        ``float32[N]``, NaN where a node has no text or was not to be scored.

    Raises:
        NotApplicableError: none of the nodes has a text.
    """
    scores = np.full(len(bank.nodes), np.nan, dtype=np.float32) if known is None else known.astype(np.float32)
    traces = bank_traces(bank, questions)
    wanted = sorted(traces.keys() if rows is None else traces.keys() & set(rows.tolist()))
    if not wanted:
        raise NotApplicableError(f"bank {bank.name!r} holds no text of the steps that are to be scored")
    problems: dict[int, list[int]] = {}
    for row in wanted:
        if np.isnan(scores[row]):
            problems.setdefault(int(bank.nodes.problem[row]), []).append(row)
    for problem in shown(list(problems.values())):
        scores[problem] = judge.scores([traces[row] for row in problem])
        save(scores)
    return scores
