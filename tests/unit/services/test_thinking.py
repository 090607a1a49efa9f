"""Thinking is told from the answer in every shape in which models write it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localai_app.services.thinking import SplitAnswer, ThinkingStream, split_thinking


@pytest.mark.parametrize(("text", "expected"), [
    ("Just an answer", SplitAnswer("", "Just an answer")),
    ("<think>hm</think>\n\nYes", SplitAnswer("hm", "Yes")),
    ("\n <think>\nhm\n</think>Yes", SplitAnswer("hm", "Yes")),
    ("<think>never closed", SplitAnswer("never closed", "", is_open=True)),
    ("closed only</think>\nYes", SplitAnswer("closed only", "Yes")),
    ("<think></think>Yes", SplitAnswer("", "Yes")),
    ("<think>a</think>b</think>c", SplitAnswer("a", "b</think>c")),
    ("Write `</think>` to end it", SplitAnswer("", "Write `</think>` to end it")),
    ("```xml\n<think>x</think>\n```\nDone", SplitAnswer("", "```xml\n<think>x</think>\n```\nDone")),
    ("The tag <think> opens it", SplitAnswer("", "The tag <think> opens it")),
    ("<thin", SplitAnswer("", "<thin")),
    ("a < b </thi", SplitAnswer("", "a < b </thi")),
    ("", SplitAnswer("", "")),
])
def test_whole_texts(text: str, expected: SplitAnswer) -> None:
    assert split_thinking(text) == expected


@given(
    st.lists(st.sampled_from(["<think>", "</think>", "text ", "`", "```\n", "\n", "<", "</", "think>"]), max_size=12),
    st.lists(st.integers(1, 6), max_size=30))
def test_pieces_give_the_same_as_the_whole(fragments: list[str], widths: list[int]) -> None:
    text = "".join(fragments)
    stream, position = ThinkingStream(), 0
    for width in widths:
        stream.feed(text[position : position + width])
        position += width
    stream.feed(text[position:])
    stream.finish()
    whole = split_thinking(text)
    assert (stream.thinking.strip(), stream.answer, stream.is_open) == (whole.thinking, whole.answer, whole.is_open)


def test_a_tag_in_pieces_never_shows() -> None:
    stream = ThinkingStream()
    for letter in "<think>hm</think>Yes":
        stream.feed(letter)
        assert "<" not in stream.thinking
        assert "<" not in stream.answer
    assert (stream.thinking, stream.answer) == ("hm", "Yes")


def test_a_late_closing_tag_says_that_the_answer_was_thinking() -> None:
    stream = ThinkingStream()
    assert stream.feed("I wonder ") is False
    assert stream.answer == "I wonder "
    assert stream.feed("why</think>Because") is True
    assert (stream.thinking, stream.answer) == ("I wonder why", "Because")
