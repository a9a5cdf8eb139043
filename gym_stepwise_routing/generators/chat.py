"""The chat form of a prompt: what stands before it in a conversation, and what its template is told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gym_stepwise_routing.grading.thoughts import THINK

__all__ = ["NO_CHAT_FORM", "ChatForm", "opens_thought"]

_CONSTANTS = {"true": True, "false": False}


@dataclass(frozen=True, slots=True)
class ChatForm:
    """How a prompt becomes a conversation.

    Args:
        system: text of the system message; None: there is none, whatever the template adds by itself.
        arguments: what the chat template is told, such as ``("enable_thinking", False)``, by name.
    """

    system: str | None = None
    arguments: tuple[tuple[str, Any], ...] = ()

    def messages(self, prompt: str) -> list[dict[str, Any]]:
        """The conversation up to the answer."""
        before = [] if self.system is None else [{"role": "system", "content": self.system}]
        return [*before, {"role": "user", "content": prompt}]

    def settings(self) -> tuple[tuple[str, str], ...]:
        """What a manifest keeps of it: nothing of a form that adds nothing."""
        system = () if self.system is None else (("system", self.system),)
        return (*system, *((f"template.{name}", str(value)) for name, value in self.arguments))

    @staticmethod
    def argument(name: str, value: str) -> tuple[str, Any]:
        """An argument as it stands on the command line: ``true``, ``false``, a whole number, or text."""
        if not name.isidentifier():
            raise ValueError(f"template argument {name!r}; allowed: template.NAME=VALUE, NAME an identifier")
        if value.lower() in _CONSTANTS:
            return name, _CONSTANTS[value.lower()]
        return name, int(value) if value.lstrip("-").isdigit() else value


NO_CHAT_FORM = ChatForm()
"""Nothing but the prompt."""


def opens_thought(prompt: str) -> bool:
    """Whether a chat template has written the beginning of the thought itself, as DeepSeek-R1's does."""
    return prompt.rstrip().endswith(THINK)
