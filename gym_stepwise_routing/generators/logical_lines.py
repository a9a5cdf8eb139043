r"""Lines of Python as its grammar counts them: one that a bracket, a string or a backslash keeps open goes on.

Half-written and faulty programs are cut as well, so this is a scan and not a parser. Indentation is put in columns,
since two models whose lines make one program may not agree on tabs: Python refuses what depends on a tab's width.
"""

from __future__ import annotations

import re

__all__ = ["end_of_logical_line", "in_columns"]

_TOKEN = re.compile(
    r"""
    (?P<string>'{3}(?:[^\\]|\\.)*?'{3} | "{3}(?:[^\\]|\\.)*?"{3}
        | '(?!'')(?:[^\\'\r\n]|\\(?:\r\n|.))*' | "(?!"")(?:[^\\"\r\n]|\\(?:\r\n|.))*")
    | (?P<open>'{3}|"{3})                # a string of several lines that has no end yet
    | (?P<comment>\#[^\r\n]*)
    | (?P<joined>\\(?:\r\n?|\n))
    | (?P<line>\r\n|\r|\n)
    | (?P<blank>[ \t\f]+)
    | (?P<code>\w+|.)
    """,
    re.VERBOSE | re.DOTALL,
)
_LINE = re.compile(r"(?P<indent>[ \t]*)(?P<rest>[^\r\n]*(?:\r\n?|\n|\Z))")


def end_of_logical_line(text: str, position: int = 0) -> int | None:
    """Where the logical line that starts at ``position`` ends, its line end included; None if it has no end yet.

    Blank lines and lines of comments go with the line of code that follows, as in Python's own grammar.
    """
    depth, code = 0, False
    while found := _TOKEN.match(text, position):
        position = found.end()
        match found.lastgroup:
            case "open":
                return None
            case "line" if code and depth == 0:
                return position
            case "string":
                code = True
            case "code":
                code = True
                depth += found[0] in "([{"
                depth = max(depth - (found[0] in ")]}"), 0)
    return None


def in_columns(text: str) -> str:
    """The same program with spaces for tabs where a logical line, or a comment before it, is indented.

    A tab goes to the next multiple of eight, which is what Python counts. Strings are left alone.
    """
    lines: list[str] = []
    position = 0
    while position < len(text):
        end = end_of_logical_line(text, position) or len(text)
        begun = False  # what follows in a logical line stands in a bracket, in a string, or after a backslash
        while position < end:
            line = _LINE.match(text, position, end)
            assert line is not None
            lines.append((line["indent"] if begun else line["indent"].expandtabs(8)) + line["rest"])
            begun = begun or line["rest"].strip()[:1] not in ("", "#")
            position = line.end()
    return "".join(lines)
