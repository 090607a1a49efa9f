"""What was thought and what was said: of stored messages, and of answers that stream."""

from __future__ import annotations

from dataclasses import dataclass, field

from localai_app.engine.protocol import Channel
from localai_app.engine.reading.answer_parser import TagParser
from localai_app.store.records import Message, MessageState, Role


@dataclass(slots=True)
class AnswerText:
    """An answer in its parts, put together from the pieces of a stream."""

    thinking: str = ""
    answer: str = ""
    tool: str = ""
    """Calls of tools as the model writes them."""
    is_open: bool = field(default=False)
    """Whether the thinking has not ended (yet)."""

    def add(self, channel: Channel, text: str, *, takes_back: bool = False) -> None:
        """Take the next piece; `takes_back` as in `protocol.TextGenerated`."""
        if takes_back:
            self.thinking, self.answer = self.thinking + self.answer, ""
        match channel:
            case Channel.THINKING:
                self.thinking += text
            case Channel.ANSWER:
                self.answer += text
            case Channel.TOOL:
                self.tool += text
        self.is_open = channel is Channel.THINKING and not takes_back


def parts_of(message: Message) -> AnswerText:
    """A message in its parts. Answers of older versions hold thinking and tags in one text."""
    if message.role is not Role.ASSISTANT:
        return AnswerText(answer=message.text)
    if message.thinking is None:
        return split_thinking(message.text)
    has_ended = bool(message.text or message.tool_calls) or message.state is MessageState.DONE
    return AnswerText(message.thinking, message.text, is_open=bool(message.thinking) and not has_ended)


def split_thinking(text: str) -> AnswerText:
    """A complete text with `<think>` tags in its parts."""
    parts, parser = AnswerText(), TagParser()
    for piece in [*parser.feed(text), *parser.finish()]:
        parts.add(piece.channel, piece.text, takes_back=piece.takes_back)
    parts.thinking = parts.thinking.strip()
    return parts
