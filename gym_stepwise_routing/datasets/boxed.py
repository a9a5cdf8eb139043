r"""Reading of ``\boxed{...}``."""

from __future__ import annotations

import re

__all__ = ["PLACEHOLDER", "boxes", "last_boxed"]

_BLANK = r"(?:[\s~?_.\u2026-]|\\[,;:!_ ]|\\q?quad\b|\\[lcv]?dots\b|\\(?:square|Box)\b|\{\s*\}|\\text\s*\{[\s.]*\})*"
_WORDS = (
    r"(?:\\text\s*\{)?\s*[<\[(]?\s*(?:(?:insert|put|write|your|the|final|correct)\s+)*(?:answer|result|solution|choice)"
    r"(?:\s+here)?\s*[>\])]?\s*\}?\s*"
)
PLACEHOLDER = rf"(?:{_BLANK}|(?i:{_WORDS}))"
r"""What stands in a box that states nothing: nothing at all, dots, lines, or "your answer" of an instruction."""

_BOXED = re.compile(r"\\(?:boxed|fbox)\s*")


def last_boxed(text: str) -> str | None:
    r"""Content of the last complete ``\boxed{...}`` (or ``\fbox{...}``, ``\boxed 7``); None where there is none."""
    found = boxes(text)
    return found[-1][2].strip() if found else None


def boxes(text: str) -> list[tuple[int, int, str]]:
    """Start, end and content of every complete box, in order; of a box within a box both."""
    found = [(box.start(), box.end(), _group(text, box.end())) for box in _BOXED.finditer(text)]
    return [(start, _end(text, after, content), content) for start, after, content in found if content is not None]


def _end(text: str, start: int, content: str) -> int:
    return start + len(content) + 2 * (text[start] == "{")


def _group(text: str, start: int) -> str | None:
    """Content of the brace group at ``start``, or the one token there; None if the group is not closed."""
    if start >= len(text):
        return None
    if text[start] != "{":
        token = re.match(r"\\[A-Za-z]+|[^\s$.,]", text[start:])
        return token.group() if token else None
    depth = 0
    for position in range(start, len(text)):
        escaped = position > 0 and text[position - 1] == "\\"
        if text[position] == "{" and not escaped:
            depth += 1
        elif text[position] == "}" and not escaped:
            depth -= 1
            if depth == 0:
                return text[start + 1 : position]
    return None
