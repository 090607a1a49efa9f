"""The answers of gpt-oss: messages with a channel each (`analysis`, `commentary`, `final`), perhaps to a tool."""

from __future__ import annotations

import re

from localai_app.engine.protocol import Channel, ToolCall
from localai_app.engine.reading.answer_parser import Piece
from localai_app.engine.reading.markers import earliest, partial_length
from localai_app.engine.reading.tool_calls import parse_calls

START, CHANNEL, CONSTRAIN, MESSAGE = "<|start|>", "<|channel|>", "<|constrain|>", "<|message|>"
ENDS = ("<|end|>", "<|call|>", "<|return|>")
MARKERS = (START, CHANNEL, CONSTRAIN, MESSAGE, *ENDS)
HEADS = (START, CHANNEL, MESSAGE, "to=")
"""How a header begins behind `<|start|>assistant` or a former message."""
_RECIPIENT = re.compile(r"\bto=([\w.:-]+)")
_CHANNEL_NAME = re.compile(r"<\|channel\|>\s*(\w+)")


class HarmonyParser:
    """The prompt ends with `<|start|>assistant`: a header comes first, then `<|message|>` and its text."""

    def __init__(self) -> None:
        self._held = ""
        self._is_header = True
        """Whether what comes is the header of a message, and not yet its text."""
        self._channel = Channel.ANSWER
        self._tool = ""
        self._body = ""
        self._calls: list[ToolCall] = []
        self._blanks: dict[Channel, str] = {}
        self._begun: set[Channel] = set()
        self._pieces: list[Piece] = []

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """The calls so far."""
        return tuple(self._calls)

    @property
    def is_thinking(self) -> bool:
        """Whether the next text belongs to the thinking."""
        return not self._is_header and self._channel is Channel.THINKING

    def feed(self, text: str) -> list[Piece]:
        """What is certain now."""
        self._held += text
        return self._run(is_end=False)

    def finish(self) -> list[Piece]:
        """The rest: no more text comes. A header without a message says nothing."""
        pieces = self._run(is_end=True)
        if not self._is_header:
            self._end_message(is_cut_off=True)
        return pieces

    def _run(self, *, is_end: bool) -> list[Piece]:
        while self._held and (self._take_header(is_end) if self._is_header else self._take_text(is_end)):
            pass
        pieces, self._pieces = self._pieces, []
        return pieces

    def _take_header(self, is_end: bool) -> bool:
        text = self._held.lstrip()
        ending = next((marker for marker in ENDS if text.startswith(marker)), None)
        if ending is not None:
            self._held = text[len(ending):]
            return True
        if not text or any(head.startswith(text) for head in HEADS):
            self._held = "" if is_end else self._held
            return False
        if not text.startswith(HEADS):
            # A text without any header is an answer.
            self._begin_message("")
            return True
        header, message, rest = text.partition(MESSAGE)
        if message:
            self._begin_message(header)
            self._held = rest
            return True
        self._held = "" if is_end else self._held
        return False

    def _begin_message(self, header: str) -> None:
        name = _CHANNEL_NAME.search(header)
        recipient = _RECIPIENT.search(header)
        self._tool = recipient[1].removeprefix("functions.") if recipient is not None else ""
        channel = name[1] if name is not None else "final"
        self._channel = Channel.THINKING if channel == "analysis" else Channel.ANSWER
        if self._tool and self._tool != "assistant":
            self._channel = Channel.TOOL
        if self._channel in self._begun and self._channel is not Channel.TOOL:
            self._blanks[self._channel] = "\n\n"
        self._is_header, self._body = False, ""

    def _take_text(self, is_end: bool) -> bool:
        markers = (*ENDS, START, CHANNEL)
        found = earliest(self._held, markers)
        if found is None:
            cut = len(self._held) - (0 if is_end else partial_length(self._held, markers))
            self._emit(self._held[:cut])
            self._held = self._held[cut:]
            return False
        place, marker = found
        self._emit(self._held[:place])
        self._end_message(is_cut_off=False)
        after = place + len(marker) if marker in ENDS else place
        self._held, self._is_header = self._held[after:], True
        return True

    def _end_message(self, *, is_cut_off: bool) -> None:
        if self._channel is Channel.TOOL and self._body.strip():
            body = f'{{"name": "{self._tool}", "arguments": {self._body}}}'
            self._calls += parse_calls(body, self._body, first_number=len(self._calls) + 1, is_cut_off=is_cut_off)
        if self._channel is Channel.THINKING:
            self._blanks.pop(Channel.THINKING, None)
        self._body = ""

    def _emit(self, text: str) -> None:
        if not text:
            return
        if self._channel is Channel.TOOL:
            self._body += text
            self._pieces.append(Piece(Channel.TOOL, text))
            return
        text = self._blanks.pop(self._channel, "") + text
        solid = text
        if self._channel is Channel.THINKING:
            solid = text.rstrip()
            self._blanks[self._channel] = text[len(solid):]
        if self._channel not in self._begun:
            solid = solid.lstrip()
        if solid:
            self._begun.add(self._channel)
            self._pieces.append(Piece(self._channel, solid))
