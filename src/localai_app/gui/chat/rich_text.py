"""A piece of rich text as high as its content, that never loads anything and never scrolls by itself."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import QSize, Qt, QUrl
from PySide6.QtGui import QResizeEvent, QTextBlockFormat, QTextCursor, QTextOption, QWheelEvent
from PySide6.QtWidgets import QFrame, QSizePolicy, QTextBrowser, QWidget

from localai_app.gui.styling import set_role
from localai_app.gui.theme import Palette, ThemeState, mono_family

LIST_INDENT = 22
LINE_HEIGHT_PERCENT = 120
PARAGRAPH_GAP = 10
"""Between paragraphs, whether they share a document or not, so that nothing moves when a paragraph is finished."""


class RichTextView(QTextBrowser):
    """Shows the HTML of `markdown_html`. Links are announced by `anchorClicked` and never followed."""

    def __init__(self, theme: ThemeState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._html = ""
        set_role(self, "plain")
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setOpenLinks(False)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setUndoRedoEnabled(False)
        self.setWordWrapMode(QTextOption.WrapMode.WrapAtWordBoundaryOrAnywhere)
        self.setAccessibleName("Text")
        document = self.document()
        document.setDocumentMargin(0)
        document.setIndentWidth(LIST_INDENT)
        document.documentLayout().documentSizeChanged.connect(self._fit_height)
        theme.changed.connect(self._on_theme_changed)

    def show_html(self, html: str) -> None:
        """Replace the text; nothing happens if it is the same."""
        if html == self._html:
            return
        self._html = html
        self._render()

    def loadResource(self, _kind: int, _name: QUrl | str) -> Any:
        """Nothing: neither a file nor an address in a text is ever opened."""
        return b""

    def resizeEvent(self, event: QResizeEvent) -> None:
        """A new width makes a new height."""
        super().resizeEvent(event)
        self._fit_height()

    def wheelEvent(self, event: QWheelEvent) -> None:
        """The transcript scrolls, not the text."""
        event.ignore()

    def sizeHint(self) -> QSize:
        """As wide as it may be."""
        return QSize(100, self.height())

    def minimumSizeHint(self) -> QSize:
        """Text wraps at any width."""
        return QSize(40, 0)

    def _render(self) -> None:
        document = self.document()
        document.setDefaultStyleSheet(document_style(self._theme.palette, self._theme.sizes.body, self._theme.sizes.code))
        self.setHtml(self._html)
        _trim_outer_margins(self)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus if "<a " in self._html else Qt.FocusPolicy.ClickFocus)
        self._fit_height()

    def _fit_height(self, *_args: object) -> None:
        height = max(1, round(self.document().size().height() + 0.49))
        if height != self.minimumHeight() or height != self.maximumHeight():
            self.setFixedHeight(height)

    def _on_theme_changed(self) -> None:
        if self._html:
            self._render()


def _trim_outer_margins(view: QTextBrowser) -> None:
    """No margin outside: the distance to the neighbours is the layout's business. Empty lines around tables vanish."""
    document = view.document()
    for block, is_first in ((document.begin(), True), (document.lastBlock(), False)):
        block_format = QTextBlockFormat(block.blockFormat())
        if is_first:
            block_format.setTopMargin(0)
        else:
            block_format.setBottomMargin(0)
        if block.length() == 1 and view.document().blockCount() > 1:
            block_format.setLineHeight(1, QTextBlockFormat.LineHeightTypes.FixedHeight.value)
        QTextCursor(block).setBlockFormat(block_format)


def document_style(palette: Palette, body_px: int, code_px: int) -> str:
    """The style sheet of a document in the colours of the theme (the subset of CSS that Qt's rich text knows)."""
    return f"""
    p, li {{ line-height: {LINE_HEIGHT_PERCENT}%; margin-top: {PARAGRAPH_GAP}px; margin-bottom: {PARAGRAPH_GAP}px;
             color: {palette.text}; }}
    li {{ margin-top: 4px; margin-bottom: 4px; }}
    hr {{ background-color: {palette.line}; }}
    ul, ol {{ margin-top: 0; margin-bottom: 0; }}
    .h1, .h2, .h3, .h4, .h5, .h6 {{ font-weight: 600; margin-top: 18px; margin-bottom: 8px; font-size: {body_px}px; }}
    .h1 {{ font-size: {body_px + 6}px; }}
    .h2 {{ font-size: {body_px + 4}px; }}
    .h3 {{ font-size: {body_px + 2}px; }}
    a {{ color: {palette.accent}; text-decoration: underline; }}
    code {{ font-family: "{mono_family()}"; font-size: {code_px}px; background-color: {palette.code}; }}
    pre {{ font-family: "{mono_family()}"; font-size: {code_px}px; background-color: {palette.code}; margin-top: 4px;
           margin-bottom: 8px; white-space: pre-wrap; }}
    s {{ text-decoration: line-through; }}
    .note {{ color: {palette.muted}; }}
    .said {{ white-space: pre-wrap; margin: 0; }}
    table.data {{ border-collapse: collapse; margin-top: 4px; margin-bottom: 12px; }}
    table.data th {{ color: {palette.muted}; font-weight: 500; font-size: {body_px - 2}px; padding: 6px 10px;
                     border-bottom: 1px solid {palette.line}; }}
    table.data td {{ padding: 8px 10px; border-bottom: 1px solid {palette.line}; }}
    table.quote {{ margin-top: 10px; margin-bottom: 10px; }}
    td.bar {{ background-color: {palette.line}; }}
    td.quoted {{ padding-left: 12px; color: {palette.muted}; }}
    td.quoted p {{ color: {palette.muted}; }}
    """
