"""Models as they are named on the command line, ``backend:model,key=value,...``, and what can run them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any

from gym_stepwise_routing.costs.models import Model, Price
from gym_stepwise_routing.errors import check_choice
from gym_stepwise_routing.generators.generator import Generator, GeneratorInfo
from gym_stepwise_routing.generators.openai_requests import CONTINUATIONS
from gym_stepwise_routing.generators.prices import api_price
from gym_stepwise_routing.generators.tokenizers import parameters_of
from gym_stepwise_routing.registry import Registry

__all__ = ["GENERATORS", "Backend", "GeneratorSpec", "pool_model"]

_DTYPES = ("float32", "bfloat16", "float16")


@dataclass(frozen=True, slots=True, kw_only=True)
class Backend:
    """What runs models.

    Attributes:
        name: what it is asked for by.
        title: what it is, for readers.
        build: loads the model of a spec, or connects to its server; ``ImportError`` where a package is missing.
        options: options of :class:`GeneratorSpec` that it takes beside those that every backend takes.
        needs: extra of this package (or package) that it needs, '' if none.
        served: its models are those of a server: their whole names are their names in the pool.
    """

    name: str
    title: str
    build: Callable[[GeneratorSpec], Generator]
    options: tuple[str, ...] = ()
    needs: str = ""
    served: bool = False


GENERATORS: Registry[Backend] = Registry("backend", Backend, group="gym_stepwise_routing.generators")
"""The backends."""
_COMMON = ("backend", "model", "name", "parameters", "licence", "provider", "price", "batch")
"""Options that every backend takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneratorSpec:
    """One model and how it is run.

    Args:
        backend: name of the backend.
        model: local folder, hub name, or name on the server.
        name: name in the pool; by default the last part of ``model``, of a server all of it.
        parameters: number of parameters; None: counted from local weights, unknown for a server.
        licence: SPDX identifier of the weights' licence.
        url: address of the server, for ``openai``.
        key: key for the server; None: from the environment. Not written to any manifest.
        provider: whose price list a server's model is on, as ``genai-prices`` spells it; None: no price,
            or a stated one.
        price: a price of one's own, with its date; from a pool file, not from the command line.
        continuation: how a server's model goes on with a half-written answer, for ``openai``.
        chat: put the prompt into the model's chat template, for local backends.
        dtype: number format, for local backends; None: the backend's default.
        context: longest prompt plus completion in tokens, for ``vllm``.
        batch: requests at a time; None: 16, with ``vllm`` 32.
    """

    backend: str
    model: str
    name: str | None = None
    parameters: float | None = None
    licence: str | None = None
    url: str | None = None
    key: str | None = None
    provider: str | None = None
    price: Price | None = None
    continuation: str = "raw"
    chat: bool = False
    dtype: str | None = None
    context: int = 2048
    batch: int | None = None

    def __post_init__(self) -> None:
        taken = (*_COMMON, *GENERATORS.get(self.backend).options)
        if not self.model:
            raise ValueError("model=''; allowed: a folder, a hub name, or a model of the server")
        for option in fields(self):
            if option.name not in taken and getattr(self, option.name) != option.default:
                others = [name for name, backend in GENERATORS.items() if option.name in backend.options]
                raise ValueError(f"model option {option.name!r} with {self.backend}; allowed: with {', '.join(others)}")
        check_choice("dtype", self.dtype, (None, *_DTYPES))
        check_choice("continuation", self.continuation, CONTINUATIONS)
        if self.batch is not None and self.batch < 1:
            raise ValueError(f"batch={self.batch!r}; allowed: an integer >= 1")

    @property
    def pool_name(self) -> str:
        """Name in the pool."""
        whole = GENERATORS.get(self.backend).served
        return self.name or (self.model if whole else self.model.rstrip("/").split("/")[-1])

    @classmethod
    def parse(cls, text: str) -> GeneratorSpec:
        """Read ``backend:model,key=value,...``, for example ``vllm:Qwen/Qwen2.5-Math-7B-Instruct,chat=true``.

        Raises:
            ValueError: another form, an unknown backend or key, or a value of the wrong type.
        """
        backend, colon, rest = text.partition(":")
        if not colon:
            names = ", ".join(GENERATORS)
            raise ValueError(f"models={text!r}; allowed: BACKEND:MODEL[,key=value...], backends {names}")
        GENERATORS.get(backend)
        model, *options = rest.split(",")
        kinds = {f.name: str(f.type) for f in fields(cls) if f.name not in ("backend", "model", "price")}
        values: dict[str, Any] = {}
        for option in options:
            key, equals, value = option.partition("=")
            check_choice("model option", key, kinds)
            if not equals:
                raise ValueError(f"model option {option!r}; allowed: {key}=VALUE")
            values[key] = _value(key, value, kinds[key])
        return cls(backend=backend, model=model, **values)

    def repeatable(self) -> GeneratorSpec:
        """The same model in float32, whose texts do not hang on what else is in the batch (docs/recording.md).

        Raises:
            ValueError: another number format was asked for, or the backend leaves it to a server.
        """
        if "dtype" not in GENERATORS.get(self.backend).options:
            able = [name for name, backend in GENERATORS.items() if "dtype" in backend.options]
            raise ValueError(
                f"repeatable=True with {self.backend}:{self.model}, whose number format is not ours to choose; "
                f"allowed: with {', '.join(able)}"
            )
        if self.dtype not in (None, "float32"):
            raise ValueError(f"repeatable=True with dtype={self.dtype!r}; allowed: float32, or none")
        return replace(self, dtype="float32")

    def build(self) -> Generator:
        """Load the model, or connect to the server.

        Raises:
            ImportError: the backend's packages are missing.
            ValueError: no such model, or the server does not answer.
        """
        return GENERATORS.get(self.backend).build(self)


