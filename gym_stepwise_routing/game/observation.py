"""Observation: named features in switchable blocks, as one flat ``float32`` vector.

================= ==================================================================================================
block             what it tells
================= ==================================================================================================
``progress``      how far the trace is and who wrote it
``confidence``    how sure the writer of the last step was (*regenerate*: of the pending draft)
``aggregates``    worst and mean confidence over the trace so far
``ledger``        what was spent, by model, and what is left of the budget
``probe``         the smallest model's uncertainty at the first token of the next step (GlimpRouter, arXiv 2601.05110);
                  one decoded token and its prefill are charged
``verifier``      scores of a process reward model; the tokens that it reads are charged
``question``      length and make-up of the question
``feedback``      what the environment answered to the last step, where steps are actions that one answers
``token_classes`` how sure the writer of the last step was at the words and numbers of the problem's table, and at all
                  other tokens, where problems have tables
================= ==================================================================================================

A missing value is 0 and its block's ``*_known`` feature says so. In *regenerate*, a trace that goes on without a draft
(the smallest model is down, or its step was not recorded) has none of the draft's figures; one that has ended shows
those of its last step.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from gym_stepwise_routing.errors import check_choice
from gym_stepwise_routing.game.trace_statistics import TRACKED
from gym_stepwise_routing.types import BLOCKS, CONFIDENCE, DEFAULT_BLOCKS, QUESTION, TOKEN_CLASSES, Block

__all__ = ["Feature", "check_blocks", "describe_features"]

_LOG_MAX = 2.5  # log1p(7e10) / 10: no count reaches it
_ENTROPY_MAX = math.log(1e6)  # nats; a uniform draw from a million-token vocabulary
_COST_MAX = 1e6
_MEANINGS = {
    "p_mean": "geometric mean of the probabilities of the step's tokens (exp of the mean log-probability)",
    "p_min": "probability of the step's least likely token (exp of the least log-probability)",
    "entropy_mean": "mean entropy of the next-token distributions of the step, nats",
    "entropy_max": "greatest entropy of the step's next-token distributions, nats",
    "entropy_first": "entropy of the distribution of the step's first token, nats",
    "margin_mean": "mean over the step's tokens of top-1 minus top-2 probability",
    "margin_min": "least top-1 minus top-2 probability in the step",
    "margin_first": "top-1 minus top-2 probability at the step's first token",
    "top1_mean": "mean probability of the most likely token at each token of the step",
}
"""The confidence figures (``sources.base.CONFIDENCE``) as features; in mode *regenerate* the step is the draft.

