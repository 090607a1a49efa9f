"""The line under an answer, in wide and narrow windows."""

from __future__ import annotations

from PySide6.QtGui import QFont
from PySide6.QtWidgets import QLabel
from pytestqt.qtbot import QtBot

from localai_app.gui.chat.answer_footer import AnswerFooter
from localai_app.gui.chat.welcome import _two_lines
from localai_app.gui.theme import ThemeState
from localai_app.store.records import MessageState
from tests.gui.chat.chat_fakes import kept, stats


def test_figures_that_do_not_fit_are_left_out_the_least_important_first(qtbot: QtBot, theme: ThemeState) -> None:
    footer = AnswerFooter(theme)
    qtbot.addWidget(footer)
    footer.show_final(kept(stats()), MessageState.STOPPED)
    footer.set_actions_visible(can_copy=True, can_retry=True)
    footer.resize(900, 30)
    footer.show()
    shown = footer.findChildren(QLabel)[0]
    assert shown.text() == footer.figures
    assert "prompt" in shown.text()
    footer.resize(420, 30)
    assert shown.text().startswith("61 tok/s")
    assert "prompt" not in shown.text()
    assert "prompt" in footer.figures
    assert shown.fontMetrics().horizontalAdvance(shown.text()) <= shown.width()
    assert footer.minimumSizeHint().width() <= 420


def test_an_example_is_two_lines_at_most(qtbot: QtBot) -> None:
    text = "Compare train, car and plane for a trip of 600 km in a table."
    assert _two_lines(text, QFont(), 4000) == text
    lines = _two_lines(text, QFont(), 160).split("\n")
    assert len(lines) == 2
    assert text.startswith(lines[0])
    assert lines[1].endswith("…")
