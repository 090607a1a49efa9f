"""Which words two answers have in common, and which only one of them has."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

MAX_WORDS = 6_000
"""Of one text that is compared word by word; what lies beyond is compared by its lines, which takes no longer for long ones."""
_WORD = re.compile(r"\w+|[^\w\s]")


@dataclass(frozen=True, slots=True)
class Piece:
    """A run of one text. `is_common`: the other text has the same words at the corresponding place."""

    text: str
    is_common: bool


@dataclass(frozen=True, slots=True)
class Differences:
    """Both texts in pieces; the pieces of a side, joined, are its text. `share`: common words among all, 0 to 1."""

    left: tuple[Piece, ...]
    right: tuple[Piece, ...]
    share: float


@dataclass(frozen=True, slots=True)
class _Token:
    """A word or sign with the space behind it, of which only the word is compared."""

    word: str
    text: str


def word_differences(left: str, right: str) -> Differences:
    """Compare two texts word by word, however they are broken into lines.

    Words that are frequent in a long text are only matched beside rarer ones (`difflib`'s heuristic), so that two answers that
    have little more than "the" in common are not joined by it, and the work stays far below the product of the lengths.
    """
    ours, theirs = _tokens(left), _tokens(right)
    if max(len(ours), len(theirs)) > MAX_WORDS:
        ours, theirs = _lines(left), _lines(right)
    matcher = SequenceMatcher(None, [token.word for token in ours], [token.word for token in theirs])
    marked_left, marked_right = [False] * len(ours), [False] * len(theirs)
    n_common = 0
    for start_left, start_right, length in matcher.get_matching_blocks():
        n_common += length
        marked_left[start_left : start_left + length] = [True] * length
        marked_right[start_right : start_right + length] = [True] * length
    n_all = len(ours) + len(theirs)
    share = 2 * n_common / n_all if n_all else 1.0
    return Differences(tuple(_pieces(left, ours, marked_left)), tuple(_pieces(right, theirs, marked_right)), share)


def _tokens(text: str) -> list[_Token]:
    found = list(_WORD.finditer(text))
    ends = [*(match.start() for match in found[1:]), len(text)][: len(found)]
    return [_Token(match.group(), text[match.start() : end]) for match, end in zip(found, ends, strict=True)]


def _lines(text: str) -> list[_Token]:
    lead = len(text) - len(text.lstrip())
    return [_Token(line.strip(), line) for line in text[lead:].splitlines(keepends=True)]


def _pieces(text: str, tokens: Sequence[_Token], marks: Sequence[bool]) -> Iterator[Piece]:
    """Neighbours of one kind put together. Space before the first word belongs to its piece."""
    lead = text[: len(text) - sum(len(token.text) for token in tokens)]
    waiting, is_common = [lead], marks[0] if marks else True
    for token, mark in zip(tokens, marks, strict=True):
        if mark != is_common:
            yield Piece("".join(waiting), is_common)
            waiting, is_common = [], mark
        waiting.append(token.text)
    if "".join(waiting):
        yield Piece("".join(waiting), is_common)
