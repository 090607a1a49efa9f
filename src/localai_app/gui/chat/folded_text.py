"""Text under an answer that is not the answer: one line that opens to the whole of it."""

from __future__ import annotations

from math import ceil

from PySide6.QtCore import Qt, QTimer
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import QPlainTextEdit, QSizePolicy, QVBoxLayout, QWidget

from localai_app.gui import metrics
from localai_app.gui.chat.markdown_view import FLUSH_INTERVAL_MS
from localai_app.gui.chat.plain_text import harmless
from localai_app.gui.chat.quiet_button import PADDING, QuietButton
from localai_app.gui.styling import set_role, set_spacing
from localai_app.gui.theme import ThemeState

OPEN_HEIGHT = 240


class FoldedText(QWidget):
    """A title that unfolds plain text; `name` is what it is called for a screen reader."""

    role = "aside"

    def __init__(self, theme: ThemeState, title: str, name: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._waiting: list[str] = []
        self._timer = QTimer(self, singleShot=True, interval=FLUSH_INTERVAL_MS)
        self._timer.timeout.connect(self._flush)
        self._toggle = QuietButton(title, "caret-right", theme)
        self._toggle.setCheckable(True)
        self._toggle.toggled.connect(self._on_toggled)
        self._text = QPlainTextEdit()
        set_role(self._text, self.role)
        self._text.document().setDocumentMargin(PADDING)
        self._text.setReadOnly(True)
        self._text.setUndoRedoEnabled(False)
        self._text.setAccessibleName(name)
        self._text.document().documentLayout().documentSizeChanged.connect(lambda _size: self._fit_height())
        self._text.hide()
        column = QVBoxLayout(self)
        set_spacing(column, 0, (metrics.SPACE_1, 0, 0, 0))
        column.addWidget(self._toggle, 0, Qt.AlignmentFlag.AlignLeft)
        column.addWidget(self._text)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    @property
    def text(self) -> str:
        """All of the text that is shown or waits to be shown."""
        return self._text.toPlainText() + "".join(self._waiting)

    @property
    def title(self) -> str:
        """The line that is always visible."""
        return str(self._toggle.text())

    @property
    def is_open(self) -> bool:
        """Whether the text is unfolded."""
        return self._toggle.isChecked()

    def set_open(self, is_open: bool) -> None:
        """Unfold or fold."""
        self._toggle.setChecked(is_open)

    def set_text(self, text: str) -> None:
        """Show another text."""
        self._waiting.clear()
        self._text.setPlainText(harmless(text.strip()))

    def append(self, text: str) -> None:
        """Add streaming text."""
        clean = harmless(text)
        if not self._waiting and not self._text.document().characterCount() > 1:
            clean = clean.lstrip()
        if clean:
            self._waiting.append(clean)
            if not self._timer.isActive():
                self._timer.start()

    def set_title(self, title: str) -> None:
        """Show another title."""
        self._toggle.setText(title)

    def flush(self) -> None:
        """Show at once what waits to be shown."""
        self._flush()

    def paintEvent(self, _event: QPaintEvent) -> None:
        """A line at the left side."""
        painter = QPainter(self)
        painter.fillRect(0, 4, 2, self.height() - 8, self._theme.palette.color("line"))
        painter.end()

    def _flush(self) -> None:
        self._timer.stop()
        if not self._waiting:
            return
        bar = self._text.verticalScrollBar()
        is_at_end = bar.value() >= bar.maximum() - 4
        cursor = self._text.textCursor()
        cursor.movePosition(cursor.MoveOperation.End)
        cursor.insertText("".join(self._waiting))
        self._waiting.clear()
        if is_at_end:
            bar.setValue(bar.maximum())

    def _fit_height(self) -> None:
        """As high as the text, up to the height from which it scrolls. A plain document counts its height in lines."""
        document = self._text.document()
        first = document.firstBlock()
        line_height = document.documentLayout().blockBoundingRect(first).height() / max(1, first.lineCount())
        margins = 2 * (round(document.documentMargin()) + self._text.frameWidth()) + metrics.SPACE_2
        self._text.setFixedHeight(min(OPEN_HEIGHT, ceil(document.size().height() * line_height) + margins))

    def _on_toggled(self, is_open: bool) -> None:
        self._toggle.set_icon_name("caret-down" if is_open else "caret-right")
        self._text.setVisible(is_open)
        self._fit_height()
