"""One control for each kind of setting. Each edits a value and says when the user has decided on another one."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QSize, QTimer, Signal
from PySide6.QtGui import QFocusEvent, QHideEvent
from PySide6.QtWidgets import (
    QFileDialog,
    QHBoxLayout,
    QLineEdit,
    QPlainTextEdit,
    QSpinBox,
    QWidget,
)

from localai_app.gui.metrics import SPACE_2
from localai_app.gui.settings.spin_boxes import OpenDoubleSpinBox, OpenSpinBox
from localai_app.gui.styling import button, combo_box, set_style_property
from localai_app.gui.theme import ThemeState
from localai_app.gui.widgets.switch import Switch
from localai_app.gui.widgets.wheel_guard import ignore_wheel_unless_focused
from localai_app.settings.declaration import Kind, SettingSpec, SettingValue
from localai_app.units import GIB, format_gib

CONTROL_WIDTH = 264
DECIMALS = 2
TYPING_PAUSE_MS = 600


class Editor(QWidget):
    """A control with a value. `decided` carries the value that the user chose; it may still be refused."""

    decided = Signal(object)

    def __init__(self, spec: SettingSpec) -> None:
        super().__init__()
        self.spec = spec
        self._layout = QHBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._layout.setSpacing(SPACE_2)

    def show_value(self, value: SettingValue) -> None:
        """Show a value without announcing it."""
        self._show(value)

    @property
    def control(self) -> QWidget:
        """The widget that takes the keyboard's focus."""
        return self._control()

    def mark_invalid(self, is_invalid: bool) -> None:
        """Show whether what stands here was refused."""
        set_style_property(self.control, "invalid", is_invalid)

    def _show(self, value: SettingValue) -> None:
        raise NotImplementedError

    def _control(self) -> QWidget:
        raise NotImplementedError


class ChoiceEditor(Editor):
    """One of a few values."""

    def __init__(self, spec: SettingSpec) -> None:
        super().__init__(spec)
        self._box = combo_box()
        for choice in spec.choices:
            self._box.addItem(choice.label, choice.value)
        self._box.setMinimumWidth(CONTROL_WIDTH)
        self._box.activated.connect(lambda _index: self.decided.emit(self._box.currentData()))
        ignore_wheel_unless_focused(self._box)
        self._layout.addWidget(self._box)

    def _show(self, value: SettingValue) -> None:
        self._box.setCurrentIndex(self._box.findData(value))

    def _control(self) -> QWidget:
        return self._box


class NumberEditor(Editor):
    """A whole number or one with decimals; a special value is shown in words."""

    def __init__(self, spec: SettingSpec) -> None:
        super().__init__(spec)
        self._box: OpenSpinBox | OpenDoubleSpinBox
        self._scale = GIB if spec.kind is Kind.MEMORY else 1
        if spec.kind is Kind.INTEGER:
            self._box = whole = OpenSpinBox()
            whole.setRange(int(spec.minimum or 0), int(2**31 - 1 if spec.maximum is None else spec.maximum))
            whole.setSingleStep(_step(spec))
            whole.setGroupSeparatorShown(True)
        else:
            self._box = decimal = OpenDoubleSpinBox()
            decimal.setRange(
                float(spec.minimum or 0.0) / self._scale, float(1e9 if spec.maximum is None else spec.maximum) / self._scale)
            decimal.setSingleStep(0.5 if spec.kind is Kind.MEMORY else 0.1)
            decimal.setDecimals(DECIMALS)
        if spec.unit:
            self._box.setSuffix(_unit_words(spec))
        if special := special_words(spec):
            self._box.setSpecialValueText(special)
        self._box.setMinimumWidth(CONTROL_WIDTH)
        self._box.setKeyboardTracking(False)
        # The style sheet's padding does not reach the line inside a spin box.
        self._box.lineEdit().setTextMargins(SPACE_2 + 1, 0, 0, 0)
        self._box.valueChanged.connect(self._on_value_changed)
        self._box.refused.connect(lambda text: self.decided.emit(
            int(text) * self._scale if text.lstrip("-").isdigit() else float(text) * self._scale))
        ignore_wheel_unless_focused(self._box)
        self._layout.addWidget(self._box)

    def _show(self, value: SettingValue) -> None:
        self._box.blockSignals(True)
        if isinstance(self._box, QSpinBox):
            self._box.setValue(int(value))
        else:
            self._box.setValue(float(value) / self._scale)
        self._box.blockSignals(False)

    def _control(self) -> QWidget:
        return self._box

    def _on_value_changed(self, value: float) -> None:
        if self.spec.kind is Kind.MEMORY:
            self.decided.emit(round(value * self._scale))
        else:
            self.decided.emit(int(value) if self.spec.kind is Kind.INTEGER else float(value))


class SwitchEditor(Editor):
    """On or off."""

    def __init__(self, spec: SettingSpec, theme: ThemeState) -> None:
        super().__init__(spec)
        self._switch = Switch(theme)
        self._switch.clicked.connect(lambda: self.decided.emit(self._switch.isChecked()))
        self._layout.addStretch(1)
        self._layout.addWidget(self._switch)

    def _show(self, value: SettingValue) -> None:
        self._switch.setChecked(bool(value))

    def _control(self) -> QWidget:
        return self._switch


