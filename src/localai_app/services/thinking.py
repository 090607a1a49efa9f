"""Tells a model's thinking from its answer while both still stream.

Three shapes occur: `<think>...</think>answer`, the same without the opening tag (chat templates that
put it into the prompt), and thinking that never ends because the answer was cut off.
"""

from __future__ import annotations

from dataclasses import dataclass

OPENING = "<think>"
CLOSING = "</think>"


@dataclass(frozen=True, slots=True)
class SplitAnswer:
    """A text in its two parts. `is_open`: the thinking has not ended (yet)."""

    thinking: str
    answer: str
    is_open: bool = False


class ThinkingStream:
    """Takes a streaming text piece by piece; `thinking` and `answer` only grow, unless `feed` says otherwise."""

    def __init__(self) -> None:
        self.thinking = ""
        self.answer = ""
        self.is_open = False
        self._held = ""
        """The end of what came, not yet assigned because it may become a tag."""
        self._has_started = False
        self._is_decided = False
        """Whether no further tag counts: the thinking has been closed."""

    def feed(self, text: str) -> bool:
        """Take the next piece; true if text that was an answer turned out to be thinking."""
        self._held += text
        if not self._has_started and not self._find_opening():
            return False
        if self.is_open:
            self._take_thinking()
            return False
        if self._is_decided:
            self._append_answer(self._held)
            self._held = ""
            return False
        return self._look_for_bare_closing()

    def finish(self) -> None:
        """Assign what was held back: no more text comes."""
        if self.is_open:
            self.thinking += self._held
        else:
            self._append_answer(self._held)
        self._held = ""
        self._has_started = True

    def _find_opening(self) -> bool:
        stripped = self._held.lstrip()
        if len(stripped) < len(OPENING) and OPENING.startswith(stripped):
            return False
        self._has_started = True
        if stripped.startswith(OPENING):
            self.is_open = True
            self._held = stripped[len(OPENING) :]
        return True

    def _take_thinking(self) -> None:
        end = self._held.find(CLOSING)
        if end < 0:
            keep = _partial_tag_length(self._held)
            cut = len(self._held) - keep
            self.thinking += self._held[:cut]
            self._held = self._held[cut:]
            return
        self.thinking += self._held[:end]
        rest = self._held[end + len(CLOSING) :]
        self.is_open, self._is_decided, self._held = False, True, ""
        self._append_answer(rest)

    def _look_for_bare_closing(self) -> bool:
        """Closing without opening: everything before it was thinking, unless the tag stands in code."""
        start = 0
        while (end := self._held.find(CLOSING, start)) >= 0:
            before = self.answer + self._held[:end]
            if not _is_inside_code(before):
                rest = self._held[end + len(CLOSING) :]
                self.thinking, self.answer = before, ""
                self._is_decided, self._held = True, ""
                self._append_answer(rest)
                return True
            start = end + len(CLOSING)
        cut = len(self._held) - _partial_tag_length(self._held)
        self.answer += self._held[:cut]
        self._held = self._held[cut:]
        return False

    def _append_answer(self, text: str) -> None:
        """The blank lines between thinking and answer belong to neither."""
        self.answer += text if self.answer or not self._is_decided else text.lstrip()


def split_thinking(text: str) -> SplitAnswer:
    """A complete text in its two parts, thinking without surrounding blank lines."""
    stream = ThinkingStream()
    stream.feed(text)
    stream.finish()
    return SplitAnswer(stream.thinking.strip(), stream.answer, stream.is_open)


def without_thinking(text: str) -> str:
    """What is said, without what was thought before."""
    return split_thinking(text).answer


def _partial_tag_length(text: str) -> int:
    """How many characters at the end of `text` could be the beginning of the closing tag."""
    for length in range(min(len(CLOSING) - 1, len(text)), 0, -1):
        if CLOSING.startswith(text[-length:]):
            return length
    return 0


def _is_inside_code(before: str) -> bool:
    """Whether a tag right after `before` stands in a code fence or in inline code."""
    fences = sum(1 for line in before.split("\n")[:-1] if line.lstrip().startswith(("```", "~~~")))
    return fences % 2 == 1 or before.rsplit("\n", 1)[-1].count("`") % 2 == 1
