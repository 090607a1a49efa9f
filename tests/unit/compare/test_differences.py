from __future__ import annotations

import random
import time

from hypothesis import given
from hypothesis import strategies as st

from localai_app.compare.differences import MAX_WORDS, Piece, word_differences

WORDS = st.lists(st.sampled_from(["heat", "pump", "the", "cold", "air", ".", ",", "\n\n", " ", "- ", "é", "42"]), max_size=60)


@given(WORDS.map("".join) | st.text(), WORDS.map("".join) | st.text())
def test_the_pieces_put_together_are_both_texts(left: str, right: str) -> None:
    found = word_differences(left, right)
    assert "".join(piece.text for piece in found.left) == left
    assert "".join(piece.text for piece in found.right) == right
    assert 0.0 <= found.share <= 1.0


@given(WORDS.map(" ".join), WORDS.map(" ".join))
def test_what_is_common_has_the_same_words_on_both_sides(left: str, right: str) -> None:
    found = word_differences(left, right)
    ours = " ".join(piece.text for piece in found.left if piece.is_common).split()
    theirs = " ".join(piece.text for piece in found.right if piece.is_common).split()
    assert ours == theirs


@given(WORDS.map("".join))
def test_a_text_differs_in_nothing_from_itself(text: str) -> None:
    found = word_differences(text, text)
    assert all(piece.is_common for piece in (*found.left, *found.right))
    assert found.share == 1.0


def test_single_words_are_told_apart_however_lines_break() -> None:
    found = word_differences("A heat pump moves heat\ninstead of making it.", "A heat pump pumps heat instead of making it.")
    assert found.left == (
        Piece("A heat pump ", True), Piece("moves ", False), Piece("heat\ninstead of making it.", True))
    assert [piece.text for piece in found.right if not piece.is_common] == ["pumps "]


def test_texts_without_a_common_word() -> None:
    found = word_differences("one two", "drei")
    assert found.left == (Piece("one two", False),)
    assert found.right == (Piece("drei", False),)
    assert found.share == 0.0


def test_long_answers_are_compared_in_bounded_time() -> None:
    words = ["heat", "pump", "the", "a", "of", "moves", "cold", "air", *(f"word{number}" for number in range(500))]
    chance = random.Random(1)

    def text(n_words: int) -> str:
        return " ".join(chance.choice(words) + ("\n" if chance.random() < 0.05 else "") for _ in range(n_words))

    for n_words in (MAX_WORDS - 1, 10 * MAX_WORDS):
        left, right = text(n_words), text(n_words)
        started_s = time.perf_counter()
        found = word_differences(left, right)
        assert time.perf_counter() - started_s < 20
        assert "".join(piece.text for piece in found.left) == left
