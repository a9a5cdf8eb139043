r"""Reading of ``\boxed{...}``."""

from __future__ import annotations

import re

__all__ = ["last_boxed"]

_BOXED = re.compile(r"\\(?:boxed|fbox)\s*")


def last_boxed(text: str) -> str | None:
    r"""Content of the last complete ``\boxed{...}`` (or ``\fbox{...}``, ``\boxed 7``); None where there is none."""
    for found in reversed(list(_BOXED.finditer(text))):
        content = _group(text, found.end())
        if content is not None:
            return content.strip()
    return None


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
