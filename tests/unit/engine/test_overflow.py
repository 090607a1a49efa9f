"""What of a conversation is sent where it is longer than the context: counted in words, with real messages."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localai_app.engine.protocol import ChatMessage, HistoryCut, Overflow, Shortened
from localai_app.engine.worker.overflow import CUT_MARK, ContextRoom, Fitted, cut_middle, fit_conversation

ROOM = ContextRoom.of(400, None)
MESSAGE_OVERHEAD = 3


def count(messages: Sequence[ChatMessage], prefill: str) -> int:
    return sum(len(message.content.split()) + MESSAGE_OVERHEAD for message in messages) + len(prefill.split())


def talk(*lengths: int, system: int = 0) -> tuple[ChatMessage, ...]:
    """Question and answer by turns, each of so many words."""
    first = [ChatMessage(role="system", content=" ".join(["rule"] * system))] if system else []
    return (*first, *(
        ChatMessage(role=("user", "assistant")[place % 2], content=" ".join(f"w{place}n{word}" for word in range(length)))
        for place, length in enumerate(lengths)))


def fit(
    messages: Sequence[ChatMessage], policy: Overflow, *, prefill: str = "", room: ContextRoom = ROOM,
    known: HistoryCut | None = None,
) -> Fitted:
    return fit_conversation(messages, prefill, policy, room, count, known=known)


def test_room_for_an_answer_is_what_was_asked_for_or_a_quarter_at_most() -> None:
    assert ContextRoom.of(8192, None) == ContextRoom(8192, 7168, 5376)
    assert ContextRoom.of(8192, 100).prompt == 8092
    assert ContextRoom.of(8192, 100_000).prompt == 6144
    assert ContextRoom.of(2048, None).prompt == 1536


@pytest.mark.parametrize("policy", Overflow)
def test_what_fits_is_sent_whole(policy: Overflow) -> None:
    messages = talk(50, 50, 50, system=10)
    fitted = fit(messages, policy, prefill="already said")
    assert (fitted.messages, fitted.prefill, fitted.cut) == (messages, "already said", HistoryCut())
    assert fitted.tokens == fitted.whole_tokens == count(messages, "already said")


def test_stop_sends_whole_and_leaves_it_to_the_sender_to_refuse() -> None:
    fitted = fit(talk(300, 300, 20), Overflow.STOP)
    assert not fitted.cut
    assert fitted.tokens == fitted.whole_tokens > ROOM.total


def test_oldest_turns_are_left_out_as_far_as_needed() -> None:
    messages = talk(60, 60, 60, 60, 60, 60, 20, system=10)
    fitted = fit(messages, Overflow.DROP_OLDEST)
    assert fitted.cut == HistoryCut(left_out=(1, 2, 3, 4))
    assert fitted.messages == (messages[0], *messages[5:])
    assert fitted.tokens <= ROOM.kept < fitted.whole_tokens


def test_the_newest_question_stays_even_where_it_is_too_long() -> None:
    messages = talk(50, 50, 500)
    fitted = fit(messages, Overflow.DROP_OLDEST)
    assert fitted.messages == messages[2:]
    assert fitted.tokens > ROOM.total


def test_the_middle_goes_and_the_first_turn_stays() -> None:
    messages = talk(30, 30, 60, 60, 60, 60, 20, system=10)
    fitted = fit(messages, Overflow.CUT_MIDDLE)
    assert fitted.cut == HistoryCut(left_out=(3, 4, 5, 6))
    assert fitted.messages == (*messages[:3], messages[7])


def test_a_message_that_is_too_long_loses_its_middle() -> None:
    messages = talk(1000)
    fitted = fit(messages, Overflow.CUT_MIDDLE)
    assert not fitted.cut.left_out
    (part,) = fitted.cut.shortened
    content = fitted.messages[0].content
    assert content == cut_middle(messages[0].content, part.kept_chars)
    assert content.startswith("w0n0 ")
    assert content.endswith(" w0n999")
    assert CUT_MARK in content
    assert ROOM.prompt * 0.95 < fitted.tokens <= ROOM.prompt


def test_of_several_long_messages_the_longest_lose_first() -> None:
    messages = talk(600, 10, 100)
    fitted = fit(messages, Overflow.CUT_MIDDLE)
    assert [part.index for part in fitted.cut.shortened] == [0]
    assert fitted.messages[1:] == messages[1:]


def test_the_beginning_of_an_answer_can_lose_its_middle() -> None:
    prefill = " ".join(f"p{word}" for word in range(900))
    fitted = fit(talk(10), Overflow.CUT_MIDDLE, prefill=prefill)
    assert [part.index for part in fitted.cut.shortened] == [1]
    assert fitted.prefill.startswith("p0 ")
    assert fitted.prefill.endswith("p899")


@pytest.mark.parametrize("policy", [Overflow.DROP_OLDEST, Overflow.CUT_MIDDLE])
def test_a_cut_is_kept_up_while_the_chat_grows_into_the_room_it_made(policy: Overflow) -> None:
    lengths = [30, 30]
    known: HistoryCut | None = None
    beginnings: list[tuple[ChatMessage, ...]] = []
    n_cuts = 0
    for _turn in range(30):
        fitted = fit(talk(*lengths, 20), policy, known=known)
        assert fitted.tokens <= ROOM.prompt
        if fitted.cut != (known or HistoryCut()):
            n_cuts += 1
        elif beginnings:
            assert fitted.messages[:len(beginnings[-1])] == beginnings[-1]
        beginnings.append(fitted.messages)
        known = fitted.cut
        lengths += [20, 20]
    assert 3 <= n_cuts <= 12


def test_a_cut_of_before_is_given_up_in_a_larger_context() -> None:
    messages = talk(*[60] * 20, 20)
    known = fit(messages, Overflow.DROP_OLDEST).cut
    large = ContextRoom.of(1200, None)
    fitted = fit(messages, Overflow.DROP_OLDEST, room=large, known=known)
    assert len(fitted.cut.left_out) < len(known.left_out)
    assert fit(messages, Overflow.DROP_OLDEST, room=ContextRoom.of(4000, None), known=known).cut == HistoryCut()


@pytest.mark.parametrize("known", [
    HistoryCut(left_out=(0,)), HistoryCut(left_out=(2, 3)), HistoryCut(left_out=(0, 1, 2, 3, 4, 5, 6)),
    HistoryCut(left_out=(99,)), HistoryCut(left_out=(0, 1), shortened=(Shortened(index=70, kept_chars=5),)),
])
def test_a_cut_that_cannot_have_been_made_is_not_repeated(known: HistoryCut) -> None:
    messages = talk(60, 60, 60, 60, 60, 60, 20)
    assert fit(messages, Overflow.DROP_OLDEST, known=known) == fit(messages, Overflow.DROP_OLDEST)


@given(
    lengths=st.lists(st.integers(0, 200), min_size=1, max_size=15), system=st.integers(0, 40),
    policy=st.sampled_from(Overflow), total=st.integers(100, 1000), max_tokens=st.none() | st.integers(1, 2000))
def test_order_and_ends_stay_whatever_is_left_out(
    lengths: list[int], system: int, policy: Overflow, total: int, max_tokens: int | None,
) -> None:
    messages = talk(*lengths, system=system)
    fitted = fit(messages, policy, room=ContextRoom.of(total, max_tokens))
    kept = [index for index in range(len(messages)) if index not in fitted.cut.left_out]
    assert [message.role for message in fitted.messages] == [messages[index].role for index in kept]
    newest_question = max(index for index, message in enumerate(messages) if message.role == "user")
    assert set(kept) >= set(range(newest_question, len(messages))) | ({0} if system else set())
    if system:
        assert fitted.messages[0] == messages[0]
    without_system = [message.role for message in fitted.messages if message.role != "system"]
    assert without_system == ["user", "assistant"] * (len(without_system) // 2) + ["user"] * (len(without_system) % 2)
    assert fitted.tokens == count(fitted.messages, fitted.prefill)


@given(lengths=st.lists(st.integers(0, 300), min_size=3, max_size=61), total=st.integers(100, 4000))
def test_no_more_turns_are_left_out_than_needed_and_few_are_tried(lengths: list[int], total: int) -> None:
    messages, room, tried = talk(*lengths), ContextRoom.of(total, None), 0

    def counted(sent: Sequence[ChatMessage], prefill: str) -> int:
        nonlocal tried
        tried += 1
        return count(sent, prefill)

    fitted = fit_conversation(messages, "", Overflow.DROP_OLDEST, room, counted)
    assert tried <= 3 + 2 * len(messages).bit_length()
    if fitted.cut:
        turns_left = len(fitted.messages)
        with_one_more = count(messages[len(messages) - turns_left - 2:], "")
        assert with_one_more > room.kept or not fitted.cut.left_out
        assert fitted.tokens <= room.kept or turns_left <= 2


@given(text=st.text(max_size=60), kept=st.integers(0, 70))
def test_cutting_the_middle_keeps_as_much_as_was_said(text: str, kept: int) -> None:
    cut = cut_middle(text, kept)
    assert cut == text if len(text) <= kept else len(cut) == kept + len(CUT_MARK)
    assert cut_middle(text, None) == text
