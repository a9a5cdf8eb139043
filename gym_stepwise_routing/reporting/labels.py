"""Where to print labels so that they cover neither points nor one another."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

__all__ = ["Box", "place_labels"]

Box = tuple[float, float, float, float]
"""Left, bottom, right and top, in pixels."""

_ANGLES = 16
_RINGS = 30


def place_labels(
    points: Sequence[tuple[float, float]],
    sizes: Sequence[tuple[float, float]],
    *,
    marker: float,
    frame: Box,
) -> list[tuple[float, float]]:
    """Centres of labels, each as near to its point as the points and the labels before it allow.

    Places are tried in rings around the point, the nearest ring first. Deterministic: equal input gives equal places.

    Args:
        points: centres of the markers, in pixels.
        sizes: width and height of each label.
        marker: width of a marker.
        frame: labels stay inside, as far as the rings reach.
    """
    half = marker / 2
    taken: list[Box] = [(x - half, y - half, x + half, y + half) for x, y in points]
    places = []
    for (x, y), (width, height) in zip(points, sizes, strict=True):
        place = (x, y)
        for place in _around(x, y, half + 1 + max(width, height) / 2, step=height / 2):
            box = _box(place, width, height)
            if _inside(box, frame) and not any(_overlap(box, other) for other in taken):
                break
        taken.append(_box(place, width, height))
        places.append(place)
    return places


def _around(x: float, y: float, radius: float, *, step: float) -> Iterator[tuple[float, float]]:
    for ring in range(_RINGS):
        for number in range(_ANGLES):
            angle = math.pi / 4 + 2 * math.pi * number / _ANGLES
            reach = radius + ring * step
            yield x + reach * math.cos(angle), y + reach * math.sin(angle)


def _box(centre: tuple[float, float], width: float, height: float) -> Box:
    x, y = centre
    return x - width / 2, y - height / 2, x + width / 2, y + height / 2


def _inside(box: Box, frame: Box) -> bool:
    return box[0] >= frame[0] and box[1] >= frame[1] and box[2] <= frame[2] and box[3] <= frame[3]


def _overlap(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
