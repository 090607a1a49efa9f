"""Finds every text that a window says in any way, and the places in which a secret stands in one of them."""

from __future__ import annotations

from collections.abc import Iterator

from PySide6.QtCore import QAbstractItemModel, QAbstractListModel, QModelIndex, QPoint, Qt
from PySide6.QtGui import QAccessible, QHelpEvent
from PySide6.QtWidgets import QAbstractItemView, QApplication, QComboBox, QLineEdit, QToolTip, QWidget

from tests.helpers.real_window import text_of

ROLES = (*range(32), *range(Qt.ItemDataRole.UserRole, Qt.ItemDataRole.UserRole + 16))
"""Qt's own, and those of a model."""
SPOKEN = (QAccessible.Text.Name, QAccessible.Text.Description, QAccessible.Text.Value, QAccessible.Text.Help)


def texts_of_windows(app: QApplication, *, without: frozenset[str] = frozenset()) -> Iterator[tuple[str, str]]:
    """(place, text) of every visible window and all visible widgets in it; `without`: accessible names of those left out."""
    for window in app.topLevelWidgets():
        if not window.isVisible():
            continue
        for widget in (window, *window.findChildren(QWidget)):
            if widget.isVisible() and widget.accessibleName() not in without:
                yield from ((f"{type(widget).__name__} {place}", text) for place, text in texts_of(widget) if text)


def texts_of(widget: QWidget) -> Iterator[tuple[str, str]]:
    """(kind, text) of one widget: seen, spoken, shown on hover, or held by what it shows."""
    yield "text", text_of(widget)
    yield "tooltip", widget.toolTip()
    yield "hover", hovered(widget)
    yield "status tip", widget.statusTip()
    yield "what's this", widget.whatsThis()
    yield "accessible name", widget.accessibleName()
    yield "accessible description", widget.accessibleDescription()
    yield "window title", widget.windowTitle()
    yield "window path", widget.windowFilePath()
    yield "object name", widget.objectName()
    spoken = QAccessible.queryAccessibleInterface(widget)
    if spoken is not None:
        yield from (("spoken", spoken.text(kind)) for kind in SPOKEN)
    for action in widget.actions():
        yield from (("action", text) for text in (action.text(), action.toolTip(), action.statusTip(), str(action.data())))
    if isinstance(widget, QLineEdit):
        yield "placeholder", widget.placeholderText()
    if isinstance(widget, QComboBox):
        yield from (("choice", text) for text in texts_of_model(widget.model()))
    if isinstance(widget, QAbstractItemView):
        yield from (("item", text) for text in texts_of_model(widget.model()))


def hovered(widget: QWidget) -> str:
    """What a widget that finds its tooltip itself shows in its middle."""
    if widget.toolTip() or type(widget).event is QWidget.event:
        return ""
    middle = QPoint(widget.width() // 2, widget.height() // 2)
    QToolTip.hideText()
    QApplication.sendEvent(widget, QHelpEvent(QHelpEvent.Type.ToolTip, middle, widget.mapToGlobal(middle)))
    return str(QToolTip.text()) if QToolTip.isVisible() else ""


def texts_of_model(model: QAbstractItemModel | None, parent: QModelIndex | None = None) -> Iterator[str]:
    """Data of every index in every role, headers included; of a record all of its fields."""
    if model is None:
        return
    above = parent if parent is not None else QModelIndex()
    columns = 1 if isinstance(model, QAbstractListModel) else model.columnCount(above)
    for row in range(model.rowCount(above)):
        for column in range(columns):
            index = model.index(row, column, above)
            yield from _said(index.data(role) for role in ROLES)
            if index.isValid() and not isinstance(model, QAbstractListModel):
                yield from texts_of_model(model, index)
    for column in range(columns):
        yield from _said(model.headerData(column, Qt.Orientation.Horizontal, role) for role in ROLES)


def leaks(said: Iterator[tuple[str, str]] | list[tuple[str, str]], secrets: set[str]) -> list[str]:
    """Where which secret stands, case aside, in words for the report of a test."""
    found = []
    for place, text in said:
        folded = text.casefold()
        found += [f"{place}: {secret!r} in {text[:160]!r}" for secret in secrets if secret.casefold() in folded]
    return found


def _said(values: Iterator[object]) -> Iterator[str]:
    yield from (value if isinstance(value, str) else repr(value) for value in values if value is not None)
