"""Two answers beside each other with the words marked that only one of them has."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QComboBox, QFrame, QHBoxLayout, QScrollArea, QVBoxLayout, QWidget

from localai_app.compare.differences import Differences, Piece, word_differences
from localai_app.gui.chat.plain_text import harmless
from localai_app.gui.chat.rich_text import RichTextView
from localai_app.gui.metrics import SPACE_2, SPACE_3, SPACE_4, SPACE_6
from localai_app.gui.styling import button, combo_box, divider, label, set_role, set_spacing
from localai_app.gui.tasks import run_in_background
from localai_app.gui.theme import Palette, ThemeState
from localai_app.gui.widgets.wheel_guard import ignore_wheel_unless_focused

SHOWN_CHARACTERS = 40_000
"""Laying out more at once would be felt; what lies beyond is counted below the text."""
MORE = "… {count:,} more characters are not shown here."


class DifferencesView(QWidget):
    """The words are found off the window's thread; what comes too late for other answers is dropped."""

    closed = Signal()

    def __init__(self, theme: ThemeState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._texts: tuple[str, ...] = ()
        self._asked: tuple[str, str] | None = None
        self._found: Differences | None = None
        self.share = label("", "caption")
        close = button("Back to the answers", "link")
        close.clicked.connect(self.closed)
        self.left, self.right = _Side("Left answer", theme), _Side("Right answer", theme)
        for side in (self.left, self.right):
            side.box.activated.connect(self._compare)
        self.left.area.verticalScrollBar().valueChanged.connect(lambda _value: self._scroll_along(self.left, self.right))
        self.right.area.verticalScrollBar().valueChanged.connect(lambda _value: self._scroll_along(self.right, self.left))
        head = QHBoxLayout()
        set_spacing(head, SPACE_3)
        head.addWidget(self.share, 1)
        head.addWidget(close)
        sides = QHBoxLayout()
        set_spacing(sides, SPACE_3)
        sides.addWidget(self.left, 1)
        sides.addWidget(self.right, 1)
        column = QVBoxLayout(self)
        set_spacing(column, SPACE_2, (SPACE_6, 0, SPACE_6, 0))
        column.addLayout(head)
        column.addLayout(sides, 1)
        theme.changed.connect(self._show_found)

    def show_answers(self, names: Sequence[str], texts: Sequence[str]) -> None:
        """Offer these answers, the same columns as before where they are still there."""
        self._texts = tuple(texts)
        for side, usual in ((self.left, 0), (self.right, 1)):
            chosen = side.box.currentIndex()
            if [side.box.itemText(index) for index in range(side.box.count())] != list(names):
                side.box.clear()
                side.box.addItems(list(names))
                side.box.setCurrentIndex(chosen if 0 <= chosen < len(names) else min(usual, len(names) - 1))
        self._compare()

    def _compare(self, _index: int = 0) -> None:
        pair = self._text_of(self.left), self._text_of(self.right)
        if pair == self._asked:
            return
        self._asked = pair

        def show(found: Differences) -> None:
            if pair == self._asked:
                self._found = found
                self._show_found()

        run_in_background(self, lambda: word_differences(*pair), show)

    def _text_of(self, side: _Side) -> str:
        index = side.box.currentIndex()
        return self._texts[index] if 0 <= index < len(self._texts) else ""

    def _show_found(self) -> None:
        if self._found is None:
            return
        palette = self._theme.palette
        self.left.text.show_html(marked_html(self._found.left, palette, is_left=True))
        self.right.text.show_html(marked_html(self._found.right, palette, is_left=False))
        self.share.setText(
            f"{self._found.share:.0%} of the words are common. "
            "Struck through: only at the left. Underlined: only at the right.")

    @staticmethod
    def _scroll_along(moved: _Side, other: _Side) -> None:
        bar, along = moved.area.verticalScrollBar(), other.area.verticalScrollBar()
        wanted = round(bar.value() / bar.maximum() * along.maximum()) if bar.maximum() else 0
        if moved.area.underMouse() or bar.isSliderDown() or moved.area.hasFocus():
            along.setValue(wanted)


class _Side(QFrame):
    """The choice of an answer over its text."""

    def __init__(self, name: str, theme: ThemeState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        set_role(self, "card")
        self.box: QComboBox = combo_box()
        self.box.setAccessibleName(name)
        self.box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.box.setMinimumContentsLength(12)
        ignore_wheel_unless_focused(self.box)
        self.text = RichTextView(theme)
        content = set_role(QWidget(), "panel")
        inside = QVBoxLayout(content)
        set_spacing(inside, 0, (SPACE_4, SPACE_3, SPACE_4, SPACE_3))
        inside.addWidget(self.text)
        inside.addStretch(1)
        self.area = QScrollArea()
        self.area.setWidgetResizable(True)
        self.area.setFrameShape(QFrame.Shape.NoFrame)
        self.area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.area.setAccessibleName(f"Text of the {name.lower()}")
        self.area.setWidget(content)
        head = QVBoxLayout()
        set_spacing(head, 0, (SPACE_3, SPACE_2, SPACE_3, SPACE_2))
        head.addWidget(self.box)
        column = QVBoxLayout(self)
        set_spacing(column, 0, (1, 1, 1, 1))
        column.addLayout(head)
        column.addWidget(divider())
        column.addWidget(self.area, 1)


def marked_html(pieces: Iterable[Piece], palette: Palette, *, is_left: bool) -> str:
    """The text with what only this side has struck through (left) or underlined (right), and coloured besides."""
    color, soft = (palette.bad, palette.bad_soft) if is_left else (palette.good, palette.good_soft)
    line = "line-through" if is_left else "underline"
    style = f"color: {color}; background-color: {soft}; text-decoration: {line};"
    shown, left = [], SHOWN_CHARACTERS
    n_hidden = 0
    for piece in pieces:
        part, left = piece.text[:left], max(0, left - len(piece.text))
        n_hidden += len(piece.text) - len(part)
        if part:
            text = escape(harmless(part), quote=False)
            shown.append(text if piece.is_common else f'<span style="{style}">{text}</span>')
    more = f'<p class="note">{MORE.format(count=n_hidden)}</p>' if n_hidden else ""
    return f'<p class="said">{"".join(shown)}</p>{more}'
