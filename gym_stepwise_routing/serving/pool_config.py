"""``pool.yml``: endpoints, step rule, time-outs, router and limits of a server, checked when it is read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, InitSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from gym_stepwise_routing.costs.models import ModelPool
from gym_stepwise_routing.costs.units import COST_UNITS
from gym_stepwise_routing.generators.prompts import PromptTemplate, default_prompt, load_prompt
from gym_stepwise_routing.generators.step_rule import StepRule
from gym_stepwise_routing.grading import GRADERS
from gym_stepwise_routing.recorder.step_rules import step_rule
from gym_stepwise_routing.serving.endpoint_config import ConfigPart, EndpointConfig, LatencyConfig, PriceConfig
from gym_stepwise_routing.types import Mode

__all__ = [
    "ApiKey",
    "CircuitConfig",
    "DriftConfig",
    "EndpointConfig",
    "ExplorationConfig",
    "FeedbackConfig",
    "LatencyConfig",
    "LogConfig",
    "PoolConfig",
    "PriceConfig",
    "ServerConfig",
    "StepConfig",
    "Timeouts",
    "load_config",
]

MESSAGES = "messages"
"""The prompt that is none: chat messages go to the endpoints as they are."""
_LOADER: type[yaml.CSafeLoader] | type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml's, which is 20 times as fast and ends at 1000 levels; a PyYAML built without it has Python's."""
_Positive = Annotated[float, Field(gt=0)]
_Count = Annotated[int, Field(ge=1)]


class StepConfig(ConfigPart):
    """The step rule, as in the recording; see :class:`...generators.steps.StepRule`."""

    delimiter: Literal["newline", "blank-line", "python-line"] | None = None  # None: that of the grading
    horizon: _Count = 5
    max_tokens: _Count = 200
    min_characters: int = Field(default=1, ge=0)
    merge_headings: bool = False
    blank_line_ends: bool = False
    repeat_limit: int = Field(default=0, ge=0)


class Timeouts(ConfigPart):
    """Seconds: to connect, to count a prompt, to the first token, between two, and for a request in all."""

    connect: _Positive = 3.0
    count: _Positive = 5.0
    first_token: _Positive = 30.0
    between_tokens: _Positive = 15.0
    request: _Positive = 120.0


class CircuitConfig(ConfigPart):
    """When an endpoint is left alone: failures in a row, seconds at first, most seconds."""

    failures: _Count = 3
    cooldown: _Positive = 2.0
    longest: _Positive = 60.0


class ApiKey(ConfigPart):
    """A client: the environment variable that holds its key, and its limits (none where not given)."""

    name: str = Field(min_length=1)
    key_env: str
    requests_per_minute: _Count | None = None
    concurrent: _Count | None = None


class ServerConfig(ConfigPart):
    """Address, clients and limits of the server.

    Attributes:
        host: address; any but a loopback address asks for ``api_keys``.
        port: port, 0 for any that is free.
        api_keys: clients; none: whoever reaches the port may ask.
        max_body: most bytes of a request.
        concurrent: most requests at a time; more are refused with 429.
        drain: seconds that requests under way may take after SIGTERM.
    """

    host: str = "127.0.0.1"
    port: int = Field(default=8080, ge=0, le=65535)
    api_keys: tuple[ApiKey, ...] = ()
    max_body: _Count = 1 << 20
    concurrent: _Count = 500
    drain: _Positive = 30.0

    @model_validator(mode="after")
    def _keys_for_others(self) -> ServerConfig:
        if self.host not in ("127.0.0.1", "::1", "localhost") and not self.api_keys:
            raise ValueError(f"host={self.host!r} without api_keys; allowed: 127.0.0.1, or at least one of api_keys")
        if len({key.name for key in self.api_keys}) != len(self.api_keys):
            raise ValueError(f"api_keys={[key.name for key in self.api_keys]}; allowed: distinct names")
        return self


class LogConfig(ConfigPart):
    """The decision log: file, whether questions and answers are in it, and when it is rotated and synced."""

    path: Path
    texts: bool = False
    max_bytes: _Count = 100_000_000
    keep: _Count = 10
    sync_seconds: _Positive = 1.0


class FeedbackConfig(ConfigPart):
    """What feedback does: where it is kept, the target that the threshold follows, and how fast."""

    database: str = "sqlite:///feedback.sqlite"
    target: str | None = None
    step: _Positive = 0.05
    decay: float = Field(default=0.0, ge=0, lt=1)


class DriftConfig(ConfigPart):
    """How live features are compared with those of the calibration split: requests a window, and false alarms."""

    window: int = Field(default=200, ge=20)
    false_alarm: float = Field(default=0.01, gt=0, lt=1)


class ExplorationConfig(ConfigPart):
    """How often a step goes to a model that is drawn at random, so that a log tells what other routers would do.

    Attributes:
        share: probability with which a step is drawn among the models that are allowed there, all alike.
        seed: of the draws; None: another one each time.
    """

    share: float = Field(gt=0, le=1)
    seed: int | None = Field(default=None, ge=0)


