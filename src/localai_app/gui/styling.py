"""Small helpers by which widgets say what they are, so that the style sheet can dress them."""

from __future__ import annotations

from typing import TypeVar

from PySide6.QtCore import QEvent, QObject, QSize, Qt, Slot
from PySide6.QtGui import QAction, QFont, QHelpEvent, QPaintEvent
from PySide6.QtWidgets import (
    QAbstractButton,
    QComboBox,
    QFrame,
    QLabel,
    QLayout,
    QLineEdit,
    QPushButton,
    QSizePolicy,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionComboBox,
    QStylePainter,
    QToolButton,
    QToolTip,
    QWidget,
)

from localai_app.gui.icons import icon
from localai_app.gui.metrics import ICON, TypeSizes
from localai_app.gui.theme import ThemeState

W = TypeVar("W", bound=QWidget)
QUIET_ROLES = frozenset({"tab", "chip"})
"""Buttons that say by their colour that they were pressed: a pointer that presses one leaves the keyboard where it is."""
HEADLINE_ROLES = frozenset({"title", "heading", "name", "lead"})


def set_role(widget: W, role: str) -> W:
    """Give `widget` a role of the style sheet (see `gui.theme`); works at any time. Returns the widget."""
    if role in HEADLINE_ROLES and hasattr(QFont, "setFeature"):
        # Figures of equal width belong into tables; in a headline they look torn apart.
        font = QFont(widget.font())
        font.setFeature(QFont.Tag("tnum"), 0)
        widget.setFont(font)
    return set_style_property(widget, "role", role)


def set_compact(widget: W, compact: bool = True) -> W:
    """Give a button or field less height. Returns the widget."""
    return set_style_property(widget, "compact", compact)


def set_style_property(widget: W, name: str, value: object) -> W:
    """Set a property that the style sheet looks at, and dress the widget anew if it was already shown."""
    if widget.property(name) == value:
        return widget
    widget.setProperty(name, value)
    widget.setAttribute(Qt.WidgetAttribute.WA_StyledBackground, True)
    if widget.testAttribute(Qt.WidgetAttribute.WA_WState_Polished):
        widget.style().unpolish(widget)
        widget.style().polish(widget)
        widget.update()
    return widget


def label(text: str, role: str = "body", *, wrap: bool = False, selectable: bool = False) -> QLabel:
    """A label with a role. Text is shown as it is: markup in it is never read as HTML."""
    result = set_role(QLabel(text), role)
    result.setTextFormat(Qt.TextFormat.PlainText)
    result.setWordWrap(wrap)
    if role.startswith("badge-"):
        result.setSizePolicy(QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Fixed)
    if selectable:
        result.setTextInteractionFlags(
            Qt.TextInteractionFlag.TextSelectableByMouse | Qt.TextInteractionFlag.TextSelectableByKeyboard)
    return result


def button(text: str, role: str = "", *, compact: bool = False) -> QPushButton:
    """A push button with a role; the role "" is an ordinary one."""
    result = QPushButton(text)
    result.setCursor(Qt.CursorShape.PointingHandCursor)
    if role in QUIET_ROLES:
        result.setFocusPolicy(Qt.FocusPolicy.TabFocus)
    if role:
        set_role(result, role)
    if compact:
        set_compact(result)
    return result


def combo_box() -> QComboBox:
    """A closed list; its open list is dressed by the style sheet, which Qt's own item delegates ignore."""
    result = _ClosedList()
    result.setItemDelegate(QStyledItemDelegate(result))
    return result


def icon_button(name: str, accessible_name: str, theme: ThemeState, *, role: str = "icon", size: int = ICON) -> QToolButton:
    """A button that shows only an icon; `accessible_name` is also its tooltip."""
    result = set_role(QToolButton(), role)
    result.setCursor(Qt.CursorShape.PointingHandCursor)
    result.setAccessibleName(accessible_name)
    result.setToolTip(accessible_name)
    set_icon(result, name, theme, size=size)
    return result


def set_icon(target: QAbstractButton, name: str, theme: ThemeState, role: str = "muted", size: int = ICON) -> None:
    """Put an icon on a button; it follows the theme's colours and text size. May be called again with another icon."""
    target.setIcon(icon(name, theme, role, size))
    fitter = target.findChild(_IconFitter, options=Qt.FindChildOption.FindDirectChildrenOnly)
    if fitter is None:
        fitter = _IconFitter(target, theme)
    fitter.fit(size)


def add_clear_button(field: QLineEdit, name: str, theme: ThemeState) -> None:
    """A cross in the field that empties it, drawn like the other icons; `name` is what a screen reader says."""
    field.setClearButtonEnabled(True)
    for action in field.findChildren(QAction):
        action.setIcon(icon("x", theme, "muted", ICON))
    for cross in field.findChildren(QToolButton):
        cross.setAccessibleName(name)


class _ClosedList(QComboBox):
    """Shortens words that it has no room for with an ellipsis, and tells them on hover; Qt cuts them off within a letter."""

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the frame, the arrow and as much of the words as fits."""
        if self.isEditable():
            super().paintEvent(event)
            return
        option = QStyleOptionComboBox()
        self.initStyleOption(option)
        option.currentText = self._shown_text(option)
        painter = QStylePainter(self)
        painter.drawComplexControl(QStyle.ComplexControl.CC_ComboBox, option)
        painter.drawControl(QStyle.ControlElement.CE_ComboBoxLabel, option)
        painter.end()

    def event(self, event: QEvent) -> bool:
        """Before its own help, tell the words where they are shortened."""
        if isinstance(event, QHelpEvent) and event.type() == QEvent.Type.ToolTip and not self.isEditable():
            option = QStyleOptionComboBox()
            self.initStyleOption(option)
            whole = self.currentText()
            if self._shown_text(option) != whole:
                QToolTip.showText(event.globalPos(), "\n".join(filter(None, (whole, self.toolTip()))), self)
                return True
        return super().event(event)

    def _shown_text(self, option: QStyleOptionComboBox) -> str:
        room = self.style().subControlRect(
            QStyle.ComplexControl.CC_ComboBox, option, QStyle.SubControl.SC_ComboBoxEditField, self)
        return self.fontMetrics().elidedText(self.currentText(), Qt.TextElideMode.ElideRight, room.width())


class _IconFitter(QObject):
    """Keeps a button's icon as large as its text asks for, as long as the button lives."""

    def __init__(self, target: QAbstractButton, theme: ThemeState) -> None:
        super().__init__(target)
        self._target, self._theme, self._size = target, theme, ICON
        theme.changed.connect(self._on_theme_changed)

    def fit(self, size: int) -> None:
        """Take another size, in pixels at the normal text size."""
        self._size = size
        self._on_theme_changed()

    @Slot()
    def _on_theme_changed(self) -> None:
        growth = max(1.0, self._theme.sizes.body / TypeSizes().body)
        self._target.setIconSize(icon_size(round(self._size * growth)))
        self._target.update()


def icon_size(size: int) -> QSize:
    """A square of `size` pixels."""
    return QSize(size, size)


def divider(*, vertical: bool = False) -> QFrame:
    """A line between two areas."""
    line = set_role(QFrame(), "divider")
    if vertical:
        line.setFixedWidth(1)
    else:
        line.setFixedHeight(1)
    return line


def set_spacing(layout: QLayout, spacing: int, margins: tuple[int, int, int, int] = (0, 0, 0, 0)) -> None:
    """Spacing and margins (left, top, right, bottom) of a layout in one call."""
    layout.setSpacing(spacing)
    layout.setContentsMargins(*margins)
