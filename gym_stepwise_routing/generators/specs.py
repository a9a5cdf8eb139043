"""Models as they are named on the command line: ``backend:model,key=value,...``."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Literal, get_args

from gym_stepwise_routing.costs.models import Model
from gym_stepwise_routing.errors import check_choice
from gym_stepwise_routing.generators.generator import Generator, GeneratorInfo
from gym_stepwise_routing.generators.openai_server import CONTINUATIONS
from gym_stepwise_routing.generators.prices import api_price
from gym_stepwise_routing.generators.tokenizers import parameters_of

__all__ = ["BACKENDS", "Backend", "GeneratorSpec", "pool_model"]

Backend = Literal["transformers", "vllm", "openai"]
BACKENDS: tuple[Backend, ...] = get_args(Backend)
_OPTIONS: dict[str, tuple[Backend, ...]] = {
    "url": ("openai",),
    "key": ("openai",),
    "continuation": ("openai",),
    "chat": ("transformers", "vllm"),
    "dtype": ("transformers", "vllm"),
    "context": ("vllm",),
}
"""Options that not every backend has."""
_DTYPES = ("float32", "bfloat16", "float16")


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneratorSpec:
    """One model and how it is run.

    Args:
        backend: ``"transformers"``, ``"vllm"`` or ``"openai"``.
        model: local folder, hub name, or name on the server.
        name: name in the pool; by default the last part of ``model``, for ``openai`` all of it.
        parameters: number of parameters; None: counted from local weights, unknown for a server.
        licence: SPDX identifier of the weights' licence.
        url: address of the server, for ``openai``.
        key: key for the server; None: from the environment. Not written to any manifest.
        provider: whose price list a server's model is on, as ``genai-prices`` spells it; None: no price.
        continuation: how a server's model goes on with a half-written answer, for ``openai``.
        chat: put the prompt into the model's chat template, for local backends.
        dtype: number format, for local backends; None: the backend's default.
        context: longest prompt plus completion in tokens, for ``vllm``.
        batch: requests at a time; None: 16, with ``vllm`` 32.
    """

    backend: Backend
    model: str
    name: str | None = None
    parameters: float | None = None
    licence: str | None = None
    url: str | None = None
    key: str | None = None
    provider: str | None = None
    continuation: str = "raw"
    chat: bool = False
    dtype: str | None = None
    context: int = 2048
    batch: int | None = None

    def __post_init__(self) -> None:
        check_choice("backend", self.backend, BACKENDS)
        if not self.model:
            raise ValueError("model=''; allowed: a folder, a hub name, or a model of the server")
        for option in fields(self):
            backends = _OPTIONS.get(option.name, BACKENDS)
            if self.backend not in backends and getattr(self, option.name) != option.default:
                raise ValueError(
                    f"model option {option.name!r} with {self.backend}; allowed: with {', '.join(backends)}"
                )
        check_choice("dtype", self.dtype, (None, *_DTYPES))
        check_choice("continuation", self.continuation, CONTINUATIONS)
        if self.batch is not None and self.batch < 1:
            raise ValueError(f"batch={self.batch!r}; allowed: an integer >= 1")

    @property
    def pool_name(self) -> str:
        """Name in the pool."""
        return self.name or (self.model if self.backend == "openai" else self.model.rstrip("/").split("/")[-1])

    @classmethod
    def parse(cls, text: str) -> GeneratorSpec:
        """Read ``backend:model,key=value,...``, for example ``vllm:Qwen/Qwen2.5-Math-7B-Instruct,chat=true``.

        Raises:
            ValueError: another form, an unknown backend or key, or a value of the wrong type.
        """
        backend, colon, rest = text.partition(":")
        if not colon:
            raise ValueError(f"models={text!r}; allowed: BACKEND:MODEL[,key=value...], backends {', '.join(BACKENDS)}")
        check_choice("backend", backend, BACKENDS)
        model, *options = rest.split(",")
        kinds = {f.name: str(f.type) for f in fields(cls) if f.name not in ("backend", "model")}
        values: dict[str, Any] = {}
        for option in options:
            key, equals, value = option.partition("=")
            check_choice("model option", key, kinds)
            if not equals:
                raise ValueError(f"model option {option!r}; allowed: {key}=VALUE")
            values[key] = _value(key, value, kinds[key])
        return cls(backend=backend, model=model, **values)  # type: ignore[arg-type]

    def build(self) -> Generator:
        """Load the model, or connect to the server.

        Raises:
            ImportError: the backend's packages are missing.
            ValueError: no such model, or the server does not answer.
        """
        if self.backend == "openai":
            from gym_stepwise_routing.generators.openai_server import OpenAIGenerator

            return OpenAIGenerator(
                self.model,
                base_url=self.url,
                api_key=self.key,
                name=self.pool_name,
                continuation=self.continuation,  # type: ignore[arg-type]
                concurrency=self.batch or 16,
            )
        if self.backend == "vllm":
            from gym_stepwise_routing.generators.vllm_engine import VllmGenerator

            return VllmGenerator(
                self.model,
                name=self.name,
                chat=self.chat,
                max_model_len=self.context,
                dtype=self.dtype or "bfloat16",
                max_num_seqs=self.batch or 32,
            )
        from gym_stepwise_routing.generators.transformers_model import TransformersGenerator

        return TransformersGenerator(
            self.model,
            name=self.name,
            chat=self.chat,
            dtype=self.dtype,
            batch_size=self.batch or 16,
        )


def pool_model(spec: GeneratorSpec, name: str, info: GeneratorInfo) -> Model:
    """The entry of a model in the pool: what the spec states, else what the generator found out."""
    found = info.parameters if info.parameters is not None else parameters_of(spec.model)
    parameters = spec.parameters if spec.parameters is not None else found
    parameters = None if parameters is None else float(parameters)
    price = None if spec.provider is None else api_price(spec.provider, spec.model)
    return Model(name, parameters=parameters, price=price, weights_sha256=info.weights_sha256, licence=spec.licence)


def _value(key: str, value: str, kind: str) -> str | bool | int | float:
    try:
        if kind.startswith("bool"):
            return {"true": True, "false": False}[value.lower()]
        if kind.startswith("int"):
            return int(value)
        return float(value) if kind.startswith("float") else value
    except (KeyError, ValueError):
        raise ValueError(f"model option {key}={value!r}; allowed: {kind}") from None
