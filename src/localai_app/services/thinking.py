"""The thinking part of an answer, told apart from what is said."""

from __future__ import annotations

OPEN_TAG = "<think>"
CLOSE_TAG = "</think>"


def split_thinking(text: str) -> tuple[str, str]:
    """(thinking, answer) of a message.

    Only a tag at the very beginning opens a thinking part; one that is never closed reaches to the end.
    A closing tag without an opening one (templates that put the opening tag into the prompt) ends a
    thinking part that began with the text, unless a code fence stands before it.
    """
    stripped = text.lstrip()
    if stripped.startswith(OPEN_TAG):
        thinking, _tag, answer = stripped[len(OPEN_TAG):].partition(CLOSE_TAG)
        return thinking.strip(), answer.lstrip()
    before, tag, answer = text.partition(CLOSE_TAG)
    if tag and "```" not in before and OPEN_TAG not in before and "`" + CLOSE_TAG not in text:
        return before.strip(), answer.lstrip()
    return "", text


def without_thinking(text: str) -> str:
    """What is said, without what was thought before."""
    return split_thinking(text)[1]
