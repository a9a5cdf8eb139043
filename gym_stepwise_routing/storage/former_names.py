"""Names that banks and tracks once had, so that whoever still uses one is told the new one."""

from __future__ import annotations

__all__ = ["FORMER_NAMES", "check_former"]

FORMER_NAMES = {
    "gsm8k-qwen2.5-coder-v2": "gsm8k-qwen2.5-coder",
    "math500-qwen2.5-coder-v2": "math500-qwen2.5-coder",
    "gsm8k-v2-route": "gsm8k-route",
    "gsm8k-v2-escalate": "gsm8k-escalate",
    "gsm8k-v2-regenerate": "gsm8k-regenerate",
    "math500-v2-escalate": "math500-escalate",
}
"""New names of banks and of tracks by the former ones. Content hashes changed with the names."""


def check_former(parameter: str, value: object, hint: str = "") -> None:
    """Refuse a former name.

    Args:
        parameter: what the value is called in the message.
        value: the name; anything but a string passes.
        hint: what else to do than to use the new name.

    Raises:
        ValueError: it is a former name; the message says the new one.
    """
    if isinstance(value, str) and value in FORMER_NAMES:
        raise ValueError(f"{parameter}={value!r} is a former name; it is {FORMER_NAMES[value]!r} now{hint}")
