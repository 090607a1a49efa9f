"""Tools and their calls on the way into a prompt: as the documents that chat templates expect, or in words."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from localai_app.engine.protocol import ChatMessage, ToolCall


def message_document(message: ChatMessage, *, is_text: bool = False) -> dict[str, Any]:
    """One message as templates know it (the form of Transformers and OpenAI). `is_text`: arguments stay a JSON text."""
    document: dict[str, Any] = {"role": message.role, "content": _content(message)}
    calls = [_call_document(call, is_text=is_text) for call in message.tool_calls if not call.problem]
    if calls:
        document["tool_calls"] = calls
    if message.tool_call_id:
        document["tool_call_id"] = message.tool_call_id
    if message.name:
        document["name"] = message.name
    return document


def tool_instructions(tools: Sequence[Mapping[str, Any]]) -> str:
    """Words for a model whose template has no place for tools."""
    listed = "\n".join(json.dumps(tool.get("function", tool), ensure_ascii=False) for tool in tools)
    return (
        f"You may use these tools, given as JSON schemas:\n{listed}\n\n"
        "To use one, answer with nothing but a line of this form for each call:\n"
        '<tool_call>{"name": "the tool", "arguments": {"parameter": "value"}}</tool_call>')


def tools_as_text(messages: Sequence[ChatMessage]) -> tuple[ChatMessage, ...]:
    """The conversation with calls as text of the assistant, and what tools said as text of the user."""
    plain: list[ChatMessage] = []
    for message in messages:
        if message.role == "tool":
            name = f" {message.name}" if message.name else ""
            plain.append(ChatMessage(role="user", content=f"Result of the tool{name}:\n{message.content}"))
        elif message.tool_calls:
            calls = "\n".join(_call_text(call) for call in message.tool_calls if not call.problem)
            content = "\n".join(text for text in (_content(message), calls) if text)
            plain.append(ChatMessage(role=message.role, content=content))
        else:
            plain.append(message)
    return tuple(plain)


def _content(message: ChatMessage) -> str:
    """A call that could not be read stays text."""
    return "\n".join(text for text in (message.content, *(call.raw for call in message.tool_calls if call.problem)) if text)


def _call_text(call: ToolCall) -> str:
    body = json.dumps({"name": call.name, "arguments": _arguments(call)}, ensure_ascii=False)
    return f"<tool_call>{body}</tool_call>"


def _call_document(call: ToolCall, *, is_text: bool) -> dict[str, Any]:
    arguments = call.arguments_json if is_text else _arguments(call)
    document: dict[str, Any] = {"type": "function", "function": {"name": call.name, "arguments": arguments}}
    if call.id:
        document["id"] = call.id
    return document


def _arguments(call: ToolCall) -> object:
    try:
        return msgspec.json.decode(call.arguments_json)
    except (msgspec.DecodeError, RecursionError):
        return call.arguments_json