def _server(spec: GeneratorSpec) -> Generator:
    from gym_stepwise_routing.generators.openai_server import OpenAIGenerator

    return OpenAIGenerator(
        spec.model,
        base_url=spec.url,
        api_key=spec.key,
        name=spec.pool_name,
        continuation=spec.continuation,  # type: ignore[arg-type]
        concurrency=spec.batch or 16,
    )


def _vllm(spec: GeneratorSpec) -> Generator:
    from gym_stepwise_routing.generators.vllm_engine import VllmGenerator

    return VllmGenerator(
        spec.model,
        name=spec.name,
        chat=spec.chat,
        max_model_len=spec.context,
        dtype=spec.dtype or "bfloat16",
        max_num_seqs=spec.batch or 32,
    )


def _transformers(spec: GeneratorSpec) -> Generator:
    from gym_stepwise_routing.generators.transformers_model import TransformersGenerator

    return TransformersGenerator(
        spec.model, name=spec.name, chat=spec.chat, dtype=spec.dtype, batch_size=spec.batch or 16
    )


for _backend in (
    Backend(
        name="openai",
        title="any OpenAI-compatible server",
        build=_server,
        options=("url", "key", "continuation"),
        needs="llm",
        served=True,
    ),
    Backend(
        name="transformers",
        title="transformers, local or from the hub",
        build=_transformers,
        options=("chat", "dtype"),
        needs="llm",
    ),
    Backend(
        name="vllm",
        title="vLLM's offline engine",
        build=_vllm,
        options=("chat", "dtype", "context"),
        needs="vllm",
    ),
):
    GENERATORS.register(_backend)


def pool_model(spec: GeneratorSpec, name: str, info: GeneratorInfo) -> Model:
    """The entry of a model in the pool: what the spec states, else what the generator found out."""
    found = info.parameters if info.parameters is not None else parameters_of(spec.model)
    parameters = spec.parameters if spec.parameters is not None else found
    parameters = None if parameters is None else float(parameters)
    price = spec.price if spec.provider is None else api_price(spec.provider, spec.model)
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
