"""A chat that outgrows its context, through the services: said before, kept with the answer, there after a restart."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest

from localai_app.engine.protocol import FinishReason, HistoryCut, Overflow, TokensCounted
from localai_app.services.app_services import AppServices
from localai_app.services.chat_settings import ChatSettings
from localai_app.services.context_words import warning_before_sending
from localai_app.services.events import AnswerEnded, ContextChecked, MessageAdded, ModelLoaded
from localai_app.store.records import Message, MessageState
from tests.helpers.services_fixture import TINY_KEY, EventRecorder, install_tiny_model, open_services

BANANAS = "banana " * 60
ECHO = ("--text", "prompt")


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    install_tiny_model(tmp_path)
    return tmp_path


@pytest.fixture
def services(data_dir: Path) -> Iterator[AppServices]:
    with open_services(data_dir, echo=ECHO) as opened:
        opened.settings.set("context_tokens", 512)
        yield opened


@dataclasses.dataclass
class Talk:
    """One chat of a running program."""

    services: AppServices
    recorder: EventRecorder
    conversation_id: int

    def say(self, text: str) -> Message:
        """Send a message and wait for the end of its answer."""
        n_ended = len(self.recorder.of(AnswerEnded))
        self.services.chat.send(self.conversation_id, text)
        return self.recorder.wait_for(AnswerEnded, n_ended + 1).message

    def check(self, draft: str) -> ContextChecked:
        """Ask how long the chat would be with this, and wait for what is said."""
        n_checked = len(self.recorder.of(ContextChecked))
        self.services.chat.check_context(self.conversation_id, draft)
        return self.recorder.wait_for(ContextChecked, n_checked + 1)

    def messages(self) -> tuple[Message, ...]:
        return self.services.chat.messages(self.conversation_id)


def begin(services: AppServices, **settings: str) -> Talk:
    conversation = services.chat.create()
    if settings:
        services.chat_settings.set(conversation.id, ChatSettings(**settings))
    return Talk(services, EventRecorder(services), conversation.id)


def test_the_oldest_messages_are_left_out_as_was_said_before(services: AppServices, data_dir: Path) -> None:
    talk = begin(services)
    for turn in range(3):
        assert talk.say(f"{turn} {BANANAS}").cut is None
    short = talk.check("And now?")
    assert short.words == ""
    assert short.counted.prompt_tokens < 512
    said = talk.check(f"3 {BANANAS}")
    before = [message.id for message in talk.messages()]
    assert f"({said.counted.prompt_tokens} of 512 tokens): the " in said.words
    n_added = len(talk.recorder.of(MessageAdded))
    answer = talk.say(f"3 {BANANAS}")
    assert answer.cut is not None
    n_left_out = len(answer.cut.left_out)
    assert list(answer.cut.left_out) == before[:n_left_out]
    assert n_left_out % 2 == 0
    assert f"the {n_left_out} oldest messages will be left out" in said.words
    assert [event.message.cut for event in talk.recorder.of(MessageAdded)[n_added:]][-1] == answer.cut
    following = talk.say("Go on.")
    assert following.cut == answer.cut
    services.close()
    with open_services(data_dir, echo=ECHO) as again:
        kept = again.chat.messages(talk.conversation_id)
        assert kept[-1].cut == answer.cut
        assert [message.cut is None for message in kept] == [True] * 7 + [False, True, False]


def test_a_chat_that_must_not_be_cut_is_refused_as_was_said_before(services: AppServices) -> None:
    talk = begin(services, overflow="stop")
    for turn in range(4):
        talk.say(f"{turn} {BANANAS}")
    said = talk.check(f"4 {BANANAS}")
    assert said.words.endswith("tokens): it will not be answered.")
    refused = talk.say(f"4 {BANANAS}")
    assert refused.state is MessageState.INTERRUPTED
    assert refused.error.startswith("The conversation needs ")
    assert not services.chat.can_outgrow_context(talk.conversation_id)


def test_the_middle_is_cut_where_the_chat_wants_it(services: AppServices) -> None:
    talk = begin(services, overflow="cut_middle")
    for turn in range(3):
        talk.say(f"{turn} {BANANAS}")
    said = talk.check(f"3 {BANANAS}")
    assert "in the middle will be left out" in said.words
    answer = talk.say(f"3 {BANANAS}")
    first = [message.id for message in talk.messages()][:2]
    assert answer.cut is not None
    assert answer.cut.left_out
    assert not set(answer.cut.left_out) & set(first)


def test_one_message_longer_than_the_context_loses_its_middle(services: AppServices) -> None:
    talk = begin(services, overflow="cut_middle")
    services.engine.load(TINY_KEY)
    talk.recorder.wait_for(ModelLoaded)
    said = talk.check("banana " * 900)
    assert said.words.endswith("the middle of a long message will be left out.")
    answer = talk.say("banana " * 900)
    question = talk.messages()[0]
    assert answer.cut is not None
    assert [message_id for message_id, _kept in answer.cut.shortened] == [question.id]
    assert talk.messages()[0].text == ("banana " * 900)


def test_words_never_say_longer_of_what_only_leaves_no_room() -> None:
    tight = TokensCounted(id=1, prompt_tokens=490, sent_tokens=300, context_total=512, cut=HistoryCut(left_out=(0,)))
    assert warning_before_sending(tight, 1, Overflow.DROP_OLDEST) == (
        "The conversation leaves too little of the context for an answer (490 of 512 tokens): "
        "the oldest message will be left out.")
    whole = TokensCounted(id=1, prompt_tokens=300, sent_tokens=300, context_total=512)
    assert warning_before_sending(whole, 0, Overflow.DROP_OLDEST) == ""


def test_without_a_model_nothing_is_counted(services: AppServices) -> None:
    talk = begin(services)
    services.chat.check_context(None, "Hello?")
    services.chat.check_context(talk.conversation_id, "Hello?")
    assert not talk.recorder.of(ContextChecked)


def test_an_answer_that_fills_the_context_goes_on_under_the_policy(data_dir: Path) -> None:
    with open_services(data_dir, echo=("--tokens", "600")) as services:
        services.settings.set("context_tokens", 512)
        talk = begin(services, overflow="cut_middle")
        first = talk.say(BANANAS)
        assert first.stats is not None
        assert first.stats.finish_reason == FinishReason.CONTEXT.value
        assert services.chat.can_outgrow_context(talk.conversation_id)
        n_ended = len(talk.recorder.of(AnswerEnded))
        services.chat.continue_answer(talk.conversation_id)
        more = talk.recorder.wait_for(AnswerEnded, n_ended + 1).message
        assert more.id == first.id
        assert more.text.startswith(first.text)
        assert len(more.text) > len(first.text)
        assert more.cut is not None
        assert more.id in [message_id for message_id, _kept in more.cut.shortened]
