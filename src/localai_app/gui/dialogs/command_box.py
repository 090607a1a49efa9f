"""The command box (Ctrl+K): type a few letters of what to do."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from PySide6.QtCore import QEvent, QModelIndex, QObject, QPersistentModelIndex, Qt
from PySide6.QtGui import QFontMetrics, QIcon, QKeyEvent, QPainter
from PySide6.QtWidgets import (
    QDialog,
    QFrame,
    QLineEdit,
    QListWidget,
    QListWidgetItem,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QVBoxLayout,
    QWidget,
)

from localai_app.gui.icons import icon
from localai_app.gui.metrics import ICON, SPACE_2, SPACE_3, SPACE_4, TypeSizes
from localai_app.gui.styling import divider, icon_size, set_role
from localai_app.gui.theme import ThemeState

BOX_WIDTH = 560
ROWS_SHOWN = 9
FROM_TOP = 96
DETAIL_ROLE = Qt.ItemDataRole.UserRole


@dataclass(frozen=True, slots=True)
class BoxCommand:
    """Something to do. `keywords` are found as well but not shown; `detail` stands at the right."""

    title: str
    group: str
    icon_name: str
    run: Callable[[], None]
    keywords: str = ""
    detail: str = ""


def matching(commands: Sequence[BoxCommand], text: str) -> list[BoxCommand]:
    """Commands in which every typed word occurs; titles that begin with the text come first, then the given order."""
    words = text.lower().split()
    found = [command for command in commands
             if all(word in f"{command.title} {command.group} {command.keywords}".lower() for word in words)]
    start = text.strip().lower()
    return sorted(found, key=lambda command: not command.title.lower().startswith(start)) if start else found


class _DetailDelegate(QStyledItemDelegate):
    """A row with muted words at its right."""

    def __init__(self, theme: ThemeState, parent: QWidget) -> None:
        super().__init__(parent)
        self._theme = theme

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex) -> None:
        detail = str(index.data(DETAIL_ROLE) or "")
        font = self._theme.text_font(self._theme.sizes.caption)
        room = QFontMetrics(font).horizontalAdvance(detail) + SPACE_4 if detail else 0
        background = QStyleOptionViewItem(option)
        self.initStyleOption(background, index)
        background.text, background.icon = "", QIcon()
        style = option.widget.style()
        style.drawControl(QStyle.ControlElement.CE_ItemViewItem, background, painter, option.widget)
        narrower = QStyleOptionViewItem(option)
        narrower.rect = option.rect.adjusted(0, 0, -room, 0)
        super().paint(painter, narrower, index)
        if detail:
            painter.save()
            painter.setFont(font)
            painter.setPen(self._theme.palette.color("muted"))
            at_right = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
            painter.drawText(option.rect.adjusted(0, 0, -SPACE_3, 0), int(at_right), detail)
            painter.restore()


class CommandBox(QDialog):
    """A line to type in and the commands that match; arrows choose, Enter runs, Escape closes."""

    def __init__(
        self, commands: Sequence[BoxCommand], theme: ThemeState, parent: QWidget | None = None, *,
        title: str = "Command box", placeholder: str = "Go to a page, switch the model, change a setting…",
    ) -> None:
        super().__init__(parent, Qt.WindowType.Popup | Qt.WindowType.FramelessWindowHint)
        self._commands = tuple(commands)
        self._theme = theme
        self._shown: list[BoxCommand] = []
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setAttribute(Qt.WidgetAttribute.WA_TranslucentBackground)
        growth = max(1.0, theme.sizes.body / TypeSizes().body)
        self.setFixedWidth(min(round(BOX_WIDTH * growth), parent.width() - 2 * SPACE_2 if parent is not None else BOX_WIDTH))
        self.setWindowTitle(title)
        frame = set_role(QFrame(self), "popup")
        self.field = set_role(QLineEdit(), "plain")
        self.field.setPlaceholderText(placeholder)
        self.field.setAccessibleName("Command")
        self.field.setContentsMargins(SPACE_2, SPACE_2, SPACE_2, SPACE_2)
        self.field.textChanged.connect(self._on_text_changed)
        self.field.returnPressed.connect(self._run_selected)
        self.field.installEventFilter(self)
        self.list = set_role(QListWidget(), "list")
        self.list.setAccessibleName("Commands")
        self.list.setIconSize(icon_size(ICON))
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.list.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.list.setItemDelegate(_DetailDelegate(theme, self.list))
        self.list.itemClicked.connect(self._run_selected)
        outer = QVBoxLayout(self)
        outer.setContentsMargins(0, 0, 0, 0)
        outer.addWidget(frame)
        layout = self._column = QVBoxLayout(frame)
        layout.setContentsMargins(SPACE_2, SPACE_2, SPACE_2, SPACE_2)
        layout.setSpacing(SPACE_2)
        layout.addWidget(self.field)
        layout.addWidget(divider())
        layout.addWidget(self.list)
        self._on_text_changed("")

    def open_over(self, window: QWidget) -> None:
        """Show near the top of `window`, with the cursor in the line."""
        corner = window.mapToGlobal(window.rect().topLeft())
        self.move(corner.x() + (window.width() - self.width()) // 2, corner.y() + FROM_TOP)
        self.show()
        self.field.setFocus()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Let the arrow keys choose in the list while the cursor stays in the line."""
        if isinstance(event, QKeyEvent) and event.type() == QEvent.Type.KeyPress:
            step = {Qt.Key.Key_Down: 1, Qt.Key.Key_Up: -1}.get(Qt.Key(event.key()), 0)
            if step and self.list.count():
                self.list.setCurrentRow((self.list.currentRow() + step) % self.list.count())
                return True
        return super().eventFilter(watched, event)

    def _on_text_changed(self, text: str) -> None:
        self._shown = matching(self._commands, text)
        self.list.clear()
        for command in self._shown:
            item = QListWidgetItem(icon(command.icon_name, self._theme, "muted", ICON), f"{command.title}")
            item.setToolTip(command.group)
            words = f"{command.group}: {command.title}"
            item.setData(Qt.ItemDataRole.AccessibleTextRole, f"{words}, {command.detail}" if command.detail else words)
            item.setData(DETAIL_ROLE, command.detail)
            self.list.addItem(item)
        if not self._shown:
            nothing = QListWidgetItem("Nothing is called like this")
            nothing.setFlags(Qt.ItemFlag.NoItemFlags)
            self.list.addItem(nothing)
        self.list.setCurrentRow(0 if self._shown else -1)
        row_height = max(self.list.sizeHintForRow(0), 32)
        self.list.setFixedHeight(row_height * min(ROWS_SHOWN, self.list.count()) + 2)
        # Qt would take the height that the list had before, and what is too much would push the line down.
        self._column.activate()
        self.adjustSize()

    def _run_selected(self) -> None:
        row = self.list.currentRow()
        if 0 <= row < len(self._shown):
            command = self._shown[row]
            self.close()
            command.run()
