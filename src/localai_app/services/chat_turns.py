"""A stored chat as models want it, and which stored messages each turn came from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from localai_app.engine.protocol import ChatMessage, HistoryCut, Shortened, ToolCall
from localai_app.services.thinking import parts_of
from localai_app.store.records import AnswerCut, Message, Role


@dataclass(frozen=True, slots=True)
class Turns:
    """`sources` are the ids of the stored messages in each of `messages`; none for the system prompt."""

    messages: tuple[ChatMessage, ...] = ()
    sources: tuple[tuple[int, ...], ...] = ()

    def to_stored(self, cut: HistoryCut, answer_id: int) -> AnswerCut:
        """A cut of these turns as it is kept with the answer that was given to them."""
        left_out = tuple(message_id for index in cut.left_out for message_id in self._at(index, answer_id))
        shortened = tuple(
            (message_id, part.kept_chars) for part in cut.shortened for message_id in self._at(part.index, answer_id)[-1:])
        return AnswerCut(left_out=left_out, shortened=shortened)

    def from_stored(self, cut: AnswerCut) -> HistoryCut:
        """What an earlier cut of this chat says about these turns; messages that are no longer there are passed over."""
        left_out = set(cut.left_out)
        lengths = dict(cut.shortened)
        return HistoryCut(
            left_out=tuple(
                index for index, sources in enumerate(self.sources) if sources and left_out.issuperset(sources)),
            shortened=tuple(
                Shortened(index=index, kept_chars=lengths[sources[-1]])
                for index, sources in enumerate(self.sources) if sources and sources[-1] in lengths))

    def _at(self, index: int, answer_id: int) -> tuple[int, ...]:
        if index == len(self.messages):
            return (answer_id,)
        return self.sources[index] if index < len(self.sources) else ()


def chat_turns(system_prompt: str, history: Sequence[Message]) -> Turns:
    """Instructions first, then question and answer by turns, without old thinking and empty messages."""
    messages: list[ChatMessage] = []
    sources: list[tuple[int, ...]] = []
    if system_prompt.strip():
        messages.append(ChatMessage(role=Role.SYSTEM.value, content=system_prompt.strip()))
        sources.append(())
    for message in history:
        text = parts_of(message).answer
        calls = msgspec.convert(list(message.tool_calls), type=tuple[ToolCall, ...], from_attributes=True)
        if not text and not calls:
            continue
        is_joined = bool(messages) and messages[-1].role == message.role.value and not messages[-1].tool_calls
        if is_joined and not calls:
            messages[-1] = ChatMessage(role=message.role.value, content=f"{messages[-1].content}\n\n{text}")
            sources[-1] = (*sources[-1], message.id)
        else:
            messages.append(ChatMessage(role=message.role.value, content=text, tool_calls=calls))
            sources.append((message.id,))
    return Turns(tuple(messages), tuple(sources))


def last_cut(history: Sequence[Message]) -> AnswerCut | None:
    """What was left out for the newest answer of a chat; None where nothing was."""
    answers = (message for message in reversed(history) if message.role is Role.ASSISTANT)
    newest = next(answers, None)
    return newest.cut if newest is not None else None
