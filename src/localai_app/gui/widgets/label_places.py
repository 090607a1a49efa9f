"""Where names go beside the points of a chart so that none covers another, a point or an error bar."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QPointF, QRectF, QSizeF

DISTANCES = (8.0, 20.0, 34.0, 50.0, 70.0, 95.0)
"""From the point to the nearest edge of its name, in pixels: the first that has room."""
_SIDES = ((1, 0), (-1, 0), (0, -1), (0, 1), (1, -1), (1, 1), (-1, -1), (-1, 1))
"""Right, left, above, below, then the corners."""
_GAP = 2.0


def place_labels(
    points: Sequence[QPointF], sizes: Sequence[QSizeF], obstacles: Sequence[QRectF], bounds: QRectF,
) -> tuple[QRectF | None, ...]:
    """A place for the name of each point, inside of `bounds`; None where there is room for no more.

    Names of points at the edges are placed first: they have fewer places to choose from.
    """
    order = sorted(range(len(points)), key=lambda index: _room(points[index], bounds))
    taken = list(obstacles)
    places: list[QRectF | None] = [None] * len(points)
    for index in order:
        place = _first_free(points[index], sizes[index], taken, bounds)
        if place is not None:
            places[index] = place
            taken.append(place)
    return tuple(places)


def _first_free(point: QPointF, size: QSizeF, taken: Sequence[QRectF], bounds: QRectF) -> QRectF | None:
    for distance in DISTANCES:
        for side in _SIDES:
            place = _beside(point, size, side, distance)
            wide = place.adjusted(-_GAP, -_GAP, _GAP, _GAP)
            if bounds.contains(place) and not any(wide.intersects(other) for other in taken):
                return place
    return None


def _beside(point: QPointF, size: QSizeF, side: tuple[int, int], distance: float) -> QRectF:
    across, down = side
    # A corner is as far away as a side.
    reach = distance if not across or not down else 0.7 * distance
    left = {1: point.x() + reach, -1: point.x() - reach - size.width(), 0: point.x() - size.width() / 2}[across]
    top = {1: point.y() + reach, -1: point.y() - reach - size.height(), 0: point.y() - size.height() / 2}[down]
    return QRectF(left, top, size.width(), size.height())


def _room(point: QPointF, bounds: QRectF) -> float:
    """How far a point is from the nearest edge."""
    return min(
        point.x() - bounds.left(), bounds.right() - point.x(), point.y() - bounds.top(), bounds.bottom() - point.y())
