"""What people write about themselves: text that can be seen, and titles that cannot be taken for each other."""

from __future__ import annotations

import unicodedata

__all__ = ["check_title", "check_visible", "is_hidden", "likeness"]

_BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
"""Letters, marks and symbols that show nothing: Unicode has no category for them."""
# Letters that look like Latin ones in one case or the other: Cyrillic, then Greek, then what looks alike anyway.
_LOOKS_LIKE = str.maketrans(
    "\u0430\u0435\u043e\u0440\u0441\u0443\u0445\u0456\u0458\u0455\u04bb\u0501\u051b\u051d\u04cf\u0432\u043a\u043c\u043d\u0442\u0433\u044c"
    "\u03b1\u03b9\u03ba\u03bd\u03bf\u03c1\u03c4\u03c5\u03c7\u03b2\u03b7\u03b3\u03c9\u03f2\u03f301i",
    "aeopcyxljshdqwlbkmhtrbalkvoptuxbnywcjoll",
)


def is_hidden(character: str) -> bool:
    """Whether a character shows nothing, turns the writing direction, or begins a new line; a space is none."""
    return unicodedata.category(character) in ("Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp") or character in _BLANK


def check_visible(text: str) -> str:
    """Refuse text that holds what cannot be seen, or nothing else; line feeds are fine.

    Raises:
        ValueError: it does; the message names the character and its place.
    """
    for place, character in enumerate(text):
        if is_hidden(character) and character != "\n":
            name = unicodedata.name(character, "without a name")
            raise ValueError(f"character {place} is U+{ord(character):04X} ({name}); allowed: what can be seen")
    if not any(unicodedata.category(character)[0] in "LNPS" for character in text):
        raise ValueError(f"{text!r} shows nothing; allowed: a letter, a digit or a sign at least")
    return text


def check_title(text: str) -> str:
    """Refuse a title that is no single line with a letter or a digit in it, or that has blanks around it.

    Raises:
        ValueError: it is none.
    """
    if "\n" in text or text != text.strip() or not likeness(text):
        raise ValueError(f"{text!r}; allowed: one line with a letter or a digit in it, without blanks around it")
    return check_visible(text)


def likeness(title: str) -> str:
    """What is left of a title when case, accents, blanks, punctuation and the script of a letter do not count.

    Two titles that come to the same could be taken for each other.
    """
    plain = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", title).casefold())
    return "".join(character for character in plain.translate(_LOOKS_LIKE) if character.isalnum())
