"""One style of figures: size, colours, grid, and how they are written."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from gym_stepwise_routing.storage.atomic import replaced

try:
    from matplotlib.axes import Axes
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from PIL import Image
except ImportError as error:
    raise ImportError("figures need matplotlib: pip install 'gym-stepwise-routing[cli]'") from error

__all__ = ["BLACK", "BLUE", "GREEN", "GREY", "ORANGE", "PINK", "new_figure", "save_figure", "with_palette"]

# Okabe-Ito: told apart with colour-blindness.
BLACK, BLUE, ORANGE, GREEN, PINK, GREY = "#000000", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#999999"
_PANEL = (5.2, 4.2)
"""Width and height of a panel, inches."""
_COLOURS = 64
"""Colours of a PNG: lines and their soft edges need no more, and the file is a third as large."""


def new_figure(
    panels: int, *, columns: int | None = None, title: str = "", simulated: bool = False, shared: bool = False
) -> tuple[Figure, Sequence[Axes]]:
    """A figure with panels side by side, and their axes.

    Args:
        panels: number of panels, >= 1.
        columns: most panels in a row; all of them if None.
        title: title above the panels.
        simulated: the numbers come from a simulator: the title says so.
        shared: the panels have the same axes.
    """
    across = min(panels, columns or panels)
    down = -(-panels // across)
    figure = Figure(figsize=(_PANEL[0] * across, _PANEL[1] * down), layout="constrained")
    FigureCanvasAgg(figure)
    if heading := ": ".join(filter(None, ("SIMULATED" if simulated else "", title))):
        figure.suptitle(heading)
    grid = figure.subplots(down, across, sharex=shared, sharey=shared, squeeze=False)
    axes: list[Axes] = list(np.ravel(grid))
    for panel in axes:
        panel.grid(alpha=0.25)
    for panel in axes[panels:]:
        panel.set_visible(False)
    return figure, axes[:panels]


def save_figure(figure: Figure, path: Path) -> None:
    """Write the figure; its format follows the suffix, such as ``.png`` or ``.svg``."""
    form = path.suffix.removeprefix(".") or "png"
    with replaced(path) as temporary:
        figure.savefig(temporary, format=form, dpi=140)
        if form == "png":
            with_palette(temporary)


def with_palette(path: Path) -> None:
    """Write a PNG again with few colours; one that has few stays as it is."""
    with Image.open(path) as image:
        if image.mode == "P":
            return
        small = image.convert("RGB").quantize(_COLOURS, dither=Image.Dither.NONE)
    small.save(path, format="PNG", optimize=True)
