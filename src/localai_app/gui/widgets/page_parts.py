"""Parts that most pages share: the line on top, and a column of reading width that scrolls."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLayout, QScrollArea, QWidget

from localai_app.gui.metrics import SPACE_3, SPACE_6
from localai_app.gui.styling import label, set_role


def page_toolbar(title: str, *controls: QWidget) -> QFrame:
    """The 56 px line on top of a page: its title, and controls at the right."""
    bar = set_role(QFrame(), "toolbar")
    layout = QHBoxLayout(bar)
    layout.setContentsMargins(SPACE_6, 0, SPACE_6, 0)
    layout.setSpacing(SPACE_3)
    layout.addWidget(label(title, "lead"))
    layout.addStretch(1)
    for control in controls:
        layout.addWidget(control)
    return bar


def centered_column(
    scroll: QScrollArea, content: QLayout, width: int, margins: tuple[int, int, int, int],
) -> None:
    """Fill `scroll` with `content` in a column at most `width` pixels wide, in the middle."""
    column = QWidget()
    column.setMaximumWidth(width)
    content.setContentsMargins(0, 0, 0, 0)
    column.setLayout(content)
    holder = QWidget()
    row = QHBoxLayout(holder)
    row.setContentsMargins(*margins)
    row.addStretch(1)
    row.addWidget(column, 1000)
    row.addStretch(1)
    scroll.setWidgetResizable(True)
    scroll.setFrameShape(QFrame.Shape.NoFrame)
    scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    scroll.setFocusPolicy(Qt.FocusPolicy.NoFocus)
    scroll.setWidget(holder)
