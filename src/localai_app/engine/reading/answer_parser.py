"""Tells thinking, answer and tool calls apart in the text of a model while it streams.

The result does not depend on how the text is cut into pieces: what could still become a tag is held back,
and what is decided looks only at the text before it. Tags in code (a fence, or between backticks) are text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from localai_app.engine.protocol import Channel, ToolCall
from localai_app.engine.reading.markers import earliest, is_in_code, is_in_json_string, partial_length
from localai_app.engine.reading.thinking_tags import THINK, TagPair
from localai_app.engine.reading.tool_calls import ToolSyntax, parse_calls


@dataclass(frozen=True, slots=True)
class Piece:
    """Text of one channel. `takes_back`: all of the answer so far was thinking, and this is how that thinking ends."""

    channel: Channel
    text: str
    takes_back: bool = False


class AnswerParser(Protocol):
    """Takes the text of one answer."""

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """The calls so far; complete after `finish`."""

    @property
    def is_thinking(self) -> bool:
        """Whether the next text belongs to the thinking."""

    def feed(self, text: str) -> list[Piece]:
        """What is certain now."""

    def finish(self) -> list[Piece]:
        """What was held back: no more text comes."""


class PlainParser:
    """All text is the answer: continued texts of base models."""

    tool_calls: tuple[ToolCall, ...] = ()
    is_thinking = False

    def feed(self, text: str) -> list[Piece]:
        """The same text."""
        return [Piece(Channel.ANSWER, text)] if text else []

    def finish(self) -> list[Piece]:
        """Nothing is held back."""
        return []


class _State(Enum):
    START = "start"
    """Nothing but blanks since the beginning, the end of thinking or a tool call: a tag here is a tag."""
    ANSWER = "answer"
    THINKING = "thinking"
    TOOL = "tool"


class TagParser:
    """For models that mark thinking and tool calls by tags.

    `opened`: the prompt ends with this pair's opening tag. `bare_tools`: names of tools whose calls may come as plain JSON.
    """

    def __init__(
        self, pairs: Sequence[TagPair] = (THINK,), tools: Sequence[ToolSyntax] = (), *, opened: TagPair | None = None,
        bare_tools: Sequence[str] = (),
    ) -> None:
        self._pairs, self._tools, self._bare_tools = tuple(pairs), tuple(tools), tuple(bare_tools)
        self._call_tags = tuple(syntax.opening for syntax in self._tools)
        self._answer_tags = (*(pair.closing for pair in self._pairs), *self._call_tags)
        self._state = _State.THINKING if opened is not None else _State.START
        self._pair = opened or self._pairs[0]
        self._syntax: ToolSyntax | None = None
        self._held = ""
        """What came and is not assigned yet."""
        self._answer = ""
        self._thinking = ""
        self._blanks = ""
        """Blank end of the thinking so far: shown only if more of it follows."""
        self._body = ""
        self._calls: list[ToolCall] = []
        self._has_begun = False
        """Whether thinking or a call is behind: blanks that follow belong to neither."""
        self._closings = 0
        """How many closing tags may still come because thinking held opening tags, or code that was not closed."""
        self._may_close_bare = opened is None
        self._pieces: list[Piece] = []

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """The calls so far."""
        return tuple(self._calls)

    @property
    def is_thinking(self) -> bool:
        """Whether the next text belongs to the thinking."""
        return self._state is _State.THINKING

    def feed(self, text: str) -> list[Piece]:
        """What is certain now."""
        self._held += text
        return self._run(is_end=False)

    def finish(self) -> list[Piece]:
        """The rest. Thinking that was not closed stays thinking; a call that was not closed is read as far as it goes."""
        pieces = self._run(is_end=True)
        if self._state is _State.TOOL:
            self._end_call("", is_cut_off=True)
        return pieces

    def _run(self, *, is_end: bool) -> list[Piece]:
        while self._held and self._step(is_end):
            pass
        pieces, self._pieces = self._pieces, []
        return pieces

    def _step(self, is_end: bool) -> bool:
        match self._state:
            case _State.ANSWER:
                return self._take_answer(is_end)
            case _State.THINKING:
                return self._take_thinking(is_end)
            case _State.START:
                return self._start(is_end)
            case _State.TOOL:
                return self._take_tool(is_end)

    def _start(self, is_end: bool) -> bool:
        """Decide what begins; false if that needs more text."""
        text = self._held.lstrip()
        if not text and (not is_end or self._has_begun):
            if is_end:
                self._held = ""
            return False
        for pair in self._pairs:
            if text.startswith(pair.opening):
                self._pair, self._held, self._state = pair, text[len(pair.opening):], _State.THINKING
                self._may_close_bare = False
                self._blanks = "\n\n" if self._thinking else ""
                return True
        for syntax in self._tools:
            if text.startswith(syntax.opening):
                self._begin_call(syntax, text[len(syntax.opening):])
                return True
        markers = (*(pair.opening for pair in self._pairs), *self._call_tags)
        if not is_end and any(marker.startswith(text) for marker in markers):
            return False
        if self._bare_tools and not self._has_begun and text[:1] in ("{", "["):
            return self._take_bare_call(text) if is_end else False
        self._held = text if self._has_begun else self._held
        self._state = _State.ANSWER
        return True

    def _take_answer(self, is_end: bool) -> bool:
        markers = self._answer_tags if self._may_close_bare or self._closings else self._call_tags
        found = earliest(self._held, markers)
        if found is None:
            cut = len(self._held) - (0 if is_end else partial_length(self._held, markers))
            self._emit_answer(self._held[:cut])
            self._held = self._held[cut:]
            return False
        place, marker = found
        before, after = self._held[:place], self._held[place + len(marker):]
        syntax = next((syntax for syntax in self._tools if syntax.opening == marker), None)
        if is_in_code(self._code_before() + before):
            self._emit_answer(before + marker)
            self._held = after
        elif syntax is not None:
            self._emit_answer(before)
            self._begin_call(syntax, after)
        else:
            self._take_back(before, after)
        return True

    def _code_before(self) -> str:
        """The text that says whether a tag stands in code: with the thinking, where that ended in the middle of code."""
        return self._thinking + "\n" + self._answer if self._closings and is_in_code(self._thinking) else self._answer

    def _take_back(self, before: str, after: str) -> None:
        """A closing tag without an opening one: all that came before it was thinking."""
        self._closings = max(0, self._closings - 1)
        self._thinking += self._answer + before
        self._answer, self._blanks, self._may_close_bare, self._has_begun = "", "", False, True
        self._pieces.append(Piece(Channel.THINKING, before, takes_back=True))
        self._held, self._state = after, _State.START

    def _take_thinking(self, is_end: bool) -> bool:
        closing = self._pair.closing
        place = self._held.find(closing)
        end = place + len(closing)
        if place < 0:
            cut = len(self._held) - (0 if is_end else partial_length(self._held, [closing]))
            self._emit_thinking(self._held[:cut])
            self._held = self._held[cut:]
            return False
        is_after_backtick = (self._thinking + self._blanks + self._held[:place])[-1:] == "`"
        if is_after_backtick and end == len(self._held) and not is_end:
            # Only what follows tells a quoted tag from one that ends the thinking.
            return False
        if is_after_backtick and self._held[end:end + 1] == "`":
            self._emit_thinking(self._held[:end])
            self._held = self._held[end:]
            return True
        self._emit_thinking(self._held[:place])
        self._blanks = ""
        self._closings = self._thinking.count(self._pair.opening) + is_in_code(self._thinking)
        self._held, self._state, self._has_begun = self._held[end:], _State.START, True
        return True

    def _begin_call(self, syntax: ToolSyntax, rest: str) -> None:
        self._syntax, self._body, self._held = syntax, "", rest
        self._state, self._has_begun, self._may_close_bare, self._closings = _State.TOOL, True, False, 0
        self._pieces.append(Piece(Channel.TOOL, syntax.opening))

    def _take_tool(self, is_end: bool) -> bool:
        assert self._syntax is not None
        closing = self._syntax.closing
        place = self._held.find(closing) if closing else -1
        if place < 0:
            cut = len(self._held) - (partial_length(self._held, [closing]) if closing and not is_end else 0)
            self._emit_tool(self._held[:cut])
            self._held = self._held[cut:]
            return False
        self._emit_tool(self._held[:place])
        self._held = self._held[place + len(closing):]
        if is_in_json_string(self._body):
            self._emit_tool(closing)
        else:
            self._pieces.append(Piece(Channel.TOOL, closing))
            self._end_call(closing, is_cut_off=False)
        return True

    def _end_call(self, closing: str, *, is_cut_off: bool) -> None:
        assert self._syntax is not None
        raw = self._syntax.opening + self._body + closing
        is_cut_off = is_cut_off and bool(self._syntax.closing)
        self._calls += parse_calls(self._body, raw, first_number=len(self._calls) + 1, is_cut_off=is_cut_off)
        self._body, self._state = "", _State.START

    def _take_bare_call(self, text: str) -> bool:
        """An answer that is nothing but JSON calls of known tools; anything else is an answer."""
        calls = parse_calls(text, text, first_number=1)
        if calls and all(not call.problem and call.name in self._bare_tools for call in calls):
            self._calls += calls
            self._pieces.append(Piece(Channel.TOOL, text))
        else:
            self._emit_answer(self._held)
        self._held = ""
        return False

    def _emit_answer(self, text: str) -> None:
        if text:
            self._answer += text
            self._pieces.append(Piece(Channel.ANSWER, text))

    def _emit_thinking(self, text: str) -> None:
        text = self._blanks + text
        solid = text.rstrip()
        self._blanks = text[len(solid):]
        if not self._thinking:
            solid = solid.lstrip()
        if solid:
            self._thinking += solid
            self._pieces.append(Piece(Channel.THINKING, solid))

    def _emit_tool(self, text: str) -> None:
        if text:
            self._body += text
            self._pieces.append(Piece(Channel.TOOL, text))
