"""Questions and answers on screen."""

from __future__ import annotations

import msgspec
from PySide6.QtGui import QGuiApplication
from pytestqt.qtbot import QtBot

from localai_app.engine.protocol import Channel
from localai_app.gui.chat.lexer_finder import LexerFinder
from localai_app.gui.chat.message_views import AnswerView, QuestionView
from localai_app.gui.theme import ThemeState
from localai_app.services.events import AnswerProgressed
from localai_app.store.records import CallRecord, Message, MessageState, Role
from tests.gui.chat.chat_fakes import kept, stats


def message(text: str, state: MessageState = MessageState.DONE, role: Role = Role.ASSISTANT, **more: object) -> Message:
    return Message(id=1, conversation_id=1, role=role, text=text, state=state, created_s=0.0, **more)  # type: ignore[arg-type]


def answer(qtbot: QtBot, theme: ThemeState, shown: Message) -> AnswerView:
    view = AnswerView(shown, theme, LexerFinder())
    qtbot.addWidget(view)
    view.resize(680, 400)
    view.show()
    return view


def append(
    view: AnswerView, text: str, channel: Channel = Channel.ANSWER, *, takes_back: bool = False, thinking_s: float = 0.0,
    tokens: int = 3,
) -> None:
    numbers = msgspec.structs.replace(stats(tokens), thinking_s=thinking_s)
    view.append(AnswerProgressed(1, 1, text, numbers, channel, takes_back))


def html_of(view: AnswerView) -> str:
    return "".join(getattr(part, "html", "") for part in view.markdown.segments)


def test_thinking_is_folded_and_left_out_of_a_copy(qtbot: QtBot, theme: ThemeState) -> None:
    view = answer(qtbot, theme, message("<think>secret</think>The **answer**"))
    assert view.thinking is not None
    assert not view.thinking.is_open
    assert view.thinking.text == "secret"
    assert "secret" not in html_of(view)
    view.copy_answer()
    assert QGuiApplication.clipboard().text() == "The **answer**"


def test_thinking_that_streams_is_timed(qtbot: QtBot, theme: ThemeState) -> None:
    view = answer(qtbot, theme, message("", MessageState.STREAMING, thinking=""))
    for piece in ("let me", " see"):
        append(view, piece, Channel.THINKING, thinking_s=2.4)
    assert view.thinking is not None
    assert view.thinking.title == "Thinking… 2 s"
    append(view, "Yes.", thinking_s=3.2)
    assert view.thinking.title == "Thought for 3.2 s"
    final = message("Yes.", thinking="let me see", stats=msgspec.structs.replace(kept(stats()), thinking_s=3.2))
    view.show_message(final)
    again = answer(qtbot, theme, final)
    for shown in (view, again):
        assert shown.thinking is not None
        assert shown.thinking.text == "let me see"
        assert shown.thinking.title == "Thought for 3.2 s", "also after a restart"
        assert html_of(shown) == "<p>Yes.</p>"


def test_thinking_closed_without_opening_moves_out_of_the_answer(qtbot: QtBot, theme: ThemeState) -> None:
    view = answer(qtbot, theme, message("", MessageState.STREAMING, thinking=""))
    append(view, "I think so")
    view.markdown.flush()
    append(view, "", Channel.THINKING, takes_back=True)
    append(view, "Yes.")
    assert html_of(view) != "<p>I think so</p>"
    view.show_message(message("Yes.", thinking="I think so"))
    assert view.thinking is not None
    assert view.thinking.text == "I think so"
    assert html_of(view) == "<p>Yes.</p>"


def test_tool_calls_are_folded_blocks(qtbot: QtBot, theme: ThemeState) -> None:
    view = answer(qtbot, theme, message("", MessageState.STREAMING, thinking=""))
    append(view, "Let me look.")
    append(view, '<tool_call>{"name": "weather"', Channel.TOOL)
    assert [box.title for box in view.calls] == ["Asking for a tool…"]
    calls = (
        CallRecord(name="weather", arguments_json='{"town":"Oslo"}'),
        CallRecord(name="", arguments_json="{}", problem="its JSON is not valid", raw="<tool_call>{</tool_call>"))
    view.show_message(message("Let me look.", thinking="", tool_calls=calls))
    good, bad = view.calls
    assert good.title == "Asks for the tool weather"
    assert '"town": "Oslo"' in good.text
    assert not good.is_open
    assert "cannot be read" in bad.title
    assert bad.text == "<tool_call>{</tool_call>"
    view.copy_answer()
    assert QGuiApplication.clipboard().text() == "Let me look."


def test_thinking_never_closed_says_so(qtbot: QtBot, theme: ThemeState) -> None:
    view = answer(qtbot, theme, message("<think>and then", MessageState.STOPPED, stats=kept(stats(), "cancelled")))
    assert view.thinking is not None
    assert view.thinking.title == "Thinking, cut off"
    assert view.footer.reason == "stopped"


def test_figures_stand_below_live_and_in_the_end(qtbot: QtBot, theme: ThemeState) -> None:
    view = answer(qtbot, theme, message("", MessageState.STREAMING))
    append(view, "Hello", tokens=412)
    assert view.footer.figures.split("     ")[:3] == ["61 tok/s", "412 tokens", "first after 0.21 s"]
    view.show_message(message("Hello", stats=kept(stats(412))))
    assert view.footer.figures.startswith("61 tok/s")


def test_early_ends_are_marked(qtbot: QtBot, theme: ThemeState) -> None:
    assert answer(qtbot, theme, message("x", stats=kept(stats(), "context"))).footer.reason == "context full"
    assert answer(qtbot, theme, message("x", stats=kept(stats(), "length"))).footer.reason == "length limit"
    assert answer(qtbot, theme, message("x", stats=kept(stats(), "stop"))).footer.reason == ""


def test_an_interrupted_answer_keeps_its_text_and_offers_to_go_on(qtbot: QtBot, theme: ThemeState) -> None:
    view = answer(qtbot, theme, message("Half of", MessageState.INTERRUPTED, error="The engine stopped: killed."))
    view.set_last(True)
    assert html_of(view) == "<p>Half of</p>"
    assert view.interruption.text == "The engine stopped: killed."
    assert view.interruption.button_words == "Go on"
    assert view.interruption.isVisible()


def test_an_answer_interrupted_before_its_first_word_is_tried_again(qtbot: QtBot, theme: ThemeState) -> None:
    view = answer(qtbot, theme, message("", MessageState.INTERRUPTED))
    assert view.interruption.button_words == "Try again"
    assert "cut off" in view.interruption.text


def test_a_question_is_shown_as_it_was_written(qtbot: QtBot, theme: ThemeState) -> None:
    text = "a <b>bold</b> &amp;\n    indented\u202e"
    view = QuestionView(message(text, role=Role.USER), theme)
    qtbot.addWidget(view)
    assert view.shown_text == "a <b>bold</b> &amp;\n    indented[U+202E]"


def test_a_long_question_is_folded(qtbot: QtBot, theme: ThemeState) -> None:
    view = QuestionView(message("x" * 200_000, role=Role.USER), theme)
    qtbot.addWidget(view)
    assert len(view.shown_text) < 5_000
