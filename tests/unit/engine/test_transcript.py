from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from localai_app.engine.worker.transcript import Transcript, common_prefix_length


def letters(text: str) -> list[int]:
    return [ord(letter) for letter in text]


def refuse(_text: str) -> list[int]:
    raise AssertionError("this text was known")


@given(st.lists(st.integers(0, 3)), st.lists(st.integers(0, 3)))
def test_common_prefix(left: list[int], right: list[int]) -> None:
    expected = 0
    while expected < min(len(left), len(right)) and left[expected] == right[expected]:
        expected += 1
    assert common_prefix_length(left, right) == expected


def test_answer_keeps_the_tokens_that_the_model_chose() -> None:
    transcript = Transcript()
    transcript.remember_prompt("Hi?", [1, 2])
    transcript.remember_answer("Yes.", [77, 78])
    assert transcript.tokens_for("Hi?Yes.More", refuse, letters) == [1, 2, 77, 78, *letters("More")]
    assert transcript.tokens_for("Hi?Yes.", refuse, letters) == [1, 2, 77, 78]


def test_answer_again_and_edited_message_go_back_to_what_is_shared() -> None:
    transcript = Transcript()
    transcript.remember_prompt("A", [1])
    transcript.remember_answer("b", [2])
    transcript.remember_prompt("AbC", [1, 2, 3])
    transcript.remember_answer("d", [4])
    assert transcript.tokens_for("AbC", refuse, letters) == [1, 2, 3]
    assert transcript.tokens_for("AbX", refuse, letters) == [1, 2, *letters("X")]
    assert transcript.tokens_for("AX", refuse, letters) == [1, *letters("X")]
    assert transcript.tokens_for("ZZ", letters, refuse) == letters("ZZ")


def test_rest_that_cannot_stand_alone_is_tokenized_with_the_whole() -> None:
    transcript = Transcript()
    transcript.remember_prompt("A", [1])
    assert transcript.tokens_for("AB", letters, lambda _: None) == letters("AB")


@given(st.lists(st.tuples(st.integers(0, 12), st.text("xyz", max_size=5), st.text("xyz", max_size=5)), max_size=8))
def test_known_tokens_always_stand_for_their_text(steps: list[tuple[int, str, str]]) -> None:
    """Whatever is asked, the tokens spell the text: here every token is a letter, in upper case if the model chose it."""
    transcript, conversation = Transcript(), ""
    for keep, question, answer in steps:
        text = conversation[:keep] + question
        tokens = transcript.tokens_for(text, letters, letters)
        assert "".join(map(chr, tokens)).lower() == text
        transcript.remember_prompt(text, tokens)
        transcript.remember_answer(answer, letters(answer.upper()))
        conversation = text + answer


def test_goes_on_from_its_parts_as_from_itself() -> None:
    transcript = Transcript()
    transcript.remember_prompt("ab", [1, 2])
    transcript.remember_answer("cd", [9])
    text, tokens, marks = transcript.parts
    for other in (Transcript.from_parts(text, tokens, [*marks, (99, 1), (1, 99)]), transcript.copy()):
        assert other.tokens_for("abcdef", lambda _text: [], lambda rest: [len(rest)]) == [1, 2, 9, 2]
        other.remember_answer("!", [3])
    assert transcript.parts == (text, tokens, marks)
    assert transcript.shared_length("abx") == 2
