"""How the answers of a model are built: which tags it thinks and calls tools with, told from its template and vocabulary."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from localai_app.engine.protocol import Chat
from localai_app.engine.reading.answer_parser import AnswerParser, PlainParser, TagParser
from localai_app.engine.reading.harmony_parser import CHANNEL, MARKERS, MESSAGE, HarmonyParser
from localai_app.engine.reading.thinking_tags import TAG_PAIRS, THINK, TagPair, opening_at_end
from localai_app.engine.reading.tool_calls import HERMES, SYNTAXES, ToolSyntax, name_of_tool


@dataclass(frozen=True, slots=True)
class Reading:
    """How one answer is read. `resumed` is the text to put behind the prompt where an answer goes on."""

    parser: AnswerParser = field(default_factory=PlainParser)
    stop: tuple[str, ...] = ()
    """Texts that end the answer, beside those of the request."""
    resumed: str = ""


@dataclass(frozen=True, slots=True)
class AnswerShape:
    """The notation of one model."""

    pairs: tuple[TagPair, ...] = (THINK,)
    syntaxes: tuple[ToolSyntax, ...] = (HERMES,)
    is_harmony: bool = False
    may_call_bare: bool = False
    """Whether calls may come as JSON without any tag: Llama 3."""

    @property
    def markers(self) -> tuple[str, ...]:
        """Texts of special tokens that have to be shown to be read."""
        if self.is_harmony:
            return MARKERS
        tags = [tag for pair in self.pairs for tag in (pair.opening, pair.closing)]
        for syntax in self.syntaxes:
            tags += [syntax.opening, *syntax.inner, *([syntax.closing] if syntax.closing else [])]
        # Of Gemma's opening the first part is a token.
        return (*tags, "<|channel>")

    def reading(self, prompt: str, request: Chat, stop: tuple[str, ...] = ()) -> Reading:
        """How the answer to this prompt is read, from where `request` says that it stands already."""
        resumed = self._resumed(prompt, request.prefill_thinking, request.prefill)
        opened = opening_at_end(prompt)
        parser: AnswerParser = HarmonyParser() if self.is_harmony else TagParser(
            self.pairs, self.syntaxes, opened=opened,
            bare_tools=[name for tool in request.tools if (name := name_of_tool(tool))] if self.may_call_bare else ())
        parser.feed(resumed)
        return Reading(parser, stop, resumed)

    def _resumed(self, prompt: str, thinking: str, answer: str) -> str:
        if not thinking:
            if self.is_harmony and answer:
                return f"{CHANNEL}final{MESSAGE}{answer}"
            opened = opening_at_end(prompt)
            return f"\n{opened.closing}\n\n{answer}" if opened is not None and answer else answer
        if self.is_harmony:
            ended = f"<|end|><|start|>assistant{CHANNEL}final{MESSAGE}{answer}" if answer else ""
            return f"{CHANNEL}analysis{MESSAGE}{thinking}{ended}"
        pair = opening_at_end(prompt)
        opening = "" if pair is not None else f"{self.pairs[-1].opening}\n"
        closing = (pair or self.pairs[-1]).closing
        return f"{opening}{thinking}" + (f"\n{closing}\n\n{answer}" if answer else "")


def shape_of(source: str, is_token: Callable[[str], bool]) -> AnswerShape:
    """The notation of a model with this template; `is_token` says whether a text is a single token of its vocabulary."""
    if CHANNEL in source and MESSAGE in source:
        return AnswerShape(is_harmony=True)

    def is_used(text: str) -> bool:
        return text in source or is_token(text)

    pairs = [pair for pair in TAG_PAIRS if pair is THINK or is_used(pair.opening) or is_used(pair.closing)]
    syntaxes = [syntax for syntax in SYNTAXES if syntax is HERMES or is_used(syntax.opening)]
    may_call_bare = "<|python_tag|>" in source or "Environment: ipython" in source
    return AnswerShape(tuple(pairs), tuple(syntaxes), may_call_bare=may_call_bare)
