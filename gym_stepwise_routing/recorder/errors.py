"""Why a recording stops."""

from __future__ import annotations

__all__ = ["RecordingError"]


class RecordingError(ValueError):
    """Models that do not deliver, or a manifest that does not fit; trees recorded before are safe on disk."""
