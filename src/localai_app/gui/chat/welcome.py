"""An empty chat: a greeting and a few questions to begin with."""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtCore import QRect, QSize, Qt, Signal
from PySide6.QtGui import QFont, QFontMetrics, QPainter, QPaintEvent, QPen, QTextLayout
from PySide6.QtWidgets import QAbstractButton, QGridLayout, QHBoxLayout, QSizePolicy, QVBoxLayout, QWidget

from localai_app.gui import metrics
from localai_app.gui.icons import paint_icon
from localai_app.gui.styling import label, set_spacing
from localai_app.gui.theme import ThemeState


@dataclass(frozen=True, slots=True)
class Example:
    """A question that shows what a model can do."""

    icon_name: str
    title: str
    prompt: str


EXAMPLES = (
    Example("lightbulb", "Explain something", "Explain in simple words how a battery stores energy."),
    Example(
        "envelope-simple", "Write a letter", "Write a short, friendly letter that asks my landlord to repair the heating."),
    Example("code", "Write some code", "Write a Python function that finds duplicate files in a folder, and explain it."),
    Example("table", "Compare in a table", "Compare train, car and plane for a trip of 600 km in a table."),
)


class ExampleCard(QAbstractButton):
    """A pressable card with an icon, a title and the question."""

    def __init__(self, example: Example, theme: ThemeState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._example = example
        self.setAccessibleName(f"{example.title}: {example.prompt}")
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setAttribute(Qt.WidgetAttribute.WA_Hover)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def sizeHint(self) -> QSize:
        """Title and two lines of text."""
        sizes = self._theme.sizes
        return QSize(240, 2 * metrics.SPACE_4 + sizes.body + 6 + metrics.SPACE_1 + 2 * (sizes.caption + sizes.grown(5)))

    def paintEvent(self, _event: QPaintEvent) -> None:
        """A card that answers to the pointer."""
        palette, sizes = self._theme.palette, self._theme.sizes
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        is_hot = self.underMouse() or self.isDown()
        painter.setBrush(palette.color("hover" if is_hot else "panel"))
        painter.setPen(QPen(palette.color("focus" if self.hasFocus() else "control_line"), 1))
        painter.drawRoundedRect(self.rect().toRectF().adjusted(0.5, 0.5, -0.5, -0.5), metrics.RADIUS_CARD, metrics.RADIUS_CARD)
        inside = self.rect().adjusted(metrics.SPACE_4, metrics.SPACE_4, -metrics.SPACE_4, -metrics.SPACE_4)
        title_height = sizes.body + 6
        icon_size = sizes.grown(metrics.ICON)
        paint_icon(painter, QRect(inside.left(), inside.top() + (title_height - icon_size) // 2, icon_size, icon_size),
                   self._example.icon_name, self._theme, palette.color("accent"))
        painter.setPen(palette.color("text"))
        painter.setFont(self._theme.text_font(sizes.body, QFont.Weight.Medium))
        left = inside.left() + icon_size + metrics.SPACE_2
        painter.drawText(QRect(left, inside.top(), inside.right() - left, title_height),
                         int(Qt.AlignmentFlag.AlignVCenter), self._title(inside.right() - left))
        font = self._theme.text_font(sizes.caption)
        painter.setFont(font)
        painter.setPen(palette.color("muted"))
        top = inside.top() + title_height + metrics.SPACE_1
        area = QRect(inside.left(), top, inside.width(), inside.bottom() - top + 1)
        painter.drawText(area, 0, _two_lines(self._example.prompt, font, area.width()))
        painter.end()

    def _title(self, width: int) -> str:
        """The title, shortened where it has to be."""
        font = self._theme.text_font(self._theme.sizes.body, QFont.Weight.Medium)
        return str(QFontMetrics(font).elidedText(self._example.title, Qt.TextElideMode.ElideRight, width))


class Welcome(QWidget):
    """Emits the question of the card that was pressed."""

    prompt_chosen = Signal(str)

    def __init__(self, theme: ThemeState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        greeting = label("What would you like to ask?", "heading")
        greeting.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        promise = label("Everything stays on this computer.", "muted")
        promise.setAlignment(Qt.AlignmentFlag.AlignHCenter)
        grid = QGridLayout()
        set_spacing(grid, metrics.SPACE_3)
        self.cards = tuple(ExampleCard(example, theme) for example in EXAMPLES)
        for number, (card, example) in enumerate(zip(self.cards, EXAMPLES, strict=True)):
            card.clicked.connect(lambda _checked=False, prompt=example.prompt: self.prompt_chosen.emit(prompt))
            grid.addWidget(card, number // 2, number % 2)
        column_widget = QWidget()
        column_widget.setMaximumWidth(metrics.READING_WIDTH)
        column_widget.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        column = QVBoxLayout(column_widget)
        set_spacing(column, metrics.SPACE_1)
        column.addStretch(2)
        column.addWidget(greeting)
        column.addWidget(promise)
        column.addSpacing(metrics.SPACE_6)
        column.addLayout(grid)
        column.addStretch(3)
        outer = QHBoxLayout(self)
        set_spacing(outer, 0, (metrics.SPACE_6, metrics.SPACE_6, metrics.SPACE_6, metrics.SPACE_6))
        outer.addStretch(1)
        outer.addWidget(column_widget, 1000)
        outer.addStretch(1)


def _two_lines(text: str, font: QFont, width: int) -> str:
    """`text` broken after its first line, the rest shortened to one line."""
    layout = QTextLayout(text, font)
    layout.beginLayout()
    line = layout.createLine()
    line.setLineWidth(max(1, width))
    n_first = line.textLength()
    layout.endLayout()
    rest = QFontMetrics(font).elidedText(text[n_first:], Qt.TextElideMode.ElideRight, width)
    return f"{text[:n_first].rstrip()}\n{rest}" if rest else text
