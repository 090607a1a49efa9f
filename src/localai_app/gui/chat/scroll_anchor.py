"""Keeps a widget where it is on screen while others are put above it."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QObject, QPoint, QTimer
from PySide6.QtWidgets import QScrollArea, QWidget

SETTLE_MS = 120
"""How long new widgets may take to find their heights, from the last one that was put in or moved."""


class ScrollAnchor(QObject):
    """Scrolls along with the widget that is held; lets go by itself once everything has settled."""

    def __init__(self, area: QScrollArea) -> None:
        super().__init__(area)
        self._area = area
        self._held: QWidget | None = None
        self._top = 0
        self._timer = QTimer(self, singleShot=True, interval=SETTLE_MS)
        self._timer.timeout.connect(self.release)

    @property
    def is_holding(self) -> bool:
        """Whether a widget is held now."""
        return self._held is not None

    def hold(self, widget: QWidget) -> None:
        """Keep `widget` at its place from now on; `expect_moves` follows when the others are in."""
        self.release()
        self._held = widget
        self._top = self._top_on_screen(widget)
        widget.installEventFilter(self)

    def expect_moves(self) -> None:
        """The others were put in; building them may have taken long, so that the wait begins now."""
        if self._held is not None:
            self._timer.start()

    def release(self) -> None:
        """Let it go."""
        self._timer.stop()
        if self._held is not None:
            self._held.removeEventFilter(self)
            self._held = None

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Scroll by as much as the widget has moved."""
        if self._held is not None and watched is self._held and event.type() == QEvent.Type.Move:
            bar = self._area.verticalScrollBar()
            bar.setValue(bar.value() + self._top_on_screen(self._held) - self._top)
            self._timer.start()
        return bool(super().eventFilter(watched, event))

    def _top_on_screen(self, widget: QWidget) -> int:
        return widget.mapTo(self._area.viewport(), QPoint(0, 0)).y()
