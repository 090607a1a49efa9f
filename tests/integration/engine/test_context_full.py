"""A conversation that outgrows its context, with a real model: what is sent, what is said of it, what the cache keeps."""

from __future__ import annotations

import importlib.util

import msgspec
import pytest

from localai_app.engine.protocol import (
    Chat,
    ChatMessage,
    ContextCut,
    CountTokens,
    FinishReason,
    HistoryCut,
    Overflow,
    PromptProgressed,
    Sampling,
    TextGenerated,
    TokensCounted,
)
from tests.helpers.quick_model import quick_smollm2_path
from tests.integration.engine.conftest import RecordedWorker

pytestmark = [
    pytest.mark.model,
    pytest.mark.skipif(importlib.util.find_spec("llama_cpp") is None, reason="llama.cpp is not installed"),
]

CTX = 256
SHORT = Sampling(temperature=0.0, max_tokens=4)


def bananas(n_turns: int, words: int = 12) -> tuple[ChatMessage, ...]:
    """A system message, so many exchanges about bananas, and a question."""
    messages = [ChatMessage(role="system", content="Answer in one word.")]
    for turn in range(n_turns):
        messages += [
            ChatMessage(role="user", content=f"Turn {turn}: " + "banana " * words),
            ChatMessage(role="assistant", content=f"Yes, {turn}.")]
    return (*messages, ChatMessage(role="user", content="Which fruit was it?"))


def ask(
    worker: RecordedWorker, messages: tuple[ChatMessage, ...], policy: Overflow, sampling: Sampling = SHORT, *,
    known: HistoryCut | None = None, prefill: str = "",
) -> int:
    request_id = worker.new_id()
    worker.client.send(Chat(
        id=request_id, messages=messages, sampling=sampling, overflow=policy, known_cut=known, prefill=prefill))
    return request_id


def counted(
    worker: RecordedWorker, messages: tuple[ChatMessage, ...], policy: Overflow, *, known: HistoryCut | None = None,
) -> TokensCounted:
    request_id = worker.new_id()
    chat = Chat(id=request_id, messages=messages, sampling=SHORT, overflow=policy, known_cut=known)
    worker.client.send(CountTokens(id=request_id, chat=chat))
    return worker.wait_for(TokensCounted, request_id)


def cut_of(worker: RecordedWorker, request_id: int) -> HistoryCut | None:
    return next((event.cut for event in worker.events if isinstance(event, ContextCut) and event.id == request_id), None)


@pytest.fixture
def smollm2(start_worker) -> RecordedWorker:
    worker: RecordedWorker = start_worker("llama")
    worker.load(model_path=str(quick_smollm2_path()), ctx=CTX)
    return worker


def test_each_policy_says_before_what_it_does_then(smollm2: RecordedWorker) -> None:
    fits, too_long = bananas(2), bananas(12)
    for policy in Overflow:
        before = counted(smollm2, fits, policy)
        assert before.prompt_tokens == before.sent_tokens < CTX == before.context_total
        assert not before.cut
        request_id = ask(smollm2, fits, policy)
        assert smollm2.finish(request_id)[1].stats.prompt_tokens == before.prompt_tokens
        assert cut_of(smollm2, request_id) is None

    before = counted(smollm2, too_long, Overflow.STOP)
    assert before.prompt_tokens > CTX
    assert before.sent_tokens is None
    refusal = smollm2.refusal(ask(smollm2, too_long, Overflow.STOP))
    assert refusal.code == "prompt_too_long"
    assert refusal.fields == {"needed": f"{before.prompt_tokens:,}", "context": f"{CTX:,}"}

    for policy, first in ((Overflow.DROP_OLDEST, 1), (Overflow.CUT_MIDDLE, 3)):
        before = counted(smollm2, too_long, policy)
        assert before.prompt_tokens > CTX > (before.sent_tokens or CTX)
        request_id = ask(smollm2, too_long, policy)
        text, finished = smollm2.finish(request_id)
        cut = cut_of(smollm2, request_id)
        assert text
        assert cut == before.cut
        assert finished.stats.prompt_tokens == before.sent_tokens
        assert cut is not None
        assert not cut.shortened
        assert cut.left_out == tuple(range(first, first + len(cut.left_out)))
        kinds = [type(event) for event in smollm2.events if getattr(event, "id", None) == request_id]
        assert kinds.index(ContextCut) < kinds.index(PromptProgressed) < kinds.index(TextGenerated)


