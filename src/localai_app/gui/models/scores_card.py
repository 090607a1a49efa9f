"""Published scores of a model as bars, each with its source."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtWidgets import QFrame, QGridLayout, QVBoxLayout, QWidget

from localai_app.catalog.model import CatalogModel, Score
from localai_app.catalog.tasks import TASK_WORDS, Task
from localai_app.gui.metrics import SPACE_2, SPACE_3, SPACE_4, SPACE_5
from localai_app.gui.styling import label, set_role, set_spacing
from localai_app.gui.theme import ThemeState
from localai_app.gui.widgets.elided_label import ElidedLabel
from localai_app.gui.widgets.meter import Meter, Segment

BENCHMARK_WIDTH = 150
BAR_WIDTH = 180
FULL_SCORE = 100.0


class ScoresCard(QFrame):
    """The quality of a catalog model, and what it rests on."""

    def __init__(self, theme: ThemeState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        set_role(self, "card")
        self._theme = theme
        self._title = label("", "strong")
        self._basis = label("", "muted", wrap=True, selectable=True)
        self._tasks = label("", "caption-strong", wrap=True)
        self._rows = QGridLayout()
        set_spacing(self._rows, SPACE_2)
        self._rows.setHorizontalSpacing(SPACE_3)
        for column, share in enumerate((3, 4, 0, 6)):
            self._rows.setColumnStretch(column, share)
        layout = QVBoxLayout(self)
        set_spacing(layout, SPACE_2, (SPACE_5, SPACE_4, SPACE_5, SPACE_4))
        layout.addWidget(self._title)
        layout.addWidget(self._basis)
        layout.addWidget(self._tasks)
        layout.addLayout(self._rows)

    def show_model(self, model: CatalogModel) -> None:
        """Show the scores of a model; where none are published, what its quality was estimated from."""
        kind = "estimated" if model.quality_is_estimated else "from published scores"
        self._title.setText(f"Quality {model.quality:.0f} of 100, {kind}")
        source = model.quality_source
        self._basis.setText(f"{source[:1].upper()}{source[1:].rstrip('.')}.")
        self._tasks.setText(task_words(model))
        self._tasks.setToolTip("\n".join(
            f"{TASK_WORDS[Task(known.task)]}: {known.source}" for known in model.task_quality if known.task in list(Task)))
        self._tasks.setVisible(bool(model.task_quality))
        self._clear()
        for line, score in enumerate(unique_scores(model.scores)):
            self._add(line, score)

    def _add(self, line: int, score: Score) -> None:
        name = ElidedLabel(score.benchmark, "caption-strong")
        name.setMaximumWidth(BENCHMARK_WIDTH)
        meter = Meter(self._theme)
        meter.setMinimumWidth(BAR_WIDTH // 3)
        meter.setMaximumWidth(BAR_WIDTH)
        meter.set_segments([Segment(min(score.score, FULL_SCORE), "accent", score.benchmark)], FULL_SCORE)
        meter.setAccessibleName(f"{score.benchmark}: {score.score:g} of 100")
        for column, cell in enumerate((name, meter, label(f"{score.score:g}", "caption-strong"), _source(score.source))):
            self._rows.addWidget(cell, line, column)

    def _clear(self) -> None:
        while (item := self._rows.takeAt(0)) is not None:
            widget = item.widget()
            if widget is not None:
                widget.hide()
                widget.deleteLater()


def task_words(model: CatalogModel) -> str:
    """The quality at each task in one line, marked where it is estimated."""
    return " · ".join(
        f"{TASK_WORDS[Task(known.task)]} {'≈ ' if known.is_estimated else ''}{known.value:.0f}" for known in model.task_quality
        if known.task in list(Task))


def unique_scores(scores: Sequence[Score]) -> tuple[Score, ...]:
    """Without those that say the same of the same benchmark."""
    seen: dict[tuple[str, float], Score] = {}
    for score in scores:
        seen.setdefault((score.benchmark, score.score), score)
    return tuple(seen.values())


def _source(words: str) -> ElidedLabel:
    source = ElidedLabel(words.removeprefix("https://"), "caption")
    source.setAccessibleName(f"Source: {words}")
    return source
