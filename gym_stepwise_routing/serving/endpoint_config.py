"""An endpoint in ``pool.yml``: where it is, what it is called, and what it costs."""

from __future__ import annotations

import os
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

from gym_stepwise_routing.costs.models import IDEAL_CACHING, Caching, Latency, Model, Price
from gym_stepwise_routing.generators.openai_requests import Continuation
from gym_stepwise_routing.generators.prices import api_price
from gym_stepwise_routing.generators.specs import GeneratorSpec

__all__ = ["CachingConfig", "ConfigPart", "EndpointConfig", "LatencyConfig", "PriceConfig"]

_Positive = Annotated[float, Field(gt=0)]
_Count = Annotated[int, Field(ge=1)]


class ConfigPart(BaseModel):
    """A part of a pool file: unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class PriceConfig(ConfigPart):
    """Dollars per million tokens, with the day and the origin of the figures, as :class:`Price`."""

    input: float = Field(ge=0)
    cached_input: float = Field(ge=0)
    output: float = Field(ge=0)
    date: str
    source: str
    up_to: int | None = Field(default=None, ge=1)


class CachingConfig(ConfigPart):
    """What the endpoint's prefix cache serves, as :class:`...costs.models.Caching`; nothing stated is ideal."""

    block: int = Field(default=1, ge=1)
    smallest: int = Field(default=0, ge=0)
    reported: bool = False


class LatencyConfig(ConfigPart):
    """Seconds per fresh prompt token, per decoded token and per call, and where they were measured."""

    prefill: float = Field(ge=0)
    decode: float = Field(ge=0)
    overhead: float = Field(ge=0)
    source: str


class EndpointConfig(ConfigPart):
    """One model on one OpenAI-compatible server.

    Attributes:
        name: name in the pool, as in the bank that the router was made on.
        url: address up to ``/v1``.
        model: name on the server; by default ``name``.
        api_key_env: environment variable that holds the key; none: no key is sent.
        continuation: how it goes on with a half-written answer.
        parameters: number of parameters, for the unit ``flops``.
        price: prices, for ``dollars``; or ``provider``.
        provider: whose price list the model is on, as ``genai-prices`` spells it.
        latency: measured speed, for ``latency``.
        caching: what its prefix cache serves, where that is not everything.
        counts_like: name of a model of the pool with the same tokenizer and prompt, whose count of a prompt is taken.
        top_logprobs: log-probabilities asked for per token.
        concurrency: most requests under way at a time.
    """

    name: str = Field(min_length=1)
    url: str = Field(pattern=r"^https?://")
    model: str = ""
    api_key_env: str | None = None
    continuation: Continuation = "raw"
    parameters: _Positive | None = None
    price: PriceConfig | None = None
    provider: str | None = None
    latency: LatencyConfig | None = None
    caching: CachingConfig | None = None
    counts_like: str | None = None
    top_logprobs: int = Field(default=8, ge=2)
    concurrency: _Count = 64

    @model_validator(mode="after")
    def _one_price(self) -> EndpointConfig:
        if self.price is not None and self.provider is not None:
            raise ValueError("price and provider; allowed: one of them")
        return self

    @property
    def served_name(self) -> str:
        """Name of the model on the server."""
        return self.model or self.name

    def key(self) -> str:
        """The key from the environment; any text where the server asks for none.

        Raises:
            ValueError: the variable is not set.
        """
        if self.api_key_env is None:
            return "none"
        if not (key := os.environ.get(self.api_key_env)):
            raise ValueError(
                f"models: {self.name}: api_key_env={self.api_key_env!r} is not set; allowed: a set variable"
            )
        return key

    def pool_model(self) -> Model:
        """The entry in the pool.

        Raises:
            ValueError: the provider's table has no such model.
        """
        price = self._stated_price()
        if self.provider is not None:
            price = api_price(self.provider, self.served_name)
        latency = None if self.latency is None else Latency(**self.latency.model_dump())
        return Model(self.name, parameters=self.parameters, price=price, latency=latency, caching=self._caching())

    def _stated_price(self) -> Price | None:
        return None if self.price is None else Price(**self.price.model_dump())

    def _caching(self) -> Caching:
        return IDEAL_CACHING if self.caching is None else Caching(**self.caching.model_dump())

    def spec(self) -> GeneratorSpec:
        """The same model for ``record``."""
        caching = self._caching()
        return GeneratorSpec(
            backend="openai",
            model=self.served_name,
            name=self.name,
            parameters=self.parameters,
            url=self.url,
            key=self.key(),
            provider=self.provider,
            price=self._stated_price(),
            cache_block=caching.block,
            cache_smallest=caching.smallest,
            cache_reported=caching.reported,
            continuation=self.continuation,
            batch=self.concurrency,
        )