@pytest.mark.parametrize("policy", [Overflow.DROP_OLDEST, Overflow.CUT_MIDDLE])
def test_the_model_answers_as_if_only_what_was_kept_had_been_said(smollm2: RecordedWorker, policy: Overflow) -> None:
    messages = bananas(12)
    before = counted(smollm2, messages, policy)
    kept = tuple(message for index, message in enumerate(messages) if index not in before.cut.left_out)
    answers = []
    for sent in (messages, kept):
        # From a cold cache both times: a prompt that is read in other steps may be answered in other words.
        smollm2.load(model_path=str(quick_smollm2_path()), ctx=CTX)
        answers.append(smollm2.finish(ask(smollm2, sent, policy))[0])
    assert answers[0] == answers[1] != ""


def test_turns_after_a_cut_read_only_what_is_new(smollm2: RecordedWorker) -> None:
    messages, known = bananas(3)[:-1], None
    n_cuts = n_read_anew = 0
    for turn in range(10):
        messages = (*messages, ChatMessage(role="user", content=f"Next {turn}: " + "banana " * 8))
        request_id = ask(smollm2, messages, Overflow.DROP_OLDEST, known=known)
        text, finished = smollm2.finish(request_id)
        stats, cut = finished.stats, cut_of(smollm2, request_id)
        assert stats.prompt_tokens <= CTX - 4
        if cut != known:
            n_cuts += 1
        elif turn:
            n_read_anew += stats.prompt_tokens - stats.reused_tokens > 40
        known = cut
        messages = (*messages, ChatMessage(role="assistant", content=text))
    assert 2 <= n_cuts <= 5
    assert n_read_anew == 0


def test_another_context_is_counted_anew(smollm2: RecordedWorker) -> None:
    messages = bananas(12)
    small = counted(smollm2, messages, Overflow.DROP_OLDEST)
    assert counted(smollm2, messages, Overflow.DROP_OLDEST) == msgspec.structs.replace(small, id=small.id + 1)
    smollm2.load(model_path=str(quick_smollm2_path()), ctx=4 * CTX)
    large = counted(smollm2, messages, Overflow.DROP_OLDEST)
    assert (large.prompt_tokens, large.context_total, large.cut) == (small.prompt_tokens, 4 * CTX, HistoryCut())


def test_a_single_question_longer_than_the_context(smollm2: RecordedWorker) -> None:
    question = (ChatMessage(role="user", content="Begin. " + "banana " * 600 + " What was the first word?"),)
    refusal = smollm2.refusal(ask(smollm2, question, Overflow.DROP_OLDEST))
    assert refusal.code == "prompt_too_long"
    request_id = ask(smollm2, question, Overflow.CUT_MIDDLE)
    text, finished = smollm2.finish(request_id)
    cut = cut_of(smollm2, request_id)
    assert text
    assert cut is not None
    assert [part.index for part in cut.shortened] == [0]
    assert CTX * 0.8 < finished.stats.prompt_tokens < CTX
    assert smollm2.client.is_running


def test_a_context_that_fills_up_while_answering_ends_the_answer_and_the_policy_lets_it_go_on(smollm2: RecordedWorker) -> None:
    messages = bananas(2, words=40)
    first_id = ask(smollm2, messages, Overflow.DROP_OLDEST, Sampling(temperature=0.0), prefill="One banana, two bananas, three")
    text, finished = smollm2.finish(first_id)
    assert text
    assert (finished.reason, finished.stats.context_used) == (FinishReason.CONTEXT, CTX)
    whole = "One banana, two bananas, three" + text
    refused = smollm2.refusal(ask(smollm2, messages, Overflow.STOP, SHORT, prefill=whole))
    assert refused.code == "prompt_too_long"
    more_id = ask(smollm2, messages, Overflow.CUT_MIDDLE, SHORT, prefill=whole)
    more, _ = smollm2.finish(more_id)
    assert more
    assert cut_of(smollm2, more_id)
