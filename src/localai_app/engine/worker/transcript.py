"""The text of the running conversation beside the tokens it was made of.

An answer is a sequence of tokens that the model chose; turning its text into tokens again may give others,
which would make the KV cache useless and the conversation another one. So the tokens are kept, and only the
text that is new since then is tokenized.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar


class Transcript:
    """Remembers one chain of text pieces and the tokens behind each."""

    def __init__(self) -> None:
        self._text = ""
        self._tokens: list[int] = []
        self._marks: list[tuple[int, int]] = []
        """Places where text and tokens are known to meet: (length of text, number of tokens), rising."""

    def tokens_for(
        self,
        text: str,
        tokenize_start: Callable[[str], list[int]],
        tokenize_rest: Callable[[str], list[int] | None],
    ) -> list[int]:
        """The tokens of `text`: known ones as far as it agrees with what went before, new ones after that.

        `tokenize_rest` may return None where the rest cannot be tokenized apart from its beginning.
        """
        for text_length, token_count in reversed(self._marks):
            if text.startswith(self._text[:text_length]):
                rest = tokenize_rest(text[text_length:]) if len(text) > text_length else []
                if rest is not None:
                    return self._tokens[:token_count] + rest
                break
        return tokenize_start(text)

    @property
    def parts(self) -> tuple[str, tuple[int, ...], tuple[tuple[int, int], ...]]:
        """Text, tokens and marks, to be kept somewhere."""
        return self._text, tuple(self._tokens), tuple(self._marks)

    @staticmethod
    def from_parts(text: str, tokens: Sequence[int], marks: Sequence[tuple[int, int]]) -> Transcript:
        """What `parts` said; marks that lie outside are left out."""
        transcript = Transcript()
        transcript._text, transcript._tokens = text, list(tokens)
        transcript._marks = sorted(
            (length, count) for length, count in marks if 0 <= length <= len(text) and 0 <= count <= len(tokens))
        return transcript

    def shared_length(self, text: str) -> int:
        """How many characters at its beginning `text` has in common with this one."""
        return common_prefix_length(self._text, text)

    def copy(self) -> Transcript:
        """Another one that has gone the same way so far."""
        other = Transcript()
        other._text, other._tokens, other._marks = self._text, list(self._tokens), list(self._marks)
        return other

    def remember_prompt(self, text: str, tokens: list[int]) -> None:
        """A prompt is now in force; marks on what it shares with the former text stay."""
        self._marks = [
            (text_length, token_count)
            for text_length, token_count in self._marks
            if text.startswith(self._text[:text_length]) and tokens[:token_count] == self._tokens[:token_count]
        ]
        self._text, self._tokens = text, list(tokens)
        self._mark()

    def remember_answer(self, text: str, tokens: list[int]) -> None:
        """An answer followed the prompt."""
        self._text += text
        self._tokens += tokens
        self._mark()

    def _mark(self) -> None:
        mark = (len(self._text), len(self._tokens))
        if not self._marks or self._marks[-1] != mark:
            self._marks.append(mark)


T = TypeVar("T", str, list[int])


def common_prefix_length(left: T, right: T) -> int:
    """How many first items two lists, or characters two texts, share."""
    limit = min(len(left), len(right))
    if left[:limit] == right[:limit]:
        return limit
    low, high = 0, limit
    while low < high:
        middle = (low + high + 1) // 2
        if left[low:middle] == right[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low
