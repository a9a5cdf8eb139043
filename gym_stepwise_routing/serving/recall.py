"""Generators that know only what has been asked for already, so that the rules run without waiting.

The rules of the game are plain functions: the same calls give the same result. They are run; where they need a step
that nobody has written yet, :class:`Wanted` says which, it is fetched, and they are run again with it. So the server
plays by the very code that environments and evaluation play by, and holds no thread while a model writes.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

from gym_stepwise_routing.generators.generator import Completion, Failure, GeneratorInfo, Request

__all__ = ["RecalledGenerator", "Wanted"]


class Wanted(Exception):  # noqa: N818  it is no error
    """A request that has to be answered before the rules can go on.

    Attributes:
        model: index of the model.
        request: what it is to write.
    """

    def __init__(self, model: int, request: Request) -> None:
        super().__init__(f"model {model} is wanted")
        self.model = model
        self.request = request


class RecalledGenerator:
    """Gives back answers that it was told (:class:`...generators.generator.Generator`).

    Args:
        name: name of the model.
        index: its index in the pool.
        counts: tokens of the prompt, or why it could not be counted.
    """

    def __init__(self, name: str, index: int, counts: int | Failure) -> None:
        self.name = name
        self._index = index
        self._counts = counts
        self._known: dict[Request, Completion | Failure] = {}
        self._waiting: list[tuple[Hashable, Request]] = []

    def tell(self, request: Request, result: Completion | Failure) -> None:
        """Remember an answer."""
        self._known[request] = result

    def info(self) -> GeneratorInfo:
        """Nothing that would repeat a run."""
        return GeneratorInfo("recalled", self.name, None, None, None, 0, None)

    def count(self, prompts: Sequence[str]) -> list[int]:
        """Tokens of the one prompt that is served.

        Raises:
            ValueError: it could not be counted.
        """
        if isinstance(self._counts, Failure):
            raise ValueError(self._counts.reason)
        return [self._counts] * len(prompts)

    def submit(self, key: Hashable, request: Request) -> None:
        """Queue a request."""
        self._waiting.append((key, request))

    def poll(self) -> list[tuple[Any, Completion | Failure]]:
        """The answers.

        Raises:
            Wanted: one of them is not known yet.
        """
        waiting, self._waiting = self._waiting, []
        for _, request in waiting:
            if request not in self._known:
                raise Wanted(self._index, request)
        return [(key, self._known[request]) for key, request in waiting]

    @property
    def pending(self) -> int:
        """Requests submitted and not yet returned."""
        return len(self._waiting)

    def cancel(self, key: Hashable) -> None:
        """Drop a request."""
        self._waiting = [entry for entry in self._waiting if entry[0] != key]

    def close(self) -> None:
        """Nothing is held."""
