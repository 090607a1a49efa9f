"""The shape that answers are held to: none, a JSON schema or a grammar, checked while it is written."""

from __future__ import annotations

import json

from PySide6.QtCore import QTimer, Signal
from PySide6.QtWidgets import QPlainTextEdit, QVBoxLayout, QWidget

from localai_app.engine.grammar import GrammarError, parse_grammar
from localai_app.gui.metrics import SPACE_2
from localai_app.gui.styling import combo_box, label, set_role, set_spacing
from localai_app.gui.widgets.wheel_guard import ignore_wheel_unless_focused

FREE, SCHEMA, GRAMMAR = "free", "schema", "grammar"
HINT = "Holds from the first word of each answer; the model does not think before it."
CHECK_DELAY_MS = 400
TEXT_HEIGHT = 160
EXAMPLES = {
    SCHEMA: '{"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}',
    GRAMMAR: 'root ::= "yes" | "no"',
}


class ShapeField(QWidget):
    """`changed` has a schema and a grammar, of which at most one is not empty; a text with a mistake is not announced."""

    changed = Signal(str, str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.kind_box = combo_box()
        self.kind_box.setAccessibleName("Shape of the answer")
        for kind, words in ((FREE, "Free text"), (SCHEMA, "JSON by a schema"), (GRAMMAR, "By a grammar (GBNF)")):
            self.kind_box.addItem(words, kind)
        self.kind_box.activated.connect(self._on_kind_chosen)
        ignore_wheel_unless_focused(self.kind_box)
        self.text = set_role(QPlainTextEdit(), "code")
        self.text.setFixedHeight(TEXT_HEIGHT)
        self.text.setTabChangesFocus(True)
        self.text.textChanged.connect(self._on_text_changed)
        self.note = label("", "caption", wrap=True)
        self._timer = QTimer(self, singleShot=True, interval=CHECK_DELAY_MS)
        self._timer.timeout.connect(self.check)
        column = QVBoxLayout(self)
        set_spacing(column, SPACE_2)
        for part in (self.kind_box, self.text, self.note):
            column.addWidget(part)
        self._used = ("", "")
        self.show_shape("", "")

    @property
    def kind(self) -> str:
        """free, schema or grammar."""
        return str(self.kind_box.currentData())

    def show_shape(self, schema: str, grammar: str) -> None:
        """Show what is set, without announcing it. A text that is still being written stays, if nothing else is set now."""
        text = self.text.toPlainText()
        is_being_written = self.kind != FREE and (not text.strip() or text != "".join(self._used))
        if is_being_written and (schema, grammar) == self._used:
            return
        self._timer.stop()
        self._used = (schema, grammar)
        self.kind_box.setCurrentIndex(self.kind_box.findData(SCHEMA if schema else GRAMMAR if grammar else FREE))
        self.text.blockSignals(True)
        if self.text.toPlainText() != (schema or grammar):
            self.text.setPlainText(schema or grammar)
        self.text.blockSignals(False)
        self._follow_kind()
        self._say(HINT if self.kind != FREE else "")

    def forget(self) -> None:
        """What is being written belongs to a chat that is no longer shown."""
        self.kind_box.setCurrentIndex(self.kind_box.findData(FREE))
        self.show_shape("", "")

    def check(self) -> None:
        """Announce the text, or say what is wrong with it."""
        self._timer.stop()
        text = self.text.toPlainText()
        if self.kind == FREE or not text.strip():
            self._say(HINT if self.kind != FREE else "")
            self._announce("", "")
            return
        problem = shape_problem(self.kind, text)
        self._say(f"Not used yet: {problem}." if problem else HINT, is_bad=bool(problem))
        if not problem:
            self._announce(*((text, "") if self.kind == SCHEMA else ("", text)))

    def _announce(self, schema: str, grammar: str) -> None:
        self._used = (schema, grammar)
        self.changed.emit(schema, grammar)

    def _on_kind_chosen(self, _index: int) -> None:
        self._follow_kind()
        self.check()

    def _on_text_changed(self) -> None:
        self._timer.start()

    def _follow_kind(self) -> None:
        has_text = self.kind != FREE
        self.text.setVisible(has_text)
        self.text.setAccessibleName("JSON schema" if self.kind == SCHEMA else "Grammar")
        self.text.setPlaceholderText(EXAMPLES.get(self.kind, ""))

    def _say(self, words: str, *, is_bad: bool = False) -> None:
        set_role(self.note, "caption-bad" if is_bad else "caption")
        self.note.setText(words)
        self.note.setVisible(bool(words))


def shape_problem(kind: str, text: str) -> str:
    """What is wrong with a schema or a grammar as far as it can be said without the engine; empty if nothing is."""
    if kind == GRAMMAR:
        try:
            parse_grammar(text)
        except GrammarError as error:
            return str(error)
        return ""
    try:
        schema = json.loads(text)
    except json.JSONDecodeError as error:
        return f"line {error.lineno}: it is not valid JSON ({error.msg})"
    except RecursionError:
        return "it is nested too deeply"
    return "" if isinstance(schema, dict) else "a schema is an object in braces"
