"""A block of code: language and Copy on top, the code below without wrapping."""

from __future__ import annotations

from PySide6.QtCore import QSize, Qt, QTimer
from PySide6.QtGui import QFont, QGuiApplication, QResizeEvent, QTextBlockFormat, QTextCursor, QTextOption, QWheelEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QSizePolicy, QTextEdit, QVBoxLayout, QWidget

from localai_app.gui import metrics
from localai_app.gui.chat.highlighting import CodeHighlighter
from localai_app.gui.chat.lexer_finder import LexerFinder
from localai_app.gui.chat.quiet_button import QuietButton
from localai_app.gui.styling import divider, label, set_role, set_spacing
from localai_app.gui.theme import ThemeState, mono_family

COPIED_SHOWN_MS = 1500
MAX_LINE_CHARACTERS = 10_000
"""Longer lines are cut on screen (never in a copy): laying out a line of megabytes would stop the window."""


class CodeBlock(QFrame):
    """Shows one `CodePart`; grows while it streams and gets its colours once it is finished."""

    def __init__(self, theme: ThemeState, lexers: LexerFinder, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._lexers = lexers
        self._code = ""
        self._language = ""
        set_role(self, "well")
        self._language_label = label("code", "caption")
        self._copy = QuietButton("Copy", "copy", theme)
        self._copy.setToolTip("Copy this code")
        self._copy.clicked.connect(self.copy_code)
        self._copied_timer = QTimer(self, singleShot=True, interval=COPIED_SHOWN_MS)
        self._copied_timer.timeout.connect(self._show_copy)
        self._view = CodeView(theme, self)
        self._highlighter = CodeHighlighter(self._view.document(), theme)
        self._head = QWidget()
        head = QHBoxLayout(self._head)
        set_spacing(head, metrics.SPACE_2, (14, 2, 6, 2))
        head.addWidget(self._language_label)
        head.addStretch()
        head.addWidget(self._copy)
        column = QVBoxLayout(self)
        set_spacing(column, 0, (1, 1, 1, 1))
        column.addWidget(self._head)
        column.addWidget(divider())
        column.addWidget(self._view)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    @property
    def code(self) -> str:
        """The code, as it is copied."""
        return self._code

    @property
    def view(self) -> CodeView:
        """The text area."""
        return self._view

    def show_code(self, code: str, language: str, *, is_finished: bool) -> None:
        """Replace the code, cheaply if the new one begins with the old one."""
        if language != self._language or not self._language_label.text():
            self._language = language
            self._language_label.setText(language or "code")
            self._copy.setAccessibleName(f"Copy the {language} code" if language else "Copy the code")
            self._view.setAccessibleName(f"{language or 'Plain'} code")
            self._lexers.prepare(language)
        if code.startswith(self._code):
            self._view.append(code[len(self._code) :])
        else:
            self._view.replace(code)
        self._code = code
        if is_finished and language:
            self._lexers.find(language, self, self._highlighter.start)

    def sizeHint(self) -> QSize:
        """As high as its header and its code."""
        return QSize(200, self._head.sizeHint().height() + 1 + self._view.minimumHeight() + 2)

    def copy_code(self) -> None:
        """Put just this block on the clipboard."""
        QGuiApplication.clipboard().setText(self._code)
        self._copy.setText("Copied")
        self._copied_timer.start()

    def _show_copy(self) -> None:
        self._copy.setText("Copy")


class CodeView(QTextEdit):
    """Fixed-width text as high as its lines, scrolling sideways only."""

    def __init__(self, theme: ThemeState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._line_length = 0
        set_role(self, "plain")
        self.setReadOnly(True)
        self.setUndoRedoEnabled(False)
        self.setAcceptRichText(False)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setFocusPolicy(Qt.FocusPolicy.ClickFocus)
        self.setLineWrapMode(QTextEdit.LineWrapMode.NoWrap)
        self.setWordWrapMode(QTextOption.WrapMode.NoWrap)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAsNeeded)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setAccessibleName("Code")
        self.document().setDocumentMargin(12)
        self.document().documentLayout().documentSizeChanged.connect(self._fit_height)
        self._on_theme_changed()
        theme.changed.connect(self._on_theme_changed)

    def append(self, text: str) -> None:
        """Add text at the end, whatever the cursor of the user does."""
        if not text:
            return
        before = self.textCursor()
        anchor, position, scrolled = before.anchor(), before.position(), self.horizontalScrollBar().value()
        cursor = QTextCursor(self.document())
        cursor.movePosition(QTextCursor.MoveOperation.End)
        cursor.insertText(self._shortened(text))
        before.setPosition(anchor)
        before.setPosition(position, QTextCursor.MoveMode.KeepAnchor)
        self.setTextCursor(before)
        self.horizontalScrollBar().setValue(scrolled)

    def replace(self, text: str) -> None:
        """Show another text."""
        self.clear()
        self._line_length = 0
        QTextCursor(self.document()).setBlockFormat(self._line_format())
        self.append(text)

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Sideways here, up and down in the transcript."""
        if event.angleDelta().x() and not event.angleDelta().y():
            super().wheelEvent(event)
        else:
            event.ignore()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """A scroll bar may come or go."""
        super().resizeEvent(event)
        self._fit_height()

    def sizeHint(self) -> QSize:
        """As wide as it may be."""
        return QSize(100, self.height())

    def minimumSizeHint(self) -> QSize:
        """Any width: it scrolls."""
        return QSize(40, 0)

    def _shortened(self, text: str) -> str:
        """`text` with the ends of endless lines left out."""
        if self._line_length + len(text) <= MAX_LINE_CHARACTERS:
            self._line_length = len(text.rsplit("\n", 1)[-1]) + (0 if "\n" in text else self._line_length)
            return text
        lines = []
        for index, line in enumerate(text.split("\n")):
            room = MAX_LINE_CHARACTERS - (self._line_length if index == 0 else 0)
            self._line_length = len(line) + (self._line_length if index == 0 else 0)
            lines.append(line if len(line) <= room else line[: max(0, room)] + ("…" if room > 0 else ""))
        return "\n".join(lines)

    def _fit_height(self, *_args: object) -> None:
        bar = self.horizontalScrollBar()
        size = self.document().size()
        is_wide = size.width() > self.width() > 0
        height = round(size.height() + 0.49) + (bar.sizeHint().height() if is_wide else 0)
        if height != self.minimumHeight() or height != self.maximumHeight():
            self.setFixedHeight(height)

    def _line_format(self) -> QTextBlockFormat:
        line_format = QTextBlockFormat()
        height = round(self._theme.sizes.code * 1.54)
        line_format.setLineHeight(height, QTextBlockFormat.LineHeightTypes.FixedHeight.value)
        return line_format

    def _on_theme_changed(self) -> None:
        font = QFont(mono_family())
        font.setPixelSize(self._theme.sizes.code)
        font.setStyleHint(QFont.StyleHint.Monospace)
        self.setFont(font)
        self.document().setDefaultFont(font)
        cursor = QTextCursor(self.document())
        cursor.select(QTextCursor.SelectionType.Document)
        cursor.setBlockFormat(self._line_format())
