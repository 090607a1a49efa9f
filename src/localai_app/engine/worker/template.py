"""A model's own chat template: rendered in jinja2's sandbox, as Transformers and llama-cpp-python do, and within limits.

A template is code from a stranger. The sandbox keeps it from Python's objects; size caps, a deadline and a
memory cap keep it from stalling the worker.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from localai_app.engine.failure import RequestRefusedError
from localai_app.engine.protocol import ChatMessage
from localai_app.engine.reading.tool_calls import name_of_tool
from localai_app.engine.worker.guarded import LimitExceededError, run_guarded
from localai_app.engine.worker.tool_turns import message_document, tool_instructions, tools_as_text
from localai_app.errors import TEMPLATE_FAILED

DEADLINE_S = 2.0
MEMORY_BYTES = 256 * 1024**2
MAX_TEMPLATE_CHARS = 512 * 1024
"""Real ones have up to some 30,000 characters."""
MAX_PROMPT_CHARS = 32 * 1024**2
_MAX_INT_BITS = 4096
_MAX_REASON_CHARS = 200


class TemplateRefusalError(Exception):
    """The template itself said, by `raise_exception`, that it does not take this conversation."""


class ChatTemplate:
    """One template, compiled at its first use. `bos` and `eos` are the texts of the model's special tokens."""

    def __init__(self, source: str, *, bos: str, eos: str) -> None:
        self._source = source
        self._bos = bos
        self._eos = eos
        self._compiled: Any = None
        self._needs_tool_list: bool | None = None
        """Whether it goes through the tools without asking whether there are any; None: not known yet."""

    def render(
        self, messages: Sequence[ChatMessage], *, variables: Mapping[str, object] | None = None,
        tools: Sequence[Mapping[str, Any]] = (),
    ) -> str:
        """The prompt up to where the assistant's answer begins; RequestRefusedError TEMPLATE_FAILED if there is none.

        `variables` are the template's own switches, such as `enable_thinking`. Where the template refuses or drops
        the system message, its text goes in front of the first user message; where it insists on alternating roles,
        neighbours of one role are joined; where it knows no tools, they and what became of them are told in words.
        """
        if len(self._source) > MAX_TEMPLATE_CHARS:
            raise RequestRefusedError(TEMPLATE_FAILED, reason=f"it is longer than {MAX_TEMPLATE_CHARS // 1024} KiB")
        try:
            prompt = run_guarded(
                lambda: self._render_somehow(messages, dict(variables or {}), list(tools)),
                deadline_s=DEADLINE_S, memory_bytes=MEMORY_BYTES)
        except LimitExceededError as error:
            raise RequestRefusedError(TEMPLATE_FAILED, reason=str(error)) from error
        except RecursionError as error:
            raise RequestRefusedError(TEMPLATE_FAILED, reason="it is nested too deeply") from error
        except Exception as error:
            reason = " ".join(f"{error}".split())[:_MAX_REASON_CHARS] or type(error).__name__
            raise RequestRefusedError(TEMPLATE_FAILED, reason=reason, detail=type(error).__name__) from error
        if len(prompt) > MAX_PROMPT_CHARS:
            raise RequestRefusedError(TEMPLATE_FAILED, reason="its result is too long")
        return prompt

    def knows_tools(self) -> bool:
        """Whether the template itself tells the model about tools; false where it fails at that."""
        if "tools" not in self._source:
            return False
        probe: list[Mapping[str, Any]] = [{"type": "function", "function": {
            "name": "probe_tool", "description": "", "parameters": {"type": "object", "properties": {}, "required": []}}}]
        try:
            return bool(run_guarded(
                lambda: self._render_tools((ChatMessage(role="user", content="Hi"),), {}, probe, is_text=False),
                deadline_s=DEADLINE_S, memory_bytes=MEMORY_BYTES))
        except (LimitExceededError, RecursionError):
            return False

    def _render_somehow(
        self, messages: Sequence[ChatMessage], variables: dict[str, object], tools: list[Mapping[str, Any]],
    ) -> str:
        if not tools and not any(message.tool_calls or message.role == "tool" for message in messages):
            return self._render_turns(messages, variables, [])
        for is_text in (False, True):
            prompt = self._render_tools(messages, variables, tools, is_text=is_text)
            if prompt:
                return prompt
        instructed = (ChatMessage(role="system", content=tool_instructions(tools)), *messages) if tools else tuple(messages)
        return self._render_turns(join_neighbours(tools_as_text(instructed)), variables, [])

    def _render_tools(
        self, messages: Sequence[ChatMessage], variables: dict[str, object], tools: list[Mapping[str, Any]], *, is_text: bool,
    ) -> str:
        """The prompt of a template that knows tools; empty where it leaves something of them out."""
        try:
            prompt = self._render_turns(messages, variables, tools, is_text=is_text)
        except RecursionError:
            raise
        except Exception:  # noqa: BLE001 - whatever it cannot do is then told in words
            return ""
        names = [name_of_tool(tool) for tool in tools] + [call.name for message in messages for call in message.tool_calls]
        results = [message.content for message in messages if message.role == "tool"]
        return prompt if all(name in prompt for name in names) and all(_is_in(result, prompt) for result in results) else ""

    def _render_turns(
        self, messages: Sequence[ChatMessage], variables: dict[str, object], tools: list[Mapping[str, Any]], *,
        is_text: bool = False,
    ) -> str:
        if not tools and self._needs_tool_list is None:
            self._needs_tool_list = self._find_need_of_tool_list(variables)
        folded = fold_system_into_user(messages)
        refusal: TemplateRefusalError | None = None
        for conversation in (messages, folded, join_neighbours(folded)):
            try:
                prompt = self._render_once(conversation, variables, tools, is_text=is_text)
            except TemplateRefusalError as error:
                refusal = refusal or error
                continue
            if all(_is_in(message.content, prompt) for message in conversation if message.role == "system"):
                return prompt
        raise refusal or TemplateRefusalError("it leaves the system message out")

    def _find_need_of_tool_list(self, variables: dict[str, object]) -> bool:
        """Templates made only for tools fail without a list of them; an empty one is the truth as well."""
        if "tools" not in self._source:
            return False
        probe = (ChatMessage(role="user", content="Hi"),)
        self._needs_tool_list = False
        try:
            self._render_once(probe, variables, [], is_text=False)
        except (TypeError, AttributeError):
            return True
        except Exception:  # noqa: BLE001 - whatever else fails, fails again with the conversation
            return False
        return False

    def _render_once(
        self, messages: Sequence[ChatMessage], variables: dict[str, object], tools: list[Mapping[str, Any]], *, is_text: bool,
    ) -> str:
        if self._compiled is None:
            self._compiled = _environment().from_string(self._source)
        rendered = self._compiled.render(
            messages=[message_document(message, is_text=is_text) for message in messages],
            bos_token=self._bos,
            eos_token=self._eos,
            add_generation_prompt=True,
            tools=tools or ([] if self._needs_tool_list else None),
            functions=None,
            function_call=None,
            tool_choice=None,
            documents=None,
            raise_exception=_raise_exception,
            strftime_now=_strftime_now,
            **variables,
        )
        return str(rendered)


