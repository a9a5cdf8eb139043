"""The step rule: where one unit of reasoning ends and the next begins, and when a trace is over."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from gym_stepwise_routing.errors import check_choice
from gym_stepwise_routing.generators.logical_lines import end_of_logical_line, in_columns
from gym_stepwise_routing.grading.numeric import STATED_NUMBER
from gym_stepwise_routing.grading.thoughts import in_thought
from gym_stepwise_routing.types import MAX_HORIZON

__all__ = ["BLANK_LINE", "FENCE", "NEWLINE", "StepRule"]

NEWLINE, BLANK_LINE, FENCE = "\n", "\n\n", "```"
_LINE_END = r"(?:\r\n?+|\n)"
_LINE_START = r"(?<![^\r\n])"
_ONE_END, _TWO_ENDS = re.compile(_LINE_END), re.compile(f"{_LINE_END}{{2,}}")
_BLANK_LINES = re.compile(r"\A(?:[ \t\f]*\n)+")
_HEADING = re.compile(r"#{1,6} .*|\*\*[^*\n]+\*\*:?|(?:step|part|case)\s*\w{1,3}\s*[:.)]?|[^\w\\]*", re.IGNORECASE)


@lru_cache(128)
def _whole_stop(stops: tuple[str, ...], labels: tuple[str, ...]) -> re.Pattern[str]:
    whole = [re.escape(stop).replace("\\\n", _LINE_END) for stop in stops]
    return re.compile("|".join([*whole, *(_LINE_START + re.escape(label) for label in labels)]))


@lru_cache(128)
def _partial_stop(stops: tuple[str, ...], labels: tuple[str, ...]) -> re.Pattern[str]:
    parts = [re.escape(part) for part in _beginnings(stops)]
    parts += [_LINE_START + re.escape(part) for part in _beginnings(labels)]
    return re.compile(f"(?:{'|'.join(parts)})\\Z")


def _beginnings(texts: Sequence[str]) -> list[str]:
    return sorted({text[:length] for text in texts for length in range(1, len(text))})


@dataclass(frozen=True, slots=True)
class StepRule:
    r"""How text is cut into steps.

    Args:
        delimiter: ``"\n"`` or ``"\n\n"``: what stands between two steps. Lines may end in ``\r\n`` and ``\r`` as well.
        stop: strings that end the whole trace, wherever they stand behind the first character that is no white space.
        labels: what announces another question; it ends the trace where a line begins with it, and nowhere else.
        answer: regular expression of a stated answer; a trace ends where it has matched, and what the model goes on
            to write is neither kept nor counted. None: a trace ends only where the model ends it.
        min_characters: shorter steps are merged into the next.
        merge_headings: a step that is only a heading, a rule or punctuation is merged into the next.
        repeat_limit: a trace in which the same step stands this often ends; 0 switches the guard off.
        horizon: most steps of a trace; the last of them is all the rest of what the model writes.
        max_tokens: most tokens a model may decode before it hands over (a run).
        python: a step is a logical line of Python and keeps its indentation, in columns; ``delimiter`` must be a
            newline.

    Raises:
        ValueError: a figure out of its range, or settings that exclude each other.
    """

    delimiter: str = NEWLINE
    stop: tuple[str, ...] = (BLANK_LINE,)
    labels: tuple[str, ...] = ("Question:", "Human:")
    answer: str | None = STATED_NUMBER
    min_characters: int = 1
    merge_headings: bool = False
    repeat_limit: int = 0
    horizon: int = 5
    max_tokens: int = 200
    python: bool = False

    def __post_init__(self) -> None:
        check_choice("delimiter", self.delimiter, (NEWLINE, BLANK_LINE))
        if self.python and self.delimiter != NEWLINE:
            raise ValueError(f"delimiter={self.delimiter!r} with python=True; allowed: {NEWLINE!r}")
        if "" in self.labels:
            raise ValueError(f"labels={self.labels!r}; allowed: non-empty strings")
        if any(stop in self.delimiter for stop in self.stop):
            raise ValueError(f"stop={self.stop!r}; allowed: none that stands in delimiter={self.delimiter!r}")
        for parameter, least in (("min_characters", 0), ("max_tokens", 1)):
            if getattr(self, parameter) < least:
                raise ValueError(f"{parameter}={getattr(self, parameter)!r}; allowed: an integer >= {least}")
        if not 1 <= self.horizon <= MAX_HORIZON:
            raise ValueError(f"horizon={self.horizon!r}; allowed: 1 to {MAX_HORIZON}")
        if self.repeat_limit != 0 and self.repeat_limit < 2:
            raise ValueError(f"repeat_limit={self.repeat_limit!r}; allowed: 0 (off), or an integer >= 2")
        if self.answer is not None:
            try:
                re.compile(self.answer)
            except re.error as error:
                raise ValueError(f"answer={self.answer!r} is no regular expression: {error}") from None

    def end_of_step(self, text: str, position: int = 0) -> int | None:
        """Where the first delimiter from ``position`` on ends; None where there is none.

        With ``python``, ``position`` must be where a logical line starts.
        """
        if self.python:
            return end_of_logical_line(text, position)
        found = (_TWO_ENDS if self.delimiter == BLANK_LINE else _ONE_END).search(text, position)
        return found.end() if found else None

    @property
    def engine_stops(self) -> tuple[str, ...]:
        """The strings that an engine stops at: a label behind a newline."""
        return (*self.stop, *(NEWLINE + label for label in self.labels))

    def start_of_stop(self, text: str) -> int | None:
        """Where the first stop string starts; None where there is none."""
        if not self.stop and not self.labels:
            return None
        found = _whole_stop(self.stop, self.labels).search(text, len(text) - len(text.lstrip()))
        return found.start() if found else None

    def start_of_partial_stop(self, text: str) -> int | None:
        """Where a text ends in what may become a stop string; None where it does not."""
        longest = max(map(len, (*self.stop, *self.labels)), default=1)
        if longest < 2:
            return None
        found = _partial_stop(self.stop, self.labels).search(text, max(0, len(text) - longest + 1))
        return found.start() if found else None

    def step_text(self, text: str) -> str:
        r"""A step as it enters a trace: without surrounding white space, lines ending in ``\n``.

        With ``python``, the indentation of its first line stays.
        """
        if not self.python:
            return _ONE_END.sub(NEWLINE, text.strip())
        return in_columns(_BLANK_LINES.sub("", _ONE_END.sub(NEWLINE, text).rstrip()))

    def prefix(self, steps: Sequence[str]) -> str:
        """The answer so far as a model reads it before it writes the next step."""
        return "".join(step + self.delimiter for step in steps)

    def is_degenerate(self, text: str) -> bool:
        """Whether a step says too little to stand alone."""
        lines = [line.strip() for line in text.strip().splitlines() if line.strip()]
        headings = self.merge_headings and all(_HEADING.fullmatch(line) for line in lines)
        return len(text.strip()) < self.min_characters or headings

    def end_of_answer(self, text: str, before: str = "") -> int | None:
        """Where the first stated answer ends that is not over before the text; None where there is none.

        What a thought states (``<think>``) is no answer yet.

        Args:
            text: the text.
            before: what stands before it: an answer may begin there, such as a box over several lines.
        """
        if self.answer is None:
            return None
        whole = before + text
        found = (match for match in re.finditer(self.answer, whole) if not in_thought(whole, match.start()))
        return next((match.end() - len(before) for match in found if match.end() > len(before)), None)
