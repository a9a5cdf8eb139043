"""The model pool: which models a router chooses between, smallest first, and what each of them costs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from gym_stepwise_routing.storage.strict_json import ABSENT_IF_NONE

__all__ = ["IDEAL_CACHING", "Caching", "Latency", "Model", "ModelPool", "Price"]


def _non_negative(owner: str, **figures: float) -> None:
    for parameter, value in figures.items():
        if not (math.isfinite(value) and value >= 0):
            raise ValueError(f"{owner}: {parameter}={value!r}; allowed: a finite number >= 0")


@dataclass(frozen=True, slots=True)
class Price:
    """Price of a model in US dollars per million tokens, with the day and the origin of the figures.

    Args:
        input: fresh prompt tokens.
        cached_input: prompt tokens that the provider serves from its prefix cache.
        output: decoded tokens.
        date: day on which the price was read, ISO 8601.
        source: where it was read, or how it was derived.
        up_to: input tokens of one request, cached ones included, up to which these figures hold; a longer request is
            on another tier and is refused. None: they hold for any.
        cache_write: prompt tokens that are written to the prefix cache, as all fresh ones are here, since the next step
            reads them; None: they cost as much as ``input``.
    """

    input: float
    cached_input: float
    output: float
    date: str
    source: str
    up_to: int | None = field(default=None, metadata=ABSENT_IF_NONE)
    cache_write: float | None = field(default=None, metadata=ABSENT_IF_NONE)

    def __post_init__(self) -> None:
        _non_negative("Price", input=self.input, cached_input=self.cached_input, output=self.output)
        if self.cache_write is not None:
            _non_negative("Price", cache_write=self.cache_write)
        if self.up_to is not None and self.up_to < 1:
            raise ValueError(f"Price: up_to={self.up_to!r}; allowed: an integer >= 1, or None")


@dataclass(frozen=True, slots=True)
class Caching:
    """What the prefix cache of a model's server serves of a prompt that it has read before.

    Args:
        block: it serves whole blocks of so many tokens, from the beginning, >= 1.
        smallest: a request with fewer input tokens is served none, >= 0.
        reported: where the server tells how many tokens its cache served, those are charged as cached, whatever the
            rule says (live sources; recorded steps and the simulator go by the rule).

    Raises:
        ValueError: a number out of range.
    """

    block: int = 1
    smallest: int = 0
    reported: bool = False

    def __post_init__(self) -> None:
        for name, least in (("block", 1), ("smallest", 0)):
            value = getattr(self, name)
            if not isinstance(value, int) or value < least:
                raise ValueError(f"Caching: {name}={value!r}; allowed: an integer >= {least}")


IDEAL_CACHING = Caching()
"""Every token that was read before is served: an inference server of one's own, with room for every trace."""


@dataclass(frozen=True, slots=True)
class Latency:
    """Linear latency model of one model on one machine.

    Args:
        prefill: seconds per fresh prompt token.
        decode: seconds per decoded token.
        overhead: seconds per call, whatever its length.
        source: machine and measurement that the figures come from.
    """

    prefill: float
    decode: float
    overhead: float
    source: str

    def __post_init__(self) -> None:
        _non_negative("Latency", prefill=self.prefill, decode=self.decode, overhead=self.overhead)


@dataclass(frozen=True, slots=True)
class Model:
    """One language model (or verifier) and everything that a cost unit may ask about it.

    Args:
        name: name as the hub or the provider spells it.
        parameters: number of parameters; ``None`` where the provider does not tell.
        active_parameters: those that work on a token, for FLOPs: fewer in a mixture of experts. ``None``: all.
        price: dollars per token; ``None`` if unknown (the cost unit ``dollars`` is then refused).
        latency: measured speed; ``None`` if unknown (the cost unit ``latency`` is then refused).
        weights_sha256: hash of the weights file, for open models.
        licence: SPDX identifier of the weights' licence.
        caching: what its prefix cache serves; None is :data:`IDEAL_CACHING`, and becomes None.
    """

    name: str
    parameters: float | None = None
    active_parameters: float | None = field(default=None, metadata=ABSENT_IF_NONE, kw_only=True)
    price: Price | None = None
    latency: Latency | None = None
    weights_sha256: str | None = None
    licence: str | None = None
    caching: Caching | None = field(default=None, metadata=ABSENT_IF_NONE)

    def __post_init__(self) -> None:
        if not self.name:
            raise ValueError("Model: name='' ; allowed: a non-empty string")
        if self.caching == IDEAL_CACHING:
            object.__setattr__(self, "caching", None)
        if isinstance(self.parameters, int):  # one form, so that equal models have equal hashes after JSON
            object.__setattr__(self, "parameters", float(self.parameters))
        if self.parameters is not None and not (math.isfinite(self.parameters) and self.parameters > 0):
            raise ValueError(
                f"Model {self.name}: parameters={self.parameters!r}; allowed: a finite number > 0, or None"
            )
        if self.active_parameters is not None and not 0 < self.active_parameters <= (self.parameters or 0):
            raise ValueError(
                f"Model {self.name}: active_parameters={self.active_parameters!r}; allowed: above 0, up to "
                f"parameters={self.parameters!r}"
            )


class ModelPool(Sequence[Model]):
    """Two or more models, ordered from smallest to largest, and optionally the verifier that scores their steps.

    The index of a model in the pool is the action that chooses it. The verifier is not an action; it has a row of its
    own in the ledger (see :mod:`gym_stepwise_routing.costs.ledger`).
    """

    def __init__(self, models: Sequence[Model], verifier: Model | None = None) -> None:
        if len(models) < 2:
            raise ValueError(f"models={[m.name for m in models]!r}; allowed: at least 2 models, smallest first")
        self.models = tuple(models)
        self.verifier = verifier
        names = self.names
        if len(set(names)) != len(names):
            raise ValueError(f"models={list(names)!r}; allowed: distinct names")

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the models, smallest first (the verifier is not among them)."""
        return tuple(model.name for model in self.models)

    @property
    def rows(self) -> tuple[Model, ...]:
        """Models in the order of the ledger's rows: the pool, then the verifier if there is one."""
        return self.models if self.verifier is None else (*self.models, self.verifier)

    def cached_by(self, caching: Caching) -> ModelPool:
        """The pool with this caching for every model; a verifier keeps its own."""
        return ModelPool([replace(model, caching=caching) for model in self.models], self.verifier)

    def __len__(self) -> int:
        return len(self.models)

    def __getitem__(self, index):  # type: ignore[no-untyped-def, override]  # noqa: ANN001, ANN204
        return self.models[index]

    def __iter__(self) -> Iterator[Model]:
        return iter(self.models)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ModelPool) and self.rows == other.rows

    def __hash__(self) -> int:
        return hash(self.rows)

    def __repr__(self) -> str:
        return (
            f"ModelPool({', '.join(self.names)}{'' if self.verifier is None else f'; verifier {self.verifier.name}'})"
        )
