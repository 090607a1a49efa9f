"""Streaming shows the same widgets as showing the whole text, and loads nothing."""

from __future__ import annotations

from typing import Any

import pytest
from PySide6.QtCore import QUrl
from PySide6.QtGui import QGuiApplication, QTextDocument
from pytestqt.qtbot import QtBot

from localai_app.gui.chat.code_block import CodeBlock
from localai_app.gui.chat.lexer_finder import LexerFinder
from localai_app.gui.chat.markdown_view import MarkdownView
from localai_app.gui.chat.rich_text import RichTextView
from localai_app.gui.theme import DARK, ThemeState

ANSWER = """Some **bold** text with `code`.

```python
def f(x):
    return x  # 😀 done
```

1. First
2. Install:
   ```sh
   pip install x
   ```
3. Last

| a | b |
|---|--:|
| 1 | 2 |

> quoted

The [end](https://example.org/page).
"""


def new_view(qtbot: QtBot, theme: ThemeState) -> MarkdownView:
    view = MarkdownView(theme, LexerFinder())
    qtbot.addWidget(view)
    view.resize(600, 400)
    return view


def shown(view: MarkdownView) -> list[tuple[str, ...]]:
    return [
        ("code", widget.code, widget.view.toPlainText()) if isinstance(widget, CodeBlock) else ("text", widget.toHtml())
        for widget in view.widgets
    ]


@pytest.mark.parametrize("size", [1, 3, 7, 50])
def test_streaming_ends_with_the_same_widgets_as_the_whole(qtbot: QtBot, theme: ThemeState, size: int) -> None:
    whole, streamed = new_view(qtbot, theme), new_view(qtbot, theme)
    whole.set_text(ANSWER)
    for start in range(0, len(ANSWER), size):
        streamed.append(ANSWER[start : start + size])
        streamed.flush()
    streamed.finish()
    assert streamed.segments == whole.segments
    assert shown(streamed) == shown(whole)
    assert [widget.geometry() for widget in streamed.widgets] == [widget.geometry() for widget in whole.widgets]


def test_text_waits_for_the_next_flush(qtbot: QtBot, theme: ThemeState) -> None:
    view = new_view(qtbot, theme)
    view.append("Hello")
    view.append(" world")
    assert view.widgets == ()
    qtbot.waitUntil(lambda: not view.is_flush_due)
    (text,) = view.widgets
    assert isinstance(text, RichTextView)
    assert text.toPlainText() == "Hello world"


def test_finished_widgets_stay_while_the_tail_changes(qtbot: QtBot, theme: ThemeState) -> None:
    view = new_view(qtbot, theme)
    view.append("One\n\n```\nx\n```\n\nTwo\n")
    view.flush()
    before = view.widgets
    view.append("more")
    view.flush()
    assert view.widgets == before


def test_code_copies_just_its_block(qtbot: QtBot, theme: ThemeState) -> None:
    view = new_view(qtbot, theme)
    view.set_text(ANSWER)
    block = next(widget for widget in view.widgets if isinstance(widget, CodeBlock))
    block.copy_code()
    assert QGuiApplication.clipboard().text() == "def f(x):\n    return x  # 😀 done"


def test_code_gets_its_colours_when_finished(qtbot: QtBot, theme: ThemeState) -> None:
    view = new_view(qtbot, theme)
    view.set_text(ANSWER)
    block = next(widget for widget in view.widgets if isinstance(widget, CodeBlock))

    def colors() -> set[str]:
        line = block.view.document().firstBlock()
        return {entry.format.foreground().color().name() for entry in line.layout().formats()}

    qtbot.waitUntil(lambda: theme.palette.accent in colors(), timeout=10_000)
    theme.update(DARK, 100)
    qtbot.waitUntil(lambda: DARK.accent in colors(), timeout=5_000)


def test_code_with_wide_lines_stays_at_their_start(qtbot: QtBot, theme: ThemeState) -> None:
    view = new_view(qtbot, theme)
    view.show()
    view.set_text("```\n" + "wide " * 200 + "\n```")
    (block,) = view.widgets
    assert isinstance(block, CodeBlock)
    assert block.view.horizontalScrollBar().value() == 0
    assert not block.view.textCursor().hasSelection()


def test_nothing_is_loaded(qtbot: QtBot, theme: ThemeState, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    load = RichTextView.loadResource

    def recorded(self: RichTextView, kind: int, name: QUrl) -> Any:
        asked.append(name.toString())
        return load(self, kind, name)

    monkeypatch.setattr(RichTextView, "loadResource", recorded)
    view = new_view(qtbot, theme)
    view.show()
    view.set_text(
        "![a](http://127.0.0.1:9/i.png) ![b](file:///etc/passwd) ![c](data:image/png;base64,AA)\n\n"
        "<img src='http://127.0.0.1:9/j.png' onerror='x'>\n\n<style>@import 'x.css'</style>\n\n"
        "| ![d](//host/share) |\n|---|\n| x |\n")
    view.grab()
    assert asked == []


def test_a_resource_that_is_asked_for_is_empty(qtbot: QtBot, theme: ThemeState) -> None:
    text = RichTextView(theme)
    qtbot.addWidget(text)
    image = QTextDocument.ResourceType.ImageResource.value
    assert bytes(text.loadResource(image, QUrl("file:///etc/passwd"))) == b""
    text.setHtml('<img src="file:///etc/hostname">')
    assert bytes(text.document().resource(image, QUrl("file:///etc/hostname")) or b"") == b""


def test_links_are_announced_not_followed(qtbot: QtBot, theme: ThemeState) -> None:
    view = new_view(qtbot, theme)
    view.set_text("[x](https://example.org/page)")
    (text,) = view.widgets
    assert isinstance(text, RichTextView)
    with qtbot.waitSignal(view.link_clicked) as clicked:
        text.anchorClicked.emit(QUrl("https://example.org/page"))
    assert clicked.args == [QUrl("https://example.org/page")]
    assert text.toPlainText() == "x"


def test_a_line_of_megabytes_does_not_hang(qtbot: QtBot, theme: ThemeState) -> None:
    view = new_view(qtbot, theme)
    view.set_text("```\n" + "x" * 5_000_000 + "\n```\n\n" + "y" * 1_000_000)
    code, text = view.widgets
    assert isinstance(code, CodeBlock)
    assert isinstance(text, RichTextView)
    assert len(code.code) == 5_000_000
    assert len(code.view.toPlainText()) < 20_000
    assert len(text.toPlainText()) < 25_000