Entropies are taken from the top log-probabilities plus one bucket for the rest."""
_CLASS_MEANINGS = {
    "p_mean": "geometric mean of the probabilities of the chosen tokens,",
    "p_min": "probability of the least likely chosen token,",
    "entropy_mean": "mean entropy of the next-token distributions, nats,",
}


@dataclass(frozen=True, slots=True)
class Feature:
    """One component of the observation: its name, block, range and meaning."""

    name: str
    block: Block
    low: float
    high: float
    meaning: str


def check_blocks(blocks: Sequence[str]) -> tuple[Block, ...]:
    """The blocks in their canonical order; ``ValueError`` for an unknown, repeated or empty choice."""
    if isinstance(blocks, str) or not isinstance(blocks, Sequence):
        raise ValueError(f"observation={blocks!r}; allowed: a sequence of blocks such as {DEFAULT_BLOCKS}")
    for block in blocks:
        check_choice("observation block", block, BLOCKS)
    if not blocks or len(set(blocks)) != len(blocks):
        raise ValueError(f"observation={tuple(blocks)!r}; allowed: one or more different blocks of {BLOCKS}")
    return tuple(block for block in BLOCKS if block in blocks)


def _entropy_bound(name: str) -> float:
    return _ENTROPY_MAX if name.startswith("entropy") else 1.0


def _worst(name: str) -> str:
    """Which end of a figure is the bad one: a sure model gives high probabilities, large margins and low entropy."""
    return "greatest" if name.startswith("entropy") else "least"


def _as_feature_name(figure: str) -> str:
    return {"logprob_mean": "p_mean", "logprob_min": "p_min"}.get(figure, figure)


@cache
def describe_features(models: int, blocks: tuple[Block, ...]) -> tuple[Feature, ...]:
    """Every component of the observation of a pool of so many models, in order."""
    count = "log(1 + count) / 10"
    blocks_of: dict[Block, list[Feature]] = {
        "progress": [
            Feature("depth", "progress", 0, 1, "steps so far / horizon (restart: of the present attempt)"),
            Feature("trace_tokens", "progress", 0, _LOG_MAX, f"tokens of the trace, {count}"),
            Feature("last_tokens", "progress", 0, _LOG_MAX, f"tokens of the last step (regenerate: draft), {count}"),
            *(Feature(f"writer_{k}", "progress", 0, 1, f"1 if model {k} wrote the last step") for k in range(models)),
            *(
                Feature(f"share_{k}", "progress", 0, 1, f"share of the steps so far written by model {k}")
                for k in range(models)
            ),
        ],
        "confidence": [
            *(
                Feature(
                    _as_feature_name(name), "confidence", 0, _entropy_bound(name), _MEANINGS[_as_feature_name(name)]
                )
                for name in CONFIDENCE
            ),
            Feature("confidence_known", "confidence", 0, 1, "share of these figures that are known"),
        ],
        "aggregates": [
            *(
                Feature(f"worst_{n}", "aggregates", 0, _entropy_bound(n), f"{_worst(n)} {n} of the steps so far")
                for n in TRACKED
            ),
            *(
                Feature(f"mean_{n}", "aggregates", 0, _entropy_bound(n), f"mean {n} of the steps so far")
                for n in TRACKED
            ),
            Feature("aggregates_known", "aggregates", 0, 1, "share of these figures that are known"),
        ],
        "ledger": [
            Feature("spent", "ledger", 0, _COST_MAX, "cost so far (always-largest: 1 an episode on average)"),
            Feature("budget_left", "ledger", -_COST_MAX, _COST_MAX, "budget minus spent; 0 without a budget"),
            Feature("budget_known", "ledger", 0, 1, "1 if there is a budget"),
            *(
                Feature(f"decoded_{k}", "ledger", 0, _LOG_MAX, f"tokens decoded by model {k}, {count}")
                for k in range(models)
            ),
        ],
        "probe": [
            Feature("probe_entropy", "probe", 0, _ENTROPY_MAX, "entropy of the smallest model's next token, nats"),
            Feature("probe_margin", "probe", 0, 1, "top-1 minus top-2 probability of that token"),
            Feature("probe_known", "probe", 0, 1, "1 if the probe is known"),
        ],
        "verifier": [
            Feature("score", "verifier", 0, 1, "verifier's score of the last step (regenerate: draft)"),
            Feature("score_min", "verifier", 0, 1, "least score of the steps before it, 1 if none"),
            Feature("score_product", "verifier", 0, 1, "product of the scores of the steps before it, 1 if none"),
            Feature("score_known", "verifier", 0, 1, "1 if the score is known"),
        ],
        "question": [
            Feature("question_tokens", "question", 0, _LOG_MAX, f"prompt tokens that are the problem's own, {count}"),
            *(Feature(f"question_{n}", "question", 0, _LOG_MAX, f"{n} of the question, {count}") for n in QUESTION),
            Feature("question_known", "question", 0, 1, "share of the text counts that are known"),
        ],
        "feedback": [
            Feature("answer_error", "feedback", 0, 1, "1 if the last action failed, or the step held none"),
            Feature("answer_empty", "feedback", 0, 1, "1 if the last action gave a table without rows"),
            Feature("answer_rows", "feedback", 0, _LOG_MAX, f"rows that it gave, {count}"),
            Feature("answer_repeat", "feedback", 0, 1, "1 if the trace has taken the same action before"),
            Feature("turns_left", "feedback", 0, 1, "steps that the trace may still have / horizon"),
            Feature("answer_known", "feedback", 0, 1, "1 if the environment's answer is known"),
        ],
        "token_classes": [
            Feature("table_share", "token_classes", 0, 1, "share of the step's tokens in words of the table"),
            *(
                Feature(f"{name}_{figure}", "token_classes", 0, _entropy_bound(figure), f"{meaning} at {which} tokens")
                for name, which in zip(TOKEN_CLASSES, ("the table", "all other"), strict=True)
                for figure, meaning in _CLASS_MEANINGS.items()
            ),
            Feature("token_classes_known", "token_classes", 0, 1, "share of these figures that are known"),
        ],
    }
    return tuple(feature for block in blocks for feature in blocks_of[block])
