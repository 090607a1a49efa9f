from __future__ import annotations

import itertools
import time

from localai_app.engine.protocol import Channel
from localai_app.gui.chat.lexer_finder import LexerFinder
from localai_app.gui.compare.answer_body import AnswerBody
from localai_app.gui.compare.columns_view import ColumnsView
from localai_app.gui.theme import ThemeState
from localai_app.services.thinking import AnswerText

WORDS = "Heat pumps move **heat** instead of making it, even from cold air. "
STREAM_S = 2.0
MOST_PER_S = 15


def body_of(theme: ThemeState, qtbot) -> AnswerBody:
    body = AnswerBody(theme, LexerFinder())
    qtbot.addWidget(body)
    body.resize(320, 400)
    body.show()
    return body


def test_text_streams_and_ends_as_it_is_stored(theme: ThemeState, qtbot) -> None:
    body = body_of(theme, qtbot)
    for piece in ("Warm", "th is **mo", "ved**.\n\n- one\n", "- two"):
        body.append(Channel.ANSWER, piece)
    qtbot.waitUntil(lambda: "moved" in "".join(widget.toPlainText() for widget in body.markdown.widgets))
    shown = body.markdown.widgets
    body.show_text(AnswerText(answer="Warmth is **moved**.\n\n- one\n- two"), is_final=True)
    assert body.markdown.widgets[0] is shown[0], "text that has streamed is not built again"
    assert "two" in body.markdown.widgets[-1].toPlainText()
    assert body.answer == "Warmth is **moved**.\n\n- one\n- two"


def test_thinking_is_folded_and_apart_from_the_answer(theme: ThemeState, qtbot) -> None:
    body = body_of(theme, qtbot)
    body.append(Channel.THINKING, "Let me see. ", thought_s=1.2)
    body.repaint_now()
    assert body.thinking.title.startswith("Thinking…")
    assert not body.thinking.is_open
    body.append(Channel.ANSWER, "Done.", thought_s=1.5)
    body.repaint_now()
    assert body.thinking.title == "Thought for 1.5 s"
    assert body.answer == "Done."
    body.append(Channel.THINKING, "", takes_back=True)
    assert body.answer == ""


def test_what_is_begun_anew_replaces_what_was_there(theme: ThemeState, qtbot) -> None:
    body = body_of(theme, qtbot)
    body.append(Channel.ANSWER, "First attempt")
    body.show_text(AnswerText(answer="Sec"), is_final=False)
    body.append(Channel.ANSWER, "ond")
    body.repaint_now()
    assert [widget.toPlainText() for widget in body.markdown.widgets] == ["Second"]


def test_an_error_and_a_note_are_shown_and_taken_away(theme: ThemeState, qtbot) -> None:
    body = body_of(theme, qtbot)
    body.show_error("The model does not fit. Choose a smaller one.")
    body.show_note("5.0 GB")
    assert body.error.isVisible()
    assert body.note.isVisible()
    body.show_error("")
    body.show_note("")
    assert not body.error.isVisible()
    assert not body.note.isVisible()


def test_a_reader_at_the_end_follows_and_one_who_scrolled_up_stays(theme: ThemeState, qtbot) -> None:
    body = body_of(theme, qtbot)
    bar = body.verticalScrollBar()
    body.append(Channel.ANSWER, (WORDS + "\n\n") * 20)
    qtbot.waitUntil(lambda: bar.maximum() > 0 and bar.value() == bar.maximum())
    bar.setValue(0)
    before = bar.maximum()
    body.append(Channel.ANSWER, (WORDS + "\n\n") * 5)
    qtbot.waitUntil(lambda: bar.maximum() > before)
    assert bar.value() == 0


def test_six_columns_stream_at_their_pace_and_leave_the_window_free(theme: ThemeState, qtbot) -> None:
    """Every column is repainted at most fifteen times a second, and none waits while others are."""
    columns = ColumnsView(theme)
    qtbot.addWidget(columns)
    columns.set_count(6)
    columns.resize(1024, 500)
    columns.show()
    repaints = [0] * 6
    for index, column in enumerate(columns.columns):
        def count(index: int = index) -> None:
            repaints[index] += 1

        column.body.repainted.connect(count)
    gaps = []
    started_s = last_s = time.perf_counter()
    words = itertools.cycle((WORDS * 4 + "\n\n").split(" "))
    while time.perf_counter() - started_s < STREAM_S:
        for column in columns.columns:
            column.body.append(Channel.ANSWER, f"{next(words)} ")
        qtbot.wait(15)
        now_s = time.perf_counter()
        gaps.append(now_s - last_s)
        last_s = now_s
    took_s = last_s - started_s
    rates = [count / took_s for count in repaints]
    assert max(rates) <= MOST_PER_S
    print(f"{min(rates):.1f} to {max(rates):.1f} repaints a second, longest stall {max(gaps):.3f} s")
    assert min(rates) >= 0.5, "six columns at sixty tokens a second each, on a computer that does other things"
    assert sorted(gaps)[len(gaps) // 2] < 0.5


def test_columns_scroll_together_where_that_is_wanted(theme: ThemeState, qtbot) -> None:
    columns = ColumnsView(theme)
    qtbot.addWidget(columns)
    columns.set_count(2)
    columns.resize(700, 300)
    columns.show()
    bodies = [column.body for column in columns.columns]
    for body, length in zip(bodies, (30, 60), strict=True):
        body.show_text(AnswerText(answer=(WORDS + "\n\n") * length), is_final=True)
    bars = [body.verticalScrollBar() for body in bodies]
    qtbot.waitUntil(lambda: all(bar.maximum() > 0 for bar in bars))
    bars[0].setSliderPosition(bars[0].maximum() // 2)
    bars[0].triggerAction(bars[0].SliderAction.SliderPageStepAdd)
    place = bars[0].value() / bars[0].maximum()
    assert abs(bars[1].value() / bars[1].maximum() - place) < 0.05
    columns.set_scrolls_together(False)
    bars[0].triggerAction(bars[0].SliderAction.SliderToMaximum)
    assert abs(bars[1].value() / bars[1].maximum() - place) < 0.05
