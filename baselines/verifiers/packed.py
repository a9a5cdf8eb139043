"""A tree of texts in one forward pass: shared beginnings are read once, each token sees only what stands before it.

The texts that a judge reads of one tree share question and steps. Their tokens are merged into a trie, whose nodes
are one packed sequence with the positions and the attention of a tree (as in SpecInfer, arXiv 2305.09781), so that a
node's logits are those of the text that ends there read alone. Texts are tokenised whole: what a tokenizer merges
across the end of a step is merged.

For causal models with full attention that take a four-dimensional mask, which is what transformers gives to decoders
with ``sdpa`` or ``eager`` attention. Not for recurrent or sliding-window models.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

try:
    import torch
except ImportError as error:
    raise ImportError("verifiers need torch and transformers: pip install 'gym-stepwise-routing[llm]'") from error

__all__ = ["Packed", "logits_at", "pack"]

Ids = Sequence[int]


@dataclass(frozen=True, slots=True)
class Packed:
    """Sequences merged into a trie.

    Attributes:
        ids: ``int64[T]`` token of each node, parents before children.
        position: ``int64[T]`` number of tokens before it in its sequences.
        visible: ``bool[T, T]`` whether the row's token may attend to the column's: itself and its ancestors.
        paths: for each sequence the nodes of its tokens, ``int64[length]``.
    """

    ids: NDArray[np.int64]
    position: NDArray[np.int64]
    visible: NDArray[np.bool_]
    paths: tuple[NDArray[np.int64], ...]


class _Trie:
    """Token sequences that share their beginnings."""

    def __init__(self) -> None:
        self._child: dict[tuple[int, int], int] = {}
        self._parent: list[int] = []
        self._ids: list[int] = []
        self._paths: list[NDArray[np.int64]] = []

    def fresh(self, sequence: Ids) -> int:
        """Number of tokens that adding the sequence would add."""
        at = -1
        for known, token in enumerate(sequence):
            if (at, token) not in self._child:
                return len(sequence) - known
            at = self._child[at, token]
        return 0

    def add(self, sequence: Ids) -> None:
        at, path = -1, []
        for token in sequence:
            if (at, token) not in self._child:
                self._child[at, token] = len(self._ids)
                self._parent.append(at)
                self._ids.append(token)
            at = self._child[at, token]
            path.append(at)
        self._paths.append(np.array(path, dtype=np.int64))

    def __len__(self) -> int:
        return len(self._ids)

    def packed(self) -> Packed:
        visible = np.eye(len(self), dtype=np.bool_)
        for node, before in enumerate(self._parent):
            if before >= 0:
                visible[node] |= visible[before]
        ids = np.array(self._ids, dtype=np.int64)
        return Packed(ids, visible.sum(axis=1) - 1, visible, tuple(self._paths))


def pack(sequences: Sequence[Ids], most: int) -> Iterator[Packed]:
    """Merge token sequences, in their order, into packs of at most ``most`` tokens; a longer one has its own.

    Args:
        sequences: token ids; no sequence is empty.
        most: what bounds the memory: a pack's mask has the square of its tokens.
    """
    trie, held = _Trie(), 0
    for sequence in sequences:
        if held and len(trie) + trie.fresh(sequence) > most:
            yield trie.packed()
            trie, held = _Trie(), 0
        trie.add(sequence)
        held += 1
    if held:
        yield trie.packed()


def logits_at(model: Any, packed: Packed, wanted: NDArray[np.int64]) -> torch.Tensor:
    """Logits after the wanted nodes, ``[len(wanted), vocabulary]``, in the model's type.

    Args:
        model: causal language model of transformers.
        packed: what it reads.
        wanted: nodes.
    """
    device = model.device
    with torch.no_grad():
        output = model(
            input_ids=torch.as_tensor(packed.ids, device=device)[None],
            position_ids=torch.as_tensor(packed.position, device=device)[None],
            attention_mask=torch.as_tensor(packed.visible, device=device)[None, None],
            logits_to_keep=torch.as_tensor(wanted, device=device),
            use_cache=False,
        )
    logits: torch.Tensor = output.logits[0]
    return logits
