"""Query-level routing on text embeddings, after RouteLLM (arXiv 2406.18665): a classifier over an encoder's embedding.

The label is exact, as in :mod:`query_classifier`: the large model alone is right and the small one alone is not. The
encoder is frozen; a logistic regression reads the mean of its last hidden states, heavily penalised, as there are more
dimensions than problems. The question's text is no part of the observation, so this router is computed from the
question texts beside the game; the encoder's reading of the question is charged.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gym_stepwise_routing.baselines.estimators import SoftClassifier
from gym_stepwise_routing.costs.models import Model
from gym_stepwise_routing.errors import NotApplicableError

__all__ = ["Embedder", "needed_large"]

Floats = NDArray[np.float64]
PENALTIES = (100.0, 1_000.0, 10_000.0)
_BATCH = 32


class Embedder:
    """A frozen encoder.

    Args:
        encoder: local folder or hub name of a bidirectional encoder.
        max_tokens: most tokens read.
    """

    def __init__(self, encoder: str | Path, max_tokens: int = 256) -> None:
        try:
            from transformers import AutoModel, AutoTokenizer
        except ImportError as error:
            raise ImportError(
                "text embeddings need torch and transformers: pip install 'gym-stepwise-routing[llm]'"
            ) from error
        self.max_tokens = max_tokens
        self._tokenizer: Any = AutoTokenizer.from_pretrained(encoder)
        self._encoder: Any = AutoModel.from_pretrained(encoder).eval()
        self.model = Model(
            f"query encoder {Path(encoder).name}", parameters=float(sum(p.numel() for p in self._encoder.parameters()))
        )

    def embed(self, texts: Sequence[str]) -> tuple[Floats, NDArray[np.int64]]:
        """Embeddings ``float64[n, hidden]`` and the number of tokens that were read for each, ``int64[n]``."""
        import torch

        vectors, lengths = [], []
        for start in range(0, len(texts), _BATCH):
            tokens = self._tokenizer(
                list(texts[start : start + _BATCH]),
                truncation=True,
                max_length=self.max_tokens,
                padding=True,
                return_tensors="pt",
            )
            with torch.no_grad():
                hidden = self._encoder(**tokens).last_hidden_state
            mask = tokens["attention_mask"][..., None].to(hidden.dtype)
            vectors.append(((hidden * mask).sum(dim=1) / mask.sum(dim=1)).double().numpy())
            lengths.append(tokens["attention_mask"].sum(dim=1).numpy())
        return np.concatenate(vectors), np.concatenate(lengths).astype(np.int64)


def needed_large(embedding: Floats, small_right: NDArray[np.bool_], large_right: NDArray[np.bool_]) -> SoftClassifier:
    """Classifier of embeddings: is the largest model right where the smallest is not?

    Args:
        embedding: ``float64[n, hidden]`` of the train problems.
        small_right: ``bool[n]`` always-smallest is right.
        large_right: ``bool[n]`` always-largest is right.

    Raises:
        NotApplicableError: it always is, or never.
    """
    needed = (large_right & ~small_right).astype(np.float64)
    if not 0 < needed.sum() < len(needed):
        raise NotApplicableError(
            f"the largest model is needed on {needed.sum():.0f} of {len(needed)} train problems; allowed: some, not all"
        )
    return SoftClassifier(PENALTIES).fit(embedding, needed, np.ones(len(needed)), np.arange(len(needed)))
