"""Bar charts of a report as inline SVG. Colours come from the page's style sheet, so that they follow light and dark."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from localai_app.compare.export_report import Measured

WIDE, NARROW = 440, 330
"""Widths for two and for three charts beside each other."""
VALUE_WIDTH = 90
CHAR_WIDTH = 7
"""Of a name, on average; what needs more is clipped."""
ROW_HEIGHT = 44
BAR_TOP = 22
BAR_HEIGHT = 10
CAP_HEIGHT = 6


def bar_chart(measured: Measured, width: int, names: Sequence[str]) -> str:
    """One bar for each contestant from zero, its value in words, and a line from the least to the most of several answers."""
    highest = measured.top or max(
        [*(value for value in measured.values if value is not None), *(span[1] for span in measured.spans if span), 0.0])
    rows = [
        _row(measured, place, name, highest, width) for place, name in enumerate(names)]
    summary = f"{measured.title}: " + "; ".join(f"{name}: {words}" for name, words in zip(names, measured.words, strict=True))
    height = ROW_HEIGHT * len(names)
    return (
        f'<svg class="chart" viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="{escape(summary)}">{"".join(rows)}</svg>')


def best_places(measured: Measured) -> frozenset[int]:
    """Who is in front; nobody where fewer than two are known or all are alike."""
    known = {place: value for place, value in enumerate(measured.values) if value is not None}
    if len(set(known.values())) < 2:
        return frozenset()
    best = min(known.values()) if measured.is_better_low else max(known.values())
    return frozenset(place for place, value in known.items() if value == best)


def _row(measured: Measured, place: int, name: str, highest: float, width: int) -> str:
    top = ROW_HEIGHT * place
    value, span = measured.values[place], measured.spans[place]
    room = width - VALUE_WIDTH
    strong = " strong" if place in best_places(measured) else ""
    parts = [
        f'<svg x="0" y="{top}" width="{room}" height="20">'
        f'<text x="0" y="14">{escape(_elided(name, room // CHAR_WIDTH))}</text></svg>',
        f'<text class="value{strong}" x="{width}" y="{top + 14}" text-anchor="end">{escape(measured.words[place])}</text>',
        f'<rect class="track" x="0" y="{top + BAR_TOP}" width="{width}" height="{BAR_HEIGHT}" rx="5"/>']
    if value and highest > 0:
        length = max(2.0, width * value / highest)
        parts.append(
            f'<rect class="bar c{place}" x="0" y="{top + BAR_TOP}" width="{length:.1f}" height="{BAR_HEIGHT}" '
            f'rx="{min(5.0, length / 2):.1f}"/>')
    if span is not None and highest > 0 and span[0] < span[1]:
        parts.append(_span(top, width * span[0] / highest, min(width * span[1] / highest, width - 1.0)))
    return "".join(parts)


def _elided(name: str, chars: int) -> str:
    return name if len(name) <= chars else f"{name[:chars - 1].rstrip()}…"


def _span(top: int, left: float, right: float) -> str:
    middle = top + BAR_TOP + BAR_HEIGHT / 2
    low, high = middle - CAP_HEIGHT / 2, middle + CAP_HEIGHT / 2
    return (
        f'<path class="span" d="M{left:.1f} {middle}H{right:.1f}M{left:.1f} {low}V{high}M{right:.1f} {low}V{high}"/>')
