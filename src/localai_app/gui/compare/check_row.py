"""One check of a prompt, to be chosen and filled in without writing JSON."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from PySide6.QtCore import Signal, Slot
from PySide6.QtWidgets import QCheckBox, QHBoxLayout, QLineEdit, QVBoxLayout, QWidget

from localai_app.compare.answer_numbers import last_number
from localai_app.compare.checking import check_problem
from localai_app.compare.checks import Check, ContainsCheck, ExactCheck, NumberCheck, PatternCheck, SchemaCheck
from localai_app.compare.prompt_records import SEPARATOR
from localai_app.compare.schema_fields import fields_of_schema, schema_of_fields
from localai_app.gui.metrics import SPACE_1, SPACE_2
from localai_app.gui.styling import combo_box, icon_button, label, set_compact, set_spacing, set_style_property
from localai_app.gui.theme import ThemeState
from localai_app.gui.widgets.wheel_guard import ignore_wheel_unless_focused

CONTAINS, EXACT, NUMBER, PATTERN, NOT_PATTERN, FIELDS, SCHEMA = (
    "contains", "exact", "number", "pattern", "not_pattern", "fields", "schema")
TOLERANCE_WIDTH = 96


@dataclass(frozen=True, slots=True)
class _Kind:
    title: str
    hint: str
    has_case: bool = False


KINDS = {
    CONTAINS: _Kind("Contains", f"A text; several with {SEPARATOR} between them", has_case=True),
    EXACT: _Kind("Is exactly", "The whole answer", has_case=True),
    NUMBER: _Kind("Last number is", "A number such as 12.5"),
    PATTERN: _Kind("Matches pattern", "A regular expression"),
    NOT_PATTERN: _Kind("Does not match", "A regular expression"),
    FIELDS: _Kind("Is JSON with fields", "city: text, population: whole number"),
    SCHEMA: _Kind("Follows JSON Schema", "A JSON Schema"),
}


class CheckRow(QWidget):
    """`edited` after each change by the user, `remove_requested` by its cross."""

    edited = Signal()
    remove_requested = Signal()

    def __init__(self, theme: ThemeState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.kind = combo_box()
        self.kind.setAccessibleName("Kind of check")
        for name, kind in KINDS.items():
            self.kind.addItem(kind.title, name)
        ignore_wheel_unless_focused(self.kind)
        self.field = set_compact(QLineEdit())
        self.tolerance = set_compact(QLineEdit())
        self.tolerance.setPlaceholderText("± 0")
        self.tolerance.setAccessibleName("Tolerance")
        self.tolerance.setToolTip("How far the number may be off")
        self.tolerance.setFixedWidth(TOLERANCE_WIDTH)
        self.case = QCheckBox("Case matters")
        self.remove_button = icon_button("x", "Remove this check", theme)
        self._problem = label("", "caption-bad", wrap=True)
        self._shown: tuple[object, Check | None] = (None, None)
        self._problem.hide()
        row = QHBoxLayout()
        set_spacing(row, SPACE_2)
        for part in (self.kind, self.field, self.tolerance, self.case, self.remove_button):
            row.addWidget(part, 1 if part is self.field else 0)
        layout = QVBoxLayout(self)
        set_spacing(layout, SPACE_1)
        layout.addLayout(row)
        layout.addWidget(self._problem)
        self.kind.currentIndexChanged.connect(self._on_kind_changed)
        for field in (self.field, self.tolerance):
            field.textEdited.connect(self._on_edited)
        self.case.clicked.connect(self._on_edited)
        self.remove_button.clicked.connect(self.remove_requested)
        self._dress()

    @property
    def problem(self) -> str:
        """Why there is no check of this yet, in words; empty where there is."""
        return self._made()[1]

    @property
    def check(self) -> Check | None:
        """The check as it stands; None where something is missing or wrong."""
        return self._made()[0]

    def show_check(self, check: Check) -> None:
        """Show a check without announcing it."""
        kind, text = _shown(check)
        for part in (self.kind, self.case):
            part.blockSignals(True)
        self.kind.setCurrentIndex(self.kind.findData(kind))
        self.case.setChecked(isinstance(check, ExactCheck | ContainsCheck) and check.case_matters)
        for part in (self.kind, self.case):
            part.blockSignals(False)
        self.field.setText(text)
        self.field.setCursorPosition(0)
        self.tolerance.setText(f"{check.tolerance:.12g}" if isinstance(check, NumberCheck) and check.tolerance else "")
        self._shown = self._typed(), check
        self._dress()

    def _typed(self) -> tuple[object, ...]:
        return self.kind.currentData(), self.field.text(), self.tolerance.text(), self.case.isChecked()

    def _made(self) -> tuple[Check | None, str]:
        typed, check = self._shown
        if check is not None and typed == self._typed():
            # A text with a separator in it, for one, would not survive being read from its field.
            return check, check_problem(check)
        try:
            check = _MAKERS[self.kind.currentData()](self)
        except ValueError as error:
            return None, str(error)
        problem = check_problem(check)
        return (None, problem) if problem else (check, "")

    def _dress(self) -> None:
        """Show what belongs to the kind, and what is wrong."""
        name = self.kind.currentData()
        self.field.setPlaceholderText(KINDS[name].hint)
        self.field.setAccessibleName(KINDS[name].title)
        self.field.setToolTip(KINDS[name].hint)
        self.case.setVisible(KINDS[name].has_case)
        self.tolerance.setVisible(name == NUMBER)
        problem = self.problem if self.field.text().strip() else ""
        self._problem.setText(problem)
        self._problem.setVisible(bool(problem))
        set_style_property(self.field, "invalid", bool(problem))

    @Slot()
    def _on_kind_changed(self) -> None:
        self._dress()
        self.edited.emit()

    @Slot()
    def _on_edited(self) -> None:
        self._dress()
        self.edited.emit()


def _number(text: str, otherwise: float | None = None) -> float:
    if not text.strip() and otherwise is not None:
        return otherwise
    try:
        return float(text)
    except ValueError:
        found = last_number(text)
        if found is None or len(found[1]) != 1 or found[0] != text.strip():
            raise ValueError("Write a number such as 12.5.") from None
        return found[1][0]


_MAKERS: dict[str, Callable[[CheckRow], Check]] = {
    CONTAINS: lambda row: ContainsCheck(
        texts=tuple(part.strip() for part in row.field.text().split(SEPARATOR)), case_matters=row.case.isChecked()),
    EXACT: lambda row: ExactCheck(text=row.field.text().strip(), case_matters=row.case.isChecked()),
    NUMBER: lambda row: NumberCheck(value=_number(row.field.text()), tolerance=_number(row.tolerance.text(), 0.0)),
    PATTERN: lambda row: PatternCheck(pattern=row.field.text()),
    NOT_PATTERN: lambda row: PatternCheck(pattern=row.field.text(), is_absent=True),
    FIELDS: lambda row: SchemaCheck(json_schema=schema_of_fields(row.field.text())),
    SCHEMA: lambda row: SchemaCheck(json_schema=row.field.text()),
}


def _shown(check: Check) -> tuple[str, str]:
    """The kind of a check and the text of its field."""
    match check:
        case ExactCheck():
            return EXACT, check.text
        case ContainsCheck():
            return CONTAINS, f" {SEPARATOR} ".join(check.texts)
        case PatternCheck():
            return (NOT_PATTERN if check.is_absent else PATTERN), check.pattern
        case NumberCheck():
            return NUMBER, f"{check.value:.12g}"
        case SchemaCheck():
            fields = fields_of_schema(check.json_schema)
            return (SCHEMA, check.json_schema) if fields is None else (FIELDS, fields)
