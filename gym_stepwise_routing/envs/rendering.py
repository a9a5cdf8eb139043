"""Rendering of a trace: as coloured text for a terminal, as an image for videos."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gym_stepwise_routing.game.config import RoutingSpec

__all__ = ["Frame", "Renderer", "wrap_to_width"]

WIDTH, HEIGHT = 800, 600
_MARGIN = 16
_LINE = 22
_COLUMNS = 78
_Wrap = Callable[[str], list[str]]
# Okabe-Ito colours: distinguishable with colour-blindness. Smallest model first; further models reuse them in turn.
_COLOURS = ((0, 114, 178), (213, 94, 0), (0, 158, 115), (204, 121, 167), (230, 159, 0))
_INK, _FAINT, _PAPER = (33, 33, 33), (130, 130, 130), (255, 255, 255)


@dataclass(frozen=True, slots=True)
class Frame:
    """What one decision added to the trace.

    Attributes:
        model: who wrote the step, -1 at the start.
        text: the step.
        draft: the draft that is pending after it (*regenerate*), '' if there is none.
        spent: normalised cost so far.
        answered: the step ended the trace.
        right: the answer is right.
    """

    model: int
    text: str
    draft: str
    spent: float
    answered: bool = False
    right: bool = False


class Renderer:
    """Draws the frames of one episode.

    Args:
        spec: the game; its model names make the legend.
    """

    def __init__(self, spec: RoutingSpec) -> None:
        self._spec = spec

    def _lines(self, frames: Sequence[Frame], wrap: _Wrap) -> list[tuple[int, str]]:
        """Lines of text with the model that wrote them; -1 for the renderer's own."""
        lines: list[tuple[int, str]] = []
        for number, frame in enumerate(frames[1:], start=1):
            name = self._spec.models[frame.model]
            if self._spec.mode == "restart" and frames[number - 1].model not in (-1, frame.model):
                lines.append((-1, f"{name} begins the problem afresh"))
            body = frame.text or "(text not recorded)"
            lines.append((frame.model, f"{number}. {name}  [{frame.spent:.2f}]"))
            lines += [(frame.model, part) for row in body.splitlines() for part in wrap(row) or [""]]
        last = frames[-1] if frames else None
        if last is not None and last.draft and not last.answered:
            lines.append((-1, "pending draft:"))
            lines += [(0, part) for part in wrap(last.draft)]
        if last is not None and last.answered:
            lines.append((-1, "right" if last.right else "wrong"))
        return lines

    def _title(self, frames: Sequence[Frame]) -> str:
        spent = frames[-1].spent if frames else 0.0
        simulated = "  SIMULATED" if self._spec.simulated else ""
        cost = f"cost {spent:.3f} x always-largest ({self._spec.cost_unit})"
        return f"{self._spec.source}  {self._spec.mode}  {cost}{simulated}"

    def text(self, frames: Sequence[Frame]) -> str:
        """The trace with ANSI colours."""
        rows = [self._title(frames)]
        for model, line in self._lines(frames, lambda row: textwrap.wrap(row, _COLUMNS)):
            if model < 0:
                rows.append(line)
                continue
            red, green, blue = _COLOURS[model % len(_COLOURS)]
            rows.append(f"\x1b[38;2;{red};{green};{blue}m{line}\x1b[0m")
        return "\n".join(rows) + "\n"

    def show(self, frames: Sequence[Frame]) -> None:
        """Write the trace to the terminal."""
        sys.stdout.write(self.text(frames))
        sys.stdout.flush()

    def image(self, frames: Sequence[Frame]) -> NDArray[np.uint8]:
        """The trace as ``uint8[600, 800, 3]``; long traces show their end.

        Raises:
            ImportError: Pillow or Matplotlib is not installed.
        """
        try:
            from PIL import Image, ImageDraw, ImageFont

            font = ImageFont.truetype(_font_file(), size=15)
        except ImportError as error:
            raise ImportError(
                "render_mode='rgb_array' needs Pillow and Matplotlib: pip install 'gym-stepwise-routing[cli]'"
            ) from error
        image = Image.new("RGB", (WIDTH, HEIGHT), _PAPER)
        draw = ImageDraw.Draw(image)
        draw.text((_MARGIN, 12), self._title(frames), fill=_INK, font=font)
        left = float(_MARGIN)
        for k, name in enumerate(self._spec.models):
            colour = _COLOURS[k % len(_COLOURS)]
            draw.rectangle((left, 42, left + 11, 53), fill=colour)
            draw.text((left + 17, 38), name, fill=colour, font=font)
            left += 41 + draw.textlength(name, font=font)
        room = (HEIGHT - 80) // _LINE
        for row, (model, line) in enumerate(self._lines(frames, lambda row: wrap_to_width(row, font))[-room:]):
            colour = _FAINT if model < 0 else _COLOURS[model % len(_COLOURS)]
            draw.text((_MARGIN, 70 + row * _LINE), line, fill=colour, font=font)
        return np.asarray(image, dtype=np.uint8)


def wrap_to_width(text: str, font: Any, width: float = WIDTH - 2 * _MARGIN) -> list[str]:
    """Lines of ``text`` that are at most so many pixels wide; what has no blank in it is broken anywhere.

    Args:
        text: one row of text.
        font: a Pillow font; letters differ in width.
        width: in pixels, wider than any one letter.
    """
    lines: list[str] = []
    line = ""
    for word in text.split():
        longer = f"{line} {word}" if line else word
        if font.getlength(longer) <= width:
            line = longer
            continue
        if line:
            lines.append(line)
        line = word
        while font.getlength(line) > width:
            fits = next(n for n in range(len(line) - 1, 0, -1) if font.getlength(line[:n]) <= width)
            lines.append(line[:fits])
            line = line[fits:]
    return [*lines, line] if line else lines


def _font_file() -> str:
    """DejaVu Sans, which Matplotlib brings: Pillow's own font lacks much of what problems are written in."""
    import matplotlib

    return str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf")
