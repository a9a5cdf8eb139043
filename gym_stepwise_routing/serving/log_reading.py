"""The decision log, read: its rotated files in order, every line checked."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, get_args

from gym_stepwise_routing.costs.ledger import KINDS
from gym_stepwise_routing.costs.models import Model
from gym_stepwise_routing.errors import check_choice
from gym_stepwise_routing.generators.step_rule import StepRule
from gym_stepwise_routing.storage.lines import numbered_lines
from gym_stepwise_routing.storage.strict_json import decode, parse_json
from gym_stepwise_routing.types import Block, Mode

__all__ = [
    "LOG_VERSION",
    "LogReader",
    "LoggedDrift",
    "LoggedFeedback",
    "LoggedNode",
    "LoggedRequest",
    "LoggedServer",
    "LoggedStep",
    "Outcome",
    "Own",
    "log_files",
]

LOG_VERSION = 1
"""Version of the lines of the decision log; each of them carries it."""

Outcome = Literal["answered", "no_model", "left", "refused", "failed"]
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    version: int
    event: str
    time: str

    def __post_init__(self) -> None:
        datetime.fromisoformat(self.time)  # what it raises says what is wrong with it

    @property
    def day(self) -> str:
        """Day (UTC), ISO 8601."""
        return self.time[:10]


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedPrompt:
    """Name and hash of a prompt template."""

    name: str
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedServer(_Line):
    """What all answers of a server have in common."""

    id: str
    name: str
    router: str | None
    models: tuple[Model, ...]
    prompt: LoggedPrompt
    form: Literal["completion", "chat"]
    rule: StepRule
    grading: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Own:
    """What a request asked for beyond an answer; see :class:`...serving.asked.Asked`."""

    threshold: float | None = None
    budget: float | None = None
    hard_budget: bool = False
    target: str = ""
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    sampling: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedNode:
    """A step as a bank has it.

    Attributes:
        tokens: its tokens.
        first_tokens: tokens that the figures are taken over.
        figures: confidence figures in the order of ``RAW_FIGURES``; None where the endpoint told none.
        ending: why the trace ended with it, or ''.
        sha256: first digits of the hash of its text.
        text: its text, where texts are logged.
        cached_tokens: input tokens that the endpoint says its cache served; None where it does not say.
    """

    tokens: int
    first_tokens: int
    figures: tuple[float, ...] | None
    ending: str
    sha256: str
    text: str | None = None
    cached_tokens: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedStep:
    """A step of an answer; see :class:`...serving.asked.StepTaken`."""

    model: str
    chosen: str
    scores: tuple[float, ...] | None
    tokens: int
    seconds: float
    features: Any  # many, and not looked at
    node: LoggedNode
    draft: LoggedNode | None
    probabilities: tuple[float, ...] | None = None  # older logs have none

    def __post_init__(self) -> None:
        if self.probabilities is not None and not (
            all(0 <= value <= 1 for value in self.probabilities) and abs(sum(self.probabilities) - 1) < 1e-6
        ):
            raise ValueError(f"probabilities is {self.probabilities}; allowed: at least 0, and 1 in all")


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedFailure:
    """An endpoint that did not deliver."""

    model: str
    step: int
    reason: str
    kept_characters: int = 0
    kept_tokens: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedCost:
    """A cost: always-largest costs 1 on average, and in the cost unit."""

    normalised: float
    raw: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Estimate(LoggedCost):
    estimated: bool
    from_: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedRequest(_Line):
    """A request that has ended; fields as in ``routing`` of an answer, and those of :mod:`...serving.log_records`."""

    server: str
    id: str
    client: str
    user: str | None
    outcome: Outcome
    error: str | None
    finish_reason: str
    seconds: float
    first_text_seconds: float | None
    usage: Any
    router: str
    mode: Mode
    threshold: float | None
    promise: str | None
    ended: str
    steps: tuple[LoggedStep, ...]
    failures: tuple[LoggedFailure, ...]
    ledger: Mapping[str, Mapping[str, int]]
    cost_unit: str
    cost: LoggedCost
    always_largest: _Estimate
    endpoint_requests: int
    endpoint_requests_unreported: int
    own: Own
    question_sha256: str
    question_counts: tuple[int, int, int, int]
    prompt_tokens: tuple[int, ...]
    shared_prefix: tuple[int, ...]
    observation: tuple[Block, ...]
    top_logprobs: tuple[int, ...]
    question: str | None = None
    answer: str | None = None

    def __post_init__(self) -> None:
        _Line.__post_init__(self)  # a class with slots is made anew, which the short form of super() does not find
        for spent in self.ledger.values():
            if tuple(spent) != KINDS:
                raise ValueError(f"the ledger has {', '.join(spent)}; allowed: {', '.join(KINDS)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedFeedback(_Line):
    """What was said of an answer, and the threshold after it."""

    id: str
    right: bool
    largest_right: bool | None
    threshold: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedDrift(_Line):
    """The test of a window of requests; see :class:`...serving.drift.DriftReport`."""

    window: int
    alarm: bool
    p_value: float
    feature: str
    message: str


Logged = LoggedServer | LoggedRequest | LoggedFeedback | LoggedDrift
_EVENTS: dict[str, type[Logged]] = {
    "server": LoggedServer,
    "request": LoggedRequest,
    "feedback": LoggedFeedback,
    "drift": LoggedDrift,
}


def log_files(path: Path) -> list[Path]:
    """The files of a log, oldest first: ``path.N`` to ``path.1``, then ``path``.

    Raises:
        ValueError: there is none.
    """
    numbered = {
        int(found[1]): file
        for file in (path.parent.iterdir() if path.parent.is_dir() else ())
        if (found := re.fullmatch(re.escape(path.name) + r"\.([1-9][0-9]*)", file.name))
    }
    files = [numbered[number] for number in sorted(numbered, reverse=True)] + ([path] if path.is_file() else [])
    if not files:
        raise ValueError(f"{path}: no such log; allowed: the file that log.path in the pool file names")
    return files


class LogReader:
    """Reads a log.

    A process that is killed while it writes leaves half a line: at the end of a file, or before the line with which
    the next process begins, or half of that one. Such lines are counted. Any other that cannot be read is an error.

    Args:
        path: the log; its rotated files are read before it.

    Raises:
        ValueError: no such log.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.files = log_files(path)
        self.torn: list[str] = []
        """Where half-written lines were found."""

    def __iter__(self) -> Iterator[Logged]:
        """The records, oldest first.

        Raises:
            ValueError: a line that is none of a log; the message names file, line and key.
        """
        self.torn = []
        for file in self.files:
            yield from self._records(file)

    def _records(self, file: Path) -> Iterator[Logged]:
        broken, where, ended = "", "", True  # ``broken``: the fault of the line before
        for number, line in numbered_lines(file):
            if line == b"\n":
                continue
            before, where = where, f"{file}: line {number}"
            try:
                value = parse_json(line, where)
            except ValueError as error:
                if broken:
                    if not _begins_a_process(line):
                        raise ValueError(broken) from None
                    self.torn.append(before)
                broken = str(error)
                ended = line.endswith(b"\n")
                continue
            if broken:
                if not (isinstance(value, dict) and value.get("event") == "server"):
                    raise ValueError(broken)
                self.torn.append(before)
                broken = ""
            yield _record(value, where)
        if broken and ended:
            raise ValueError(broken)
        if broken:
            self.torn.append(where)


def _begins_a_process(line: bytes) -> bool:
    """Whether it may be the beginning of the line with which a process begins."""
    head = f'{{"version": {LOG_VERSION}, "event": "server"'.encode()
    return line.startswith(head) or head.startswith(line.rstrip(b"\n"))


def _record(value: Any, where: str) -> Logged:
    if not isinstance(value, dict):
        raise ValueError(f"{where}: {value!r:.80}; allowed: an object")
    if value.get("version") != LOG_VERSION:
        raise ValueError(f"{where}: version is {value.get('version')!r}; allowed: {LOG_VERSION}")
    try:
        check_choice("event", value.get("event"), _EVENTS)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from None
    if isinstance(estimate := value.get("always_largest"), dict) and "from" in estimate:
        value["always_largest"] = {"from_" if name == "from" else name: item for name, item in estimate.items()}
    record: Logged = decode(_EVENTS[value["event"]], value, where)
    return record
