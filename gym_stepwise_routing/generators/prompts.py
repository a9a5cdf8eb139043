"""Prompt templates: what stands before the question."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from gym_stepwise_routing.errors import check_choice
from gym_stepwise_routing.grading import GRADERS, Grading

__all__ = ["PROMPTS", "PromptTemplate", "default_prompt", "load_prompt"]

PROMPTS = ("gsm8k-4shot", "math-4shot", "code-2shot", "table-3shot")
"""Prompts that come with the package; their examples were written for it."""
_FIELD = "{question}"


@dataclass(frozen=True, slots=True)
class PromptTemplate:
    """Text with one ``{question}``.

    Args:
        name: name of a bundled prompt, or the file it came from.
        text: the template; it ends where the model's answer begins.
    """

    name: str
    text: str

    def __post_init__(self) -> None:
        if self.text.count(_FIELD) != 1:
            raise ValueError(f"prompt {self.name!r} has {self.text.count(_FIELD)} times {_FIELD!r}; allowed: once")

    @property
    def sha256(self) -> str:
        """sha256 of the template."""
        return hashlib.sha256(self.text.encode()).hexdigest()

    @property
    def head(self) -> str:
        """The part before the question, which all problems share."""
        return self.text.split(_FIELD)[0]

    @property
    def marker(self) -> str:
        """What announces a question, such as ``Question:``: the label on its line up to a colon; '' without a label."""
        label, colon, _ = self.head.rpartition("\n")[2].partition(":")
        return f"{label.strip()}:" if colon and label.strip() else ""

    def fill(self, question: str) -> str:
        """The prompt of one question (surrounding white space of the question is dropped)."""
        return self.text.replace(_FIELD, question.strip())


def default_prompt(grading: Grading) -> str:
    """Name of the bundled prompt whose answers a grader reads.

    Raises:
        ValueError: there is none.
    """
    if prompt := GRADERS.get(grading).prompt:
        return prompt
    raise ValueError(f"grading={grading!r} has no prompt of its own; allowed: --prompt, a text file with {_FIELD}")


def load_prompt(name: str) -> PromptTemplate:
    """A bundled prompt by its name, or a template from a file.

    Raises:
        ValueError: neither; or a template without exactly one ``{question}``.
    """
    path = Path(name)
    if path.suffix and path.is_file():
        return PromptTemplate(path.name, path.read_text(encoding="utf-8"))
    check_choice("prompt", name, (*PROMPTS, "a text file with {question}"))
    text = resources.files(__package__).joinpath("templates", f"{name}.txt").read_text(encoding="utf-8")
    return PromptTemplate(name, text)
