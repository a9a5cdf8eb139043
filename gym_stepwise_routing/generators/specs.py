"""Models as they are named on the command line, ``backend:model,key=value,...``, and what can run them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any

from gym_stepwise_routing.costs.models import IDEAL_CACHING, Caching, Latency, Model, Price
from gym_stepwise_routing.errors import check_choice
from gym_stepwise_routing.generators.chat import NO_CHAT_FORM, ChatForm
from gym_stepwise_routing.generators.generator import Generator, GeneratorInfo
from gym_stepwise_routing.generators.openai_requests import CONTINUATIONS
from gym_stepwise_routing.generators.prices import api_price
from gym_stepwise_routing.generators.sampling import GREEDY, Sampling
from gym_stepwise_routing.generators.stated import stated_caching, stated_price
from gym_stepwise_routing.generators.weights import Counted, counted_parameters
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
_COMMON = (
    *("backend", "model", "name", "parameters", "active_parameters", "licence", "batch", "form", "sampling"),
    *("provider", "hour", "price", "price_in", "price_cached", "price_out", "price_cache_write", "tokens_per_second"),
    *("cache_block", "cache_smallest", "cache_reported"),
)
"""Options that every backend takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneratorSpec:
    """One model and how it is run.

    Args:
        backend: name of the backend.
        model: local folder, hub name, or name on the server.
        name: name in the pool; by default the last part of ``model``, of a server all of it.
        parameters: number of parameters; None: counted from local weights, unknown for a server.
        active_parameters: those that work on a token, of a mixture of experts; None: counted as well, else all.
        licence: SPDX identifier of the weights' licence.
        url: address of the server, for ``openai``.
        key: key for the server; None: from the environment. Not written to any manifest.
        provider: whose price list a server's model is on, as ``genai-prices`` spells it; None: no price,
            or a stated one.
        hour: hour of the day (UTC) whose price counts, where a provider's price depends on it.
        price: a price of one's own, with its date; from a pool file, not from the command line.
        price_in: the same from the command line: dollars per million fresh prompt tokens.
        price_cached: of those that a cache serves; None: as fresh ones.
        price_out: of decoded tokens.
        price_cache_write: of those that are written to a cache; None: as fresh ones.
        cache_block: its server's prefix cache serves whole blocks of so many tokens.
        cache_smallest: and nothing of requests with fewer input tokens.
        cache_reported: where the server tells what its cache served, that is charged (live sources).
        tokens_per_second: decoded tokens a second of one request, for the cost unit ``latency``.
        continuation: how a server's model goes on with a half-written answer, for ``openai``.
        chat: put the prompt into the model's chat template, for local backends.
        dtype: number format, for local backends; None: the backend's default.
        context: longest prompt plus completion in tokens, for ``vllm``.
        batch: requests at a time; None: 16, with ``vllm`` 32.
        form: system message and template arguments (``template.NAME=VALUE``), where there are messages.
        sampling: how tokens are drawn; the same for all models of a recording.
    """

    backend: str
    model: str
    name: str | None = None
    parameters: float | None = None
    active_parameters: float | None = None
    licence: str | None = None
    url: str | None = None
    key: str | None = None
    provider: str | None = None
    hour: int | None = None
    price: Price | None = None
    price_in: float | None = None
    price_cached: float | None = None
    price_out: float | None = None
    price_cache_write: float | None = None
    cache_block: int = IDEAL_CACHING.block
    cache_smallest: int = IDEAL_CACHING.smallest
    cache_reported: bool = IDEAL_CACHING.reported
    tokens_per_second: float | None = None
    continuation: str = "raw"
    chat: bool = False
    dtype: str | None = None
    context: int = 2048
    batch: int | None = None
    form: ChatForm = NO_CHAT_FORM
    sampling: Sampling = GREEDY

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
        if self.form != NO_CHAT_FORM and not self.chat and self.continuation == "raw":
            settings = ", ".join(f"{name}={value}" for name, value in self.form.settings())
            raise ValueError(
                f"{settings} with a prompt that is no conversation; allowed: with chat=true, or continuation"
            )
        if self.tokens_per_second is not None and not self.tokens_per_second > 0:
            raise ValueError(f"tokens_per_second={self.tokens_per_second!r}; allowed: a number > 0")
        if self.hour is not None and (not 0 <= self.hour <= 23 or self.provider is None):
            raise ValueError(f"hour={self.hour!r}; allowed: 0 to 23, with provider=...")
        self.stated_price()
        self.caching()

    @property
    def pool_name(self) -> str:
        """Name in the pool."""
        whole = GENERATORS.get(self.backend).served
        return self.name or (self.model if whole else self.model.rstrip("/").split("/")[-1])

    def stated_price(self) -> Price | None:
        """The price that the options state, None where they state none."""
        return stated_price(
            listed=self.provider is not None or self.price is not None,
            price_in=self.price_in,
            price_cached=self.price_cached,
            price_out=self.price_out,
            price_cache_write=self.price_cache_write,
        )

    def caching(self) -> Caching:
        """What the server's prefix cache serves; ideal if the options say nothing."""
        return stated_caching(block=self.cache_block, smallest=self.cache_smallest, reported=self.cache_reported)

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
        stated = ("backend", "model", "price", "form", "sampling")
        kinds = {f.name: str(f.type) for f in fields(cls) if f.name not in stated}
        values: dict[str, Any] = {}
        arguments = []
        for option in options:
            key, equals, value = option.partition("=")
            if key.startswith("template."):
                arguments.append(ChatForm.argument(key.removeprefix("template."), value))
                continue
            check_choice("model option", key, kinds)
            if not equals:
                raise ValueError(f"model option {option!r}; allowed: {key}=VALUE")
            values[key] = _value(key, value, kinds[key])
        return cls(backend=backend, model=model, form=ChatForm(arguments=tuple(arguments)), **values)

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

    def with_chat(self, form: ChatForm, *, chat: bool) -> GeneratorSpec:
        """The same model with a form of all models' prompts; its own system message and arguments come first.

        Raises:
            ValueError: a form that adds something, and a prompt that is no conversation.
        """
        own = dict(self.form.arguments)
        arguments = tuple({**dict(form.arguments), **own}.items())
        system = form.system if self.form.system is None else self.form.system
        spec = self
        if chat and "chat" in GENERATORS.get(self.backend).options:
            spec = replace(spec, chat=True)
        elif chat and self.continuation == "raw":
            spec = replace(spec, continuation="continue_final_message")
        return replace(spec, form=ChatForm(system, arguments))

    def drawing(self, sampling: Sampling) -> GeneratorSpec:
        """The same model, whose tokens are drawn so."""
        return replace(self, sampling=sampling)

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
        form=spec.form,
        sampling=spec.sampling,
        concurrency=spec.batch or 16,
    )


