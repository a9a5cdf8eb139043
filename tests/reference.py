"""The rules for one trace in plain Python, written from the documentation instead of the code: slow and obvious."""

from __future__ import annotations

import math

import numpy as np
from fake_sources import TreeSource

from gym_stepwise_routing.costs.ledger import KINDS
from gym_stepwise_routing.types import CONFIDENCE


class ReferencePlay:
    """One trace of a :class:`TreeSource` (without failing models), decision by decision.

    Args:
        source: the tree.
        problem: number of the problem.
        mode: one of the four.
        probing: whether the smallest model's next token is looked at before each decision.
        scoring: whether a verifier scores each step (*regenerate*: draft) before each decision.
    """

    def __init__(self, source: TreeSource, problem: int, *, mode: str, probing: bool, scoring: bool) -> None:
        self.source, self.mode, self.problem = source, mode, problem
        self.probing = probing and mode != "regenerate"
        self.scoring = scoring
        self.node = problem
        self.models = len(source.pool)
        self._read_prompt()
        self.ledger = [dict.fromkeys(KINDS, 0) for _ in self.context]
        self.path: list[int] = []

    def _read_prompt(self) -> None:
        source = self.source
        self.context = [int(tokens) for tokens in source.prompt_tokens[self.problem]]
        self.cache = [int(tokens) for tokens in source.shared_prefix[self.problem]]
        if source.pool.verifier is not None:  # it reads the prompt as the largest model counts it
            self.context.append(self.context[-1])
            self.cache.append(self.cache[-1])

    def mask(self) -> list[bool]:
        source, node = self.source, self.node
        going = not source.terminal[node] and source.depth[node] < source.horizon
        back = source.model[node] if self.mode in ("escalate", "restart") else -1
        return [bool(going and source.child[self._from(k), k] >= 0 and k >= back) for k in range(self.models)]

    def _from(self, model: int) -> int:
        """The node that a model would go on from."""
        return self.problem if self.mode == "restart" and model != self.source.model[self.node] else self.node

    def step(self, model: int) -> None:
        begins = self.mode == "restart" and model != self.source.model[self.node]
        after = int(self.source.child[self._from(model), model])
        tokens = int(self.source.tokens[after])
        smallest_may = self.mask()[0]
        if self.mode == "regenerate":
            draft = int(self.source.tokens[self.source.child[self.node, 0]]) if smallest_may else 0
            scored = self.scoring and smallest_may and self._scored(int(self.source.child[self.node, 0]))
            if smallest_may:
                self._call(0)
                if scored:
                    self._verify(draft)
            if model == 0:
                self._write(0, tokens)
                if scored:  # it has read the draft already
                    self.cache[-1] = self.context[-1]
            else:
                self.ledger[0]["discarded"] += draft
                self._call(model)
                self._write(model, tokens)
        else:
            if self.scoring and self.path and self._scored(self.node):
                self._verify(0)
            if self.probing and smallest_may and model != 0:
                self._call(0)
                self.ledger[0]["probe"] += 1
            if begins:
                self.path = []
                self._read_prompt()
            if self.source.contexts[after] >= 0:
                self.context[model], self.cache[model] = int(self.source.contexts[after]), 0
            self._call(model)
            self._write(model, tokens)
        self.node = after
        self.path.append(after)

    def cost(self, weights: np.ndarray) -> float:
        return sum(
            weights[row][column] * self.ledger[row][kind]
            for row in range(len(self.ledger))
            for column, kind in enumerate(KINDS)
        )

    def features(self) -> dict[str, float]:
        """The observation by name, without cost and budget, for decisions at which there is something to decide."""
        source, path = self.source, self.path
        shown: int | None = self.node
        if self.mode == "regenerate":  # the pending draft, if there is one
            shown = int(source.child[self.node, 0]) if self.mask()[0] else None
        writers = [int(source.model[node]) for node in path]
        features = {
            "depth": len(path) / source.horizon,
            "trace_tokens": _log(sum(int(source.tokens[node]) for node in path)),
            "last_tokens": _log(0 if shown is None else int(source.tokens[shown])),
        }
        for k in range(self.models):
            features[f"writer_{k}"] = float(writers[-1:] == [k])
            features[f"share_{k}"] = writers.count(k) / max(len(writers), 1)
            features[f"decoded_{k}"] = _log(sum(self.ledger[k][kind] for kind in ("kept", "discarded", "probe")))
        figures = [_figure(source, shown, name) for name in CONFIDENCE]
        features |= _named([_feature(name) for name in CONFIDENCE], figures, "confidence_known")
        tracked = ("logprob_mean", "logprob_min", "entropy_mean", "margin_first")
        seen = [[f for f in (_figure(source, node, name) for node in path) if not math.isnan(f)] for name in tracked]
        worst = [
            (max if name == "entropy_mean" else min)(values) if values else math.nan
            for name, values in zip(tracked, seen, strict=True)
        ]
        mean = [sum(values) / len(values) if values else math.nan for values in seen]
        names = [f"{how}_{_feature(name)}" for how in ("worst", "mean") for name in tracked]
        features |= _named(names, worst + mean, "aggregates_known")
        if self.scoring:
            before = path if self.mode == "regenerate" else path[:-1]
            scores = [s for s in (float(source.score[node]) for node in before) if not math.isnan(s)]
            features |= _named(["score"], [math.nan if shown is None else float(source.score[shown])], "score_known")
            features |= {"score_min": min([1.0, *scores]), "score_product": math.prod(scores)}
        own = int(source.prompt_tokens[self.problem, 0] - source.shared_prefix[self.problem, 0])
        error, rows, repeat = (float(figure) for figure in source.answers[self.node])
        features |= {
            "answer_error": float(error == 1),
            "answer_empty": float(rows == 0),
            "answer_rows": 0.0 if math.isnan(rows) else _log(int(rows)),
            "answer_repeat": float(repeat == 1),
            "answer_known": float(not math.isnan(error)),
            "turns_left": 1 - len(path) / source.horizon,
        }
        features["question_tokens"] = _log(own)
        return features

    def _scored(self, node: int) -> bool:
        return not math.isnan(self.source.score[node])

    def _call(self, row: int) -> None:
        self.ledger[row]["calls"] += 1
        self.ledger[row]["prefill"] += self.context[row] - self.cache[row]
        self.ledger[row]["cached"] += self.cache[row]
        self.cache[row] = self.context[row]

    def _write(self, row: int, tokens: int) -> None:
        self.ledger[row]["kept"] += tokens
        self.context = [context + tokens for context in self.context]
        self.cache[row] = self.context[row]

    def _verify(self, draft: int) -> None:
        self.ledger[-1]["calls"] += 1
        self.ledger[-1]["cached"] += self.cache[-1]
        self.ledger[-1]["verifier"] += self.context[-1] - self.cache[-1] + draft
        self.cache[-1] = self.context[-1]


def _log(count: int) -> float:
    return math.log1p(count) / 10


def _feature(figure: str) -> str:
    return {"logprob_mean": "p_mean", "logprob_min": "p_min"}.get(figure, figure)


def _figure(source: TreeSource, node: int | None, name: str) -> float:
    if node is None:
        return math.nan
    figure = float(source.confidence[node, CONFIDENCE.index(name)])
    return math.exp(figure) if name.startswith("logprob") else figure


def _named(names: list[str], figures: list[float], known: str) -> dict[str, float]:
    given = [not math.isnan(figure) for figure in figures]
    return {n: (f if g else 0.0) for n, f, g in zip(names, figures, given, strict=True)} | {
        known: sum(given) / len(given)
    }
