"""The line under an answer, in wide and narrow windows."""

from __future__ import annotations

import msgspec
from PySide6.QtGui import QFont
from PySide6.QtWidgets import QLabel
from pytestqt.qtbot import QtBot

from localai_app.gui.chat.answer_footer import AnswerFooter
from localai_app.gui.chat.welcome import _two_lines
from localai_app.gui.theme import ThemeState
from localai_app.store.records import AnswerCut, MessageState
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


def test_badges_that_leave_no_room_stand_in_a_line_of_their_own(qtbot: QtBot, theme: ThemeState) -> None:
    footer = AnswerFooter(theme)
    qtbot.addWidget(footer)
    cut = AnswerCut(left_out=(1, 2))
    slow = msgspec.structs.replace(kept(stats(), "context"), expected_tps=200.0)
    footer.show_final(slow, MessageState.DONE, cut)
    footer.set_actions_visible(can_copy=True, can_retry=True, can_continue=True)
    footer.resize(900, footer.sizeHint().height())
    footer.show()
    in_one_line = footer.sizeHint().height()
    footer.resize(440, in_one_line)
    assert footer.sizeHint().height() > in_one_line
    footer.resize(440, footer.sizeHint().height())
    for part in (footer._reason, footer._cut, footer._why_slow, footer._copy, footer._continue, footer._again):
        assert footer.rect().contains(part.geometry())
        assert part.width() >= part.sizeHint().width()
    footer.resize(900, in_one_line)
    assert footer.sizeHint().height() == in_one_line


def test_an_example_is_two_lines_at_most(qtbot: QtBot) -> None:
    text = "Compare train, car and plane for a trip of 600 km in a table."
    assert _two_lines(text, QFont(), 4000) == text
    lines = _two_lines(text, QFont(), 160).split("\n")
    assert len(lines) == 2
    assert text.startswith(lines[0])
    assert lines[1].endswith("…")


def test_energy_stands_behind_the_other_figures_and_is_told_in_full_on_hover(qtbot: QtBot, theme: ThemeState) -> None:
    footer = AnswerFooter(theme)
    qtbot.addWidget(footer)
    figures = msgspec.structs.replace(kept(stats()), gpu_j=300.0, processor_j=29.6)
    footer.show_final(figures, MessageState.DONE)
    assert footer.figures.endswith("330 J")
    shown = footer.findChildren(QLabel)[0]
    assert "Energy: 300 J by the GPU and 30 J by the processor" in shown.toolTip()
    assert "for each token" in shown.toolTip()
    footer.show_final(kept(stats()), MessageState.DONE)
    assert " J" not in footer.figures
    assert "Energy" not in shown.toolTip()


def test_an_answer_far_below_its_prediction_asks_why(qtbot: QtBot, theme: ThemeState) -> None:
    footer = AnswerFooter(theme)
    qtbot.addWidget(footer)
    figures = kept(stats())
    footer.show_final(msgspec.structs.replace(figures, expected_tps=figures.tps * 1.1), MessageState.DONE)
    assert footer._why_slow.isHidden()
    footer.show_final(msgspec.structs.replace(figures, expected_tps=figures.tps * 2), MessageState.DONE)
    assert not footer._why_slow.isHidden()
    assert "122 tok/s was predicted" in footer._why_slow.toolTip()
    with qtbot.waitSignal(footer.why_slow_requested):
        footer._why_slow.click()
    footer.show_final(figures, MessageState.DONE)
    assert footer._why_slow.isHidden()