def _vllm(spec: GeneratorSpec) -> Generator:
    from gym_stepwise_routing.generators.vllm_engine import VllmGenerator

    return VllmGenerator(
        spec.model,
        name=spec.name,
        chat=spec.chat,
        form=spec.form,
        sampling=spec.sampling,
        max_model_len=spec.context,
        dtype=spec.dtype or "bfloat16",
        max_num_seqs=spec.batch or 32,
    )


def _transformers(spec: GeneratorSpec) -> Generator:
    from gym_stepwise_routing.generators.transformers_model import TransformersGenerator

    return TransformersGenerator(
        spec.model,
        name=spec.name,
        chat=spec.chat,
        form=spec.form,
        sampling=spec.sampling,
        dtype=spec.dtype,
        batch_size=spec.batch or 16,
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
    parameters, active = spec.parameters, spec.active_parameters
    if parameters is None:
        counted = counted_parameters(spec.model) or (None if info.parameters is None else Counted(info.parameters))
        parameters = None if counted is None else float(counted.total)
        active = active if active is not None or counted is None else counted.active
    if spec.provider is None:
        price = spec.price or spec.stated_price()
    else:
        price = api_price(spec.provider, spec.model, hour=spec.hour)
    speed = spec.tokens_per_second
    latency = None if speed is None else Latency(0.0, 1.0 / speed, 0.0, "tokens_per_second as stated, prefill free")
    return Model(
        name,
        parameters=parameters,
        active_parameters=None if active is None or active == parameters else float(active),
        price=price,
        latency=latency,
        weights_sha256=info.weights_sha256,
        licence=spec.licence,
        caching=spec.caching(),
    )


def _value(key: str, value: str, kind: str) -> str | bool | int | float:
    try:
        if kind.startswith("bool"):
            return {"true": True, "false": False}[value.lower()]
        if kind.startswith("int"):
            return int(value)
        return float(value) if kind.startswith("float") else value
    except (KeyError, ValueError):
        raise ValueError(f"model option {key}={value!r}; allowed: {kind}") from None
