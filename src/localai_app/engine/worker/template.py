"""A model's own chat template: rendered in jinja2's sandbox, as Transformers and llama-cpp-python do, and within limits.

A template is code from a stranger. The sandbox keeps it from Python's objects; size caps, a deadline and a
memory cap keep it from stalling the worker.
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Sequence
from typing import Any

from localai_app.engine.failure import RequestRefusedError
from localai_app.engine.protocol import ChatMessage
from localai_app.engine.worker.guarded import LimitExceededError, run_guarded
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

    def render(self, messages: Sequence[ChatMessage]) -> str:
        """The prompt up to where the assistant's answer begins; RequestRefusedError TEMPLATE_FAILED if there is none.

        Where the template refuses or drops the system message, its text goes in front of the first user
        message; where it insists on alternating roles, neighbours of one role are joined.
        """
        if len(self._source) > MAX_TEMPLATE_CHARS:
            raise RequestRefusedError(TEMPLATE_FAILED, reason=f"it is longer than {MAX_TEMPLATE_CHARS // 1024} KiB")
        try:
            prompt = run_guarded(lambda: self._render_somehow(messages), deadline_s=DEADLINE_S, memory_bytes=MEMORY_BYTES)
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

    def _render_somehow(self, messages: Sequence[ChatMessage]) -> str:
        if self._compiled is None:
            self._compiled = _environment().from_string(self._source)
        folded = fold_system_into_user(messages)
        refusal: TemplateRefusalError | None = None
        for conversation in (messages, folded, join_neighbours(folded)):
            try:
                prompt = self._render_once(conversation)
            except TemplateRefusalError as error:
                refusal = refusal or error
                continue
            if all(_is_in(message.content, prompt) for message in conversation if message.role == "system"):
                return prompt
        raise refusal or TemplateRefusalError("it leaves the system message out")

    def _render_once(self, messages: Sequence[ChatMessage]) -> str:
        rendered = self._compiled.render(
            messages=[{"role": message.role, "content": message.content} for message in messages],
            bos_token=self._bos,
            eos_token=self._eos,
            add_generation_prompt=True,
            tools=None,
            functions=None,
            function_call=None,
            tool_choice=None,
            documents=None,
            raise_exception=_raise_exception,
            strftime_now=_strftime_now,
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
        if joined and joined[-1].role == message.role:
            joined[-1] = ChatMessage(role=message.role, content=f"{joined[-1].content}\n\n{message.content}")
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