class PoolConfig(BaseSettings):
    """A pool of endpoints, and how a router is served in front of it.

    Every field may be overridden from the environment, as in ``STEPWISE_SERVER__PORT=9000``.

    Attributes:
        name: name of the pool; also the model name that clients ask for.
        models: the endpoints, smallest model first.
        router: folder of a run or of a calibrated router, or the name of a rule.
        targets: further calibrated routers that a request may ask for by target, such as ``accuracy=0.9x``.
        bank: the bank that costs are measured by; for a rule, and for the drift alarm.
        mode: mode of a rule; a trained router has its own.
        cost_unit: cost unit of a rule.
        step: the step rule.
        prompt: bundled prompt, text file with ``{question}``, or ``messages``: chat messages as they are.
        grading: how an answer is stated, which is where it ends.
        timeouts: time-outs of the endpoints.
        retries: attempts after the first, before anything has come back.
        circuit: when an endpoint is left alone.
        server: address, clients and limits.
        log: the decision log; none: nothing is written.
        feedback: what feedback does; none: it is refused.
        drift: the drift alarm; none: there is none.
        exploration: steps that are drawn; none: the router decides them all.
    """

    model_config = SettingsConfigDict(env_prefix="STEPWISE_", env_nested_delimiter="__", extra="forbid", frozen=True)

    name: str = "stepwise-routing"
    models: tuple[EndpointConfig, ...]
    router: str | None = None
    targets: dict[str, str] = {}
    bank: str | None = None
    mode: Mode | None = None
    cost_unit: Annotated[str, AfterValidator(COST_UNITS.check)] | None = None
    step: StepConfig = StepConfig()
    prompt: str | None = None
    grading: Annotated[str, AfterValidator(GRADERS.check)] = "numeric"
    timeouts: Timeouts = Timeouts()
    retries: int = Field(default=0, ge=0)
    circuit: CircuitConfig = CircuitConfig()
    server: ServerConfig = ServerConfig()
    log: LogConfig | None = None
    feedback: FeedbackConfig | None = None
    drift: DriftConfig | None = None
    exploration: ExplorationConfig | None = None

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments, then the environment."""
        return init_settings, env_settings

    @model_validator(mode="after")
    def _fits(self) -> PoolConfig:
        names = [model.name for model in self.models]
        if len(names) < 2 or len(set(names)) != len(names):
            raise ValueError(f"models={names}; allowed: at least 2 with distinct names, smallest first")
        for model in self.models:
            twin = next((other for other in self.models if other.name == model.counts_like), None)
            if model.counts_like is not None and (twin is None or twin.counts_like is not None):
                raise ValueError(f"models: {model.name}: counts_like={model.counts_like!r}; allowed: one that counts")
            if self.prompt == MESSAGES and model.continuation == "raw":
                raise ValueError(
                    f"models: {model.name}: continuation='raw' with prompt='messages'; allowed: another continuation, "
                    "or a prompt template"
                )
        if self.drift is not None and self.bank is None:
            raise ValueError("drift without bank; allowed: the bank that the router was calibrated on")
        return self

    @property
    def pool(self) -> ModelPool:
        """What the cost units need to know of the models."""
        return ModelPool([model.pool_model() for model in self.models])

    @property
    def takes_messages(self) -> bool:
        """Whether chat messages go to the endpoints as they are."""
        return self.prompt == MESSAGES

    def template(self) -> PromptTemplate:
        """The prompt template; for ``messages`` one that is the question alone."""
        if self.takes_messages:
            return PromptTemplate(MESSAGES, "{question}")
        return load_prompt(self.prompt or default_prompt(self.grading))

    def rule(self) -> StepRule:
        """The step rule."""
        figures = self.step.model_dump(exclude={"delimiter"})
        return step_rule(self.template(), self.grading, step=self.step.delimiter, **figures)


def load_config(path: str | Path, **changes: Any) -> PoolConfig:
    """Read a pool file.

    Args:
        path: the file.
        **changes: fields, or parts of them, that replace the file's and the environment's.

    Raises:
        ValueError: it cannot be read, is no YAML, or a field is unknown or out of range; the message names each.
    """
    path = Path(path)
    try:
        content: Any = yaml.load(path.read_bytes(), Loader=_LOADER)
    except (OSError, ValueError, yaml.YAMLError) as error:  # ValueError: a day or an integer that Python does not have
        raise ValueError(f"{path} cannot be read: {error}") from None
    except RecursionError:
        raise ValueError(f"{path} cannot be read: nested too deeply") from None
    if not isinstance(content, dict):
        raise ValueError(f"{path} holds {type(content).__name__}; allowed: a mapping with models, router, ...")

    class _File(PoolConfig):
        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            *args: PydanticBaseSettingsSource,
            **kwargs: PydanticBaseSettingsSource,
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            """Arguments, then the environment, then the file, which is not read a second time."""
            sources = super().settings_customise_sources(settings_cls, *args, **kwargs)
            return *sources, InitSettingsSource(settings_cls, init_kwargs=content)

    try:
        config = _File(**changes)
        for model in config.models:
            model.pool_model()
        config.rule()
    except ValidationError as error:
        raise ValueError(f"{path}: " + "; ".join(map(_said, error.errors()))) from None
    except ValueError as error:  # of a price, a prompt, a step rule
        raise ValueError(f"{path}: {error}") from None
    return config


def _said(error: Any) -> str:
    """One fault as ``parameter=value: what is allowed``."""
    where = ".".join(map(str, error["loc"]))
    given = error.get("input")
    value = f"={given!r}" if isinstance(given, str | int | float | bool) else ""
    message = error["msg"].removeprefix("Value error, ")
    return f"{where}{value}: {message}" if where else message