class LineEditor(Editor):
    """One line of text; decided with Enter or by leaving the field."""

    def __init__(self, spec: SettingSpec) -> None:
        super().__init__(spec)
        self._field = QLineEdit()
        self._field.setMinimumWidth(CONTROL_WIDTH)
        self._field.editingFinished.connect(self._on_editing_finished)
        self._shown = ""
        self._layout.addWidget(self._field)

    def _show(self, value: SettingValue) -> None:
        self._shown = str(value)
        self._field.setText(self._shown)
        # What is longer than the field is read from its beginning.
        self._field.setCursorPosition(0)

    def set_placeholder(self, text: str) -> None:
        """What is in force while the field is empty."""
        self._field.setPlaceholderText(text)

    def _control(self) -> QWidget:
        return self._field

    def _on_editing_finished(self) -> None:
        text = self._field.text().strip()
        if text != self._shown:
            self._shown = text
            self.decided.emit(text)


class FolderEditor(LineEditor):
    """A folder, typed or chosen."""

    def __init__(self, spec: SettingSpec) -> None:
        super().__init__(spec)
        self.choose_button = button("Choose…")
        self.choose_button.setAccessibleName(f"Choose the {spec.label.lower()}")
        self.choose_button.clicked.connect(self._on_choose_clicked)
        self._layout.addWidget(self.choose_button)

    def _on_choose_clicked(self) -> None:
        start = str(Path(self._field.text() or self._field.placeholderText()).expanduser())
        folder = QFileDialog.getExistingDirectory(self, self.spec.label, start)
        if folder:
            self._field.setText(folder)
            self._on_editing_finished()


class LongTextEditor(Editor):
    """Several lines of text; decided after a pause in typing or by leaving the field."""

    def __init__(self, spec: SettingSpec) -> None:
        super().__init__(spec)
        self._field = _FocusTextEdit()
        self._field.setTabChangesFocus(True)
        self._field.setFixedHeight(96)
        self._pause = QTimer(self)
        self._pause.setSingleShot(True)
        self._pause.setInterval(TYPING_PAUSE_MS)
        self._pause.timeout.connect(self._decide)
        self._shown = ""
        self._field.textChanged.connect(self._on_text_changed)
        self._field.focus_left.connect(self._decide)
        self._layout.addWidget(self._field)

    def _show(self, value: SettingValue) -> None:
        self._shown = str(value)
        if self._field.toPlainText() != self._shown:
            self._field.setPlainText(self._shown)

    def _control(self) -> QWidget:
        return self._field

    def _on_text_changed(self) -> None:
        if self._field.toPlainText() != self._shown:
            self._pause.start()

    def _decide(self) -> None:
        self._pause.stop()
        text = self._field.toPlainText()
        if text != self._shown:
            self._shown = text
            self.decided.emit(text)


class _FocusTextEdit(QPlainTextEdit):
    focus_left = Signal()

    def focusOutEvent(self, event: QFocusEvent) -> None:
        super().focusOutEvent(event)
        self.focus_left.emit()

    def hideEvent(self, event: QHideEvent) -> None:
        super().hideEvent(event)
        self.focus_left.emit()

    def sizeHint(self) -> QSize:
        return QSize(CONTROL_WIDTH, 96)


def make_editor(spec: SettingSpec, theme: ThemeState) -> Editor:
    """The control for a setting, named after it for screen readers."""
    match spec.kind:
        case Kind.CHOICE:
            editor: Editor = ChoiceEditor(spec)
        case Kind.INTEGER | Kind.NUMBER | Kind.MEMORY:
            editor = NumberEditor(spec)
        case Kind.SWITCH:
            editor = SwitchEditor(spec, theme)
        case Kind.FOLDER:
            editor = FolderEditor(spec)
        case Kind.LONG_TEXT:
            editor = LongTextEditor(spec)
        case Kind.TEXT | Kind.URL | Kind.ADDRESS | Kind.ADDRESSES:
            editor = LineEditor(spec)
    editor.control.setAccessibleName(spec.label)
    editor.control.setAccessibleDescription(spec.help)
    return editor


def value_words(spec: SettingSpec, value: SettingValue) -> str:
    """A value as the page shows it."""
    if spec.kind is Kind.CHOICE:
        return next((choice.label for choice in spec.choices if choice.value == value), str(value))
    if spec.kind is Kind.SWITCH:
        return "on" if value else "off"
    if isinstance(value, str):
        return value or "empty"
    if value == spec.minimum and special_words(spec):
        return special_words(spec)
    if spec.kind is Kind.MEMORY:
        return format_gib(int(value))
    number = f"{value:.{DECIMALS}f}" if spec.kind is Kind.NUMBER else f"{value:,}"
    return f"{number}{_unit_words(spec)}"


def _unit_words(spec: SettingSpec) -> str:
    """A unit as it stands behind a figure."""
    return "%" if spec.unit == "%" else f" {spec.unit}" if spec.unit else ""


def special_words(spec: SettingSpec) -> str:
    """What the lowest value of a number stands for, where it is no number: 0 as declared, -1 is automatic."""
    if spec.minimum == 0 and spec.zero_means:
        return spec.zero_means
    return "Automatic" if spec.minimum == -1 else ""


def _step(spec: SettingSpec) -> int:
    if spec.maximum is not None and spec.maximum > 100_000:
        return 1024
    return 5 if spec.unit == "%" else 1