def fold_system_into_user(messages: Sequence[ChatMessage]) -> tuple[ChatMessage, ...]:
    """The conversation with the text of its system messages in front of the first user message."""
    instructions = "\n\n".join(message.content for message in messages if message.role == "system")
    others = [message for message in messages if message.role != "system"]
    if not instructions:
        return tuple(others)
    for index, message in enumerate(others):
        if message.role == "user":
            others[index] = ChatMessage(role="user", content=f"{instructions}\n\n{message.content}")
            return tuple(others)
    return (ChatMessage(role="user", content=instructions), *others)


def join_neighbours(messages: Sequence[ChatMessage]) -> tuple[ChatMessage, ...]:
    """The conversation with neighbouring messages of one role joined by an empty line."""
    joined: list[ChatMessage] = []
    for message in messages:
        if joined and joined[-1].role == message.role and message.role != "tool" and not message.tool_calls:
            joined[-1] = msgspec.structs.replace(
                joined[-1], content=f"{joined[-1].content}\n\n{message.content}")
        else:
            joined.append(message)
    return tuple(joined)


def _is_in(content: str, prompt: str) -> bool:
    return content.strip() in prompt


def _raise_exception(message: str) -> None:
    raise TemplateRefusalError(str(message))


def _strftime_now(form: str) -> str:
    return datetime.datetime.now().strftime(form[:100])


def _to_json(
    value: object,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    """As in Transformers: jinja2's own filter escapes HTML, which templates do not expect."""
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


def _environment() -> Any:
    import jinja2
    import jinja2.exceptions
    import jinja2.ext
    import jinja2.sandbox

    class GenerationTag(jinja2.ext.Extension):
        """`{% generation %}` marks training text in Transformers' templates; here its body is simply rendered."""

        tags = {"generation"}  # noqa: RUF012 - jinja2 declares it so

        def parse(self, parser: Any) -> Any:
            parser.stream.skip(1)
            return parser.parse_statements(("name:endgeneration",), drop_needle=True)

    class Sandbox(jinja2.sandbox.ImmutableSandboxedEnvironment):
        """Refuses arithmetic that would hold the interpreter for minutes in a single operation."""

        intercepted_binops = frozenset({"*", "**"})

        def call_binop(self, context: Any, operator: str, left: Any, right: Any) -> Any:
            if isinstance(left, int) and isinstance(right, int):
                bits = left.bit_length() + right.bit_length() if operator == "*" else left.bit_length() * max(0, right)
                if bits > _MAX_INT_BITS:
                    raise jinja2.exceptions.SecurityError("it calculates with numbers that are too large")
            return super().call_binop(context, operator, left, right)

    environment = Sandbox(
        loader=jinja2.BaseLoader(),
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=[GenerationTag, jinja2.ext.loopcontrols],
    )
    environment.filters["tojson"] = _to_json
    return environment
