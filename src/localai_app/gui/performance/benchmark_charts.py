"""The two charts of a benchmark: answers by depth and prompts by length, with earlier results behind them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from PySide6.QtWidgets import QHBoxLayout, QWidget

from localai_app.gui.metrics import SPACE_6
from localai_app.gui.styling import set_spacing
from localai_app.gui.theme import ThemeState
from localai_app.gui.widgets.chart import Axis, Chart, Series
from localai_app.services.benchmark_words import GENERATION, PROMPT, build_words, date_words, figure_tps, figure_words
from localai_app.store.records import BenchmarkRecord
from localai_app.units import format_count, format_speed

EARLIER_LINES = 3
"""More of them would hide the present one."""


def _tokens(value: float) -> str:
    return format_count(round(value))


def _points(record: BenchmarkRecord, kind: str) -> tuple[tuple[float, float], ...]:
    found = [
        (float(one.depth if kind == GENERATION else one.tokens), tps)
        for one in record.figures if one.kind == kind and (tps := figure_tps(one)) is not None]
    return tuple(sorted(found))


class BenchmarkCharts(QWidget):
    """Both charts side by side."""

    def __init__(self, theme: ThemeState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.answers = Chart(
            theme, "Speed of answers by depth", Axis("tokens in the context", _tokens, is_binary=True), Axis("tok/s, answers"))
        self.prompts = Chart(
            theme, "Speed of prompts by length", Axis("tokens of the prompt", _tokens, is_binary=True), Axis("tok/s, prompts"))
        row = QHBoxLayout(self)
        set_spacing(row, SPACE_6)
        row.addWidget(self.answers, 1)
        row.addWidget(self.prompts, 1)

    def show_records(self, record: BenchmarkRecord, earlier: Sequence[BenchmarkRecord]) -> None:
        """Show a result; `earlier` ones of the same model, newest first, lie behind it."""
        for chart, kind, token in ((self.answers, GENERATION, "gpu"), (self.prompts, PROMPT, "ram")):
            lines = [
                Series(f"earlier, {date_words(one)}, {build_words(one)}", points, is_faint=True, legend="")
                for one in earlier[:EARLIER_LINES] if (points := _points(one, kind))]
            if lines:
                lines[0] = replace(lines[0], legend="earlier")
            lines.append(Series("this result", _points(record, kind), token))
            chart.show_series(lines, _summary(record, kind))


def _summary(record: BenchmarkRecord, kind: str) -> str:
    return "; ".join(
        f"{figure_words(one)} {format_speed(tps)}"
        for one in record.figures if one.kind == kind and (tps := figure_tps(one)) is not None)
