"""Which part of a conversation goes to the model where all of it is longer than the context."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import msgspec

from localai_app.engine.conversation import ChatMessage, HistoryCut, Overflow, Shortened

CUT_MARK = "\n[...]\n"
"""Stands in a message for the part of its middle that was cut out."""
MIN_KEPT_CHARS = 64
"""A message is never cut to less: what is left would say nothing."""
_ANSWER_SHARE = 4
_LONGEST_DEFAULT_ANSWER = 1024
_MARKUP_CHARS = 16
"""About what a template puts around a message, for guesses."""


@dataclass(frozen=True, slots=True)
class Fitted:
    """What is sent, and what that leaves out. `tokens` is the length of what is sent, `whole_tokens` of everything."""

    messages: tuple[ChatMessage, ...]
    prefill: str
    cut: HistoryCut
    tokens: int
    whole_tokens: int


@dataclass(frozen=True, slots=True)
class ContextRoom:
    """Lengths in tokens: the context, and the part of it that a prompt may take so that there is room for an answer.

    `kept` is how much is left of a conversation that had to be cut. It is less than `prompt`, so that the next turns
    find room behind what the cache holds already, and the conversation is read anew once in several turns only.
    """

    total: int
    prompt: int
    kept: int

    @classmethod
    def of(cls, total: int, max_tokens: int | None) -> ContextRoom:
        """Room for the longest answer that was asked for, or for 1,024 tokens; at most a quarter of the context."""
        answer = min(max_tokens or _LONGEST_DEFAULT_ANSWER, total // _ANSWER_SHARE)
        return cls(total, total - answer, (total - answer) * 3 // 4)


Count = Callable[[Sequence[ChatMessage], str], int]
"""The number of tokens of a prompt made of messages and the beginning of the answer."""


@dataclass(frozen=True, slots=True)
class _Conversation:
    messages: tuple[ChatMessage, ...]
    prefill: str
    count: Count
    whole_tokens: int

    def with_cut(self, cut: HistoryCut) -> Fitted:
        """What is sent if this is left out."""
        left_out, lengths = set(cut.left_out), {part.index: part.kept_chars for part in cut.shortened}
        kept = tuple(
            _shorten(message, lengths.get(index)) for index, message in enumerate(self.messages) if index not in left_out)
        prefill = cut_middle(self.prefill, lengths.get(len(self.messages)))
        return Fitted(kept, prefill, cut, self.count(kept, prefill), self.whole_tokens)

    def turns(self) -> list[list[int]]:
        """Places of the messages that belong together: a question with all that follows it. System messages at the
        beginning belong to none and always stay."""
        turns: list[list[int]] = []
        for index, message in enumerate(self.messages):
            if message.role == "system" and not turns:
                continue
            if message.role == "user" or not turns:
                turns.append([])
            turns[-1].append(index)
        return turns


def fit_conversation(
    messages: Sequence[ChatMessage], prefill: str, policy: Overflow, room: ContextRoom, count: Count, *,
    known: HistoryCut | None = None,
) -> Fitted:
    """The conversation as it is sent under a policy; `Fitted.tokens` tells where even that is too long.

    `known` is what was left out of the same conversation the last time: as long as that is enough, nothing else is, so
    that the prompt begins as it did then. The system message and the newest question are never left out.
    """
    whole_tokens = count(messages, prefill)
    conversation = _Conversation(tuple(messages), prefill, count, whole_tokens)
    whole = Fitted(conversation.messages, prefill, HistoryCut(), whole_tokens, whole_tokens)
    if whole_tokens <= room.prompt or policy is Overflow.STOP:
        return whole
    turns = conversation.turns()
    if known is not None and _is_possible(known, conversation, turns, policy):
        fitted = conversation.with_cut(known)
        if room.prompt // 2 <= fitted.tokens <= room.prompt:
            return fitted
    fitted = _without_turns(conversation, turns, 0 if policy is Overflow.DROP_OLDEST else 1, room)
    if fitted.tokens > room.prompt and policy is Overflow.CUT_MIDDLE:
        fitted = _with_short_messages(conversation, fitted.cut, room.prompt if len(turns) < 2 else room.kept)
    return fitted


def cut_middle(text: str, kept_chars: int | None) -> str:
    """The beginning and the end of a text, `kept_chars` of it in all, with a mark between them; None: all of it."""
    if kept_chars is None or len(text) <= kept_chars:
        return text
    head = (kept_chars + 1) // 2
    return text[:head] + CUT_MARK + text[len(text) - (kept_chars - head):]


def _without_turns(conversation: _Conversation, turns: list[list[int]], first: int, room: ContextRoom) -> Fitted:
    """Leave out as few turns as possible, the ones from `first` on; all but the newest if that is still too much.

    Counting costs time, so the search begins where the lengths of the texts say and goes on in growing steps.
    """
    def without(n_turns: int) -> Fitted:
        left_out = tuple(index for turn in turns[first:first + n_turns] for index in turn)
        return conversation.with_cut(HistoryCut(left_out=left_out))

    low, high = 0, max(0, len(turns) - 1 - first)
    fitted: Fitted | None = None
    probe, step = _guessed_turns(conversation, turns[first:-1], room), 1
    while high - low > 1:
        n_turns = min(max(probe, low + 1), high - 1)
        tried = without(n_turns)
        if tried.tokens <= room.kept:
            high, fitted, probe = n_turns, tried, n_turns - step
        else:
            low, probe = n_turns, n_turns + step
        if low > 0 and fitted is not None:
            probe = (low + high) // 2
        step *= 2
    return fitted if fitted is not None else without(high)


def _guessed_turns(conversation: _Conversation, turns: list[list[int]], room: ContextRoom) -> int:
    """How many of these turns have to go if all texts have the same share of tokens."""
    lengths = [sum(len(conversation.messages[index].content) + _MARKUP_CHARS for index in turn) for turn in turns]
    whole = sum(len(message.content) + _MARKUP_CHARS for message in conversation.messages) + len(conversation.prefill)
    surplus = whole * (1 - room.kept / conversation.whole_tokens)
    for n_turns, length in enumerate(lengths, 1):
        surplus -= length
        if surplus <= 0:
            return n_turns
    return len(turns)


def _with_short_messages(conversation: _Conversation, cut: HistoryCut, goal: int) -> Fitted:
    """Cut the middle out of the longest messages: of all that are longer than a length, which is as large as possible."""
    sizes = {
        index: len(message.content) for index, message in enumerate(conversation.messages)
        if message.role != "system" and index not in cut.left_out}
    sizes[len(conversation.messages)] = len(conversation.prefill)

    def with_length(length: int) -> Fitted:
        shortened = tuple(Shortened(index=index, kept_chars=length) for index, size in sizes.items() if size > length)
        return conversation.with_cut(msgspec.structs.replace(cut, shortened=shortened))

    low, high = MIN_KEPT_CHARS, max(sizes.values())
    fitted = with_length(low)
    while high - low > max(8, low // 100):
        middle = (low + high) // 2
        tried = with_length(middle)
        if tried.tokens <= goal:
            low, fitted = middle, tried
        else:
            high = middle
    return fitted


def _is_possible(cut: HistoryCut, conversation: _Conversation, turns: list[list[int]], policy: Overflow) -> bool:
    """Whether a cut of before can be made again: whole turns from the place where the policy cuts, not the newest one."""
    first = 0 if policy is Overflow.DROP_OLDEST else 1
    candidates = [index for turn in turns[first:-1] for index in turn]
    ends = {turn[-1] for turn in turns}
    if cut.left_out != tuple(candidates[:len(cut.left_out)]) or (cut.left_out and cut.left_out[-1] not in ends):
        return False
    if policy is Overflow.DROP_OLDEST:
        return bool(cut.left_out) and not cut.shortened
    return all(0 <= part.index <= len(conversation.messages) for part in cut.shortened)


def _shorten(message: ChatMessage, kept_chars: int | None) -> ChatMessage:
    if kept_chars is None:
        return message
    return msgspec.structs.replace(message, content=cut_middle(message.content, kept_chars))
