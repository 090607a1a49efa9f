"""What was thought stays out of what was said: of older messages, and of answers put together from a stream."""

from __future__ import annotations

import pytest

from localai_app.engine.protocol import Channel
from localai_app.services.chat_turns import chat_turns
from localai_app.services.thinking import AnswerText, parts_of
from localai_app.store.records import CallRecord, Message, MessageState, Role


def message(text: str, role: Role = Role.ASSISTANT, **more: object) -> Message:
    options = {"id": 1, "conversation_id": 1, "state": MessageState.DONE, "created_s": 0.0} | more
    return Message(role=role, text=text, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(("stored", "thinking", "answer", "is_open"), [
    (message("<think>hm</think>\n\nYes"), "hm", "Yes", False),
    (message("closed only</think>\nYes"), "closed only", "Yes", False),
    (message("<think>never closed"), "never closed", "", True),
    (message("Yes, `</think>`", thinking=""), "", "Yes, `</think>`", False),
    (message("a</think>b", thinking=""), "", "a</think>b", False),
    (message("", thinking="hm", state=MessageState.STOPPED), "hm", "", True),
    (message("", thinking="hm"), "hm", "", False),
    (message("<think>x</think>y", role=Role.USER), "", "<think>x</think>y", False),
])
def test_parts_of_stored_messages(stored: Message, thinking: str, answer: str, is_open: bool) -> None:
    """Without `thinking` a message is of an older version, with tags in its text."""
    parts = parts_of(stored)
    assert (parts.thinking, parts.answer, parts.is_open) == (thinking, answer, is_open)


def test_parts_of_a_stream() -> None:
    parts = AnswerText()
    parts.add(Channel.ANSWER, "I wonder")
    parts.add(Channel.THINKING, " why", takes_back=True)
    assert (parts.thinking, parts.answer, parts.is_open) == ("I wonder why", "", False)
    parts.add(Channel.THINKING, "\n\nMore")
    assert parts.is_open
    parts.add(Channel.ANSWER, "Because")
    parts.add(Channel.TOOL, "<tool_call>")
    assert (parts.thinking, parts.answer, parts.tool) == ("I wonder why\n\nMore", "Because", "<tool_call>")
    assert not parts.is_open


def test_thinking_is_not_sent_again_and_calls_are() -> None:
    call = CallRecord(name="f", arguments_json="{}", id="call00001")
    history = [
        message("Hi", role=Role.USER), message("<think>old secret</think>Yes"), message("More", role=Role.USER),
        message("No", thinking="new secret"), message("And", role=Role.USER), message("", thinking="only thinking"),
        message("Look", thinking="secret", tool_calls=(call,))]
    turns = chat_turns("Rules", history).messages
    assert [(turn.role, turn.content) for turn in turns] == [
        ("system", "Rules"), ("user", "Hi"), ("assistant", "Yes"), ("user", "More"), ("assistant", "No"), ("user", "And"),
        ("assistant", "Look")]
    assert [asked.name for asked in turns[-1].tool_calls] == ["f"]
