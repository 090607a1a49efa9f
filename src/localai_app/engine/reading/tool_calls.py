"""Calls of tools in the notations of model families, read into typed ones. Nothing is ever run.

The notations follow the chat templates that the vendors publish: JSON (Hermes, Qwen, Granite, Llama, Mistral, Phi,
Command), tags (Qwen coder, GLM, MiniMax), names before JSON (Mistral, Kimi, DeepSeek), Python (LFM2, Llama), Gemma's own.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from localai_app.engine.protocol import ToolCall
from localai_app.engine.reading.gemma_call import parse_gemma_call

MAX_BODY_CHARS = 256 * 1024
_NAME = re.compile(r"[A-Za-z_][\w.-]{0,127}")


@dataclass(frozen=True, slots=True)
class ToolSyntax:
    """Calls stand between `opening` and `closing`; without a closing tag they reach to the end of the answer."""

    opening: str
    closing: str = ""
    inner: tuple[str, ...] = ()
    """Special tokens between the two, which have to be shown to be read."""


HERMES = ToolSyntax("<tool_call>", "</tool_call>")
SYNTAXES = (
    HERMES,
    ToolSyntax("[TOOL_CALLS]", "", ("[ARGS]", "[CALL_ID]")),
    ToolSyntax("<|python_tag|>"),
    ToolSyntax("<|tool_call_start|>", "<|tool_call_end|>"),
    ToolSyntax("<|tool_call>", "<tool_call|>", ('<|"|>',)),
    ToolSyntax("<|tool_call|>", "<|/tool_call|>"),
    ToolSyntax("<minimax:tool_call>", "</minimax:tool_call>"),
    ToolSyntax("<|START_ACTION|>", "<|END_ACTION|>"),
    ToolSyntax(
        "<|tool_calls_section_begin|>", "<|tool_calls_section_end|>",
        ("<|tool_call_begin|>", "<|tool_call_argument_begin|>", "<|tool_call_end|>")),
    ToolSyntax(
        "<｜tool▁calls▁begin｜>", "<｜tool▁calls▁end｜>",
        ("<｜tool▁call▁begin｜>", "<｜tool▁sep｜>", "<｜tool▁call▁end｜>")),
)


class UnreadableCallError(Exception):
    """A text is no call in the notation that it seems to be in; says why."""


def name_of_tool(tool: Mapping[str, Any]) -> str:
    """The name in a JSON schema of a tool, with or without `{"type": "function", "function": ...}` around it; empty if none."""
    function = tool.get("function", tool)
    return str(function.get("name", "")) if isinstance(function, Mapping) else ""


def parse_calls(body: str, raw: str, *, first_number: int, is_cut_off: bool = False) -> list[ToolCall]:
    """The calls in the text between the tags; one with a `problem` and its `raw` text where they cannot be read.

    `first_number` numbers them. `is_cut_off`: the closing tag never came.
    """
    try:
        if len(body) > MAX_BODY_CHARS:
            raise UnreadableCallError("it is too long")
        found = _read(body.strip())
        if not found:
            raise UnreadableCallError("it names no tool")
    except UnreadableCallError as error:
        problem = "the answer ended in the middle of it" if is_cut_off else str(error)
        return [ToolCall(name="", arguments_json="{}", problem=problem, raw=raw)]
    return [
        ToolCall(name=name, arguments_json=_encoded(arguments), id=identifier or f"call{first_number + index:05d}")
        for index, (name, arguments, identifier) in enumerate(found)]


_Found = tuple[str, Any, str]
"""Name, arguments, id."""


def _read(body: str) -> list[_Found]:
    readers: tuple[tuple[Callable[[str], bool], Callable[[str], list[_Found]]], ...] = (
        (lambda text: "<function=" in text, _read_function_tags),
        (lambda text: "<invoke" in text, _read_invoke_tags),
        (lambda text: "<arg_key>" in text, _read_argument_keys),
        (lambda text: "<｜tool▁sep｜>" in text, _read_deepseek),
        (lambda text: "<|tool_call_argument_begin|>" in text, _read_kimi),
        (lambda text: text.startswith("call:"), _read_gemma),
        (lambda text: text.startswith("{"), _read_json_lines),
        (lambda text: bool(re.match(r"\[\s*[{\]]", text)), _read_json_lines),
        (lambda text: bool(re.match(r"\[?\s*[A-Za-z_][\w.]*\(", text)), _read_python),
        (lambda text: bool(_NAME.match(text)), _read_named_json),
    )
    for is_it, read in readers:
        if is_it(body):
            return read(body)
    raise UnreadableCallError("it is in no known notation")


def _encoded(arguments: Any) -> str:
    return msgspec.json.encode(arguments).decode()


def _json(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise UnreadableCallError(f"its JSON is not valid ({error})") from error


def _from_object(value: Any) -> _Found:
    """A call as a JSON object; arguments may be an object, or a text that holds one."""
    if not isinstance(value, dict):
        raise UnreadableCallError("it is not a JSON object")
    inner = value.get("function", value)
    source = inner if isinstance(inner, dict) else value
    name = inner if isinstance(inner, str) else source.get("name") or source.get("tool_name")
    arguments: Any = next((source[key] for key in ("arguments", "parameters", "args") if key in source), {})
    if isinstance(arguments, str):
        arguments = _json(arguments) if arguments.strip() else {}
    return _checked(name, arguments, value.get("id") or value.get("tool_call_id") or "")


def _checked(name: Any, arguments: Any, identifier: Any = "") -> _Found:
    if not isinstance(name, str) or not name.strip():
        raise UnreadableCallError("it names no tool")
    if not isinstance(arguments, dict):
        raise UnreadableCallError("its arguments are not a JSON object")
    return name.strip(), arguments, str(identifier)


def _read_json_lines(body: str) -> list[_Found]:
    """One object, a list of them, or several one after the other (with semicolons between: Llama)."""
    values: list[Any] = []
    for text in _json_values(body):
        value = _json(text)
        values += value if isinstance(value, list) else [value]
    return [_from_object(value) for value in values]


def _json_values(text: str) -> list[str]:
    """The texts of the JSON values that follow each other."""
    values: list[str] = []
    depth, start = 0, -1
    is_inside = is_escaped = False
    for place, letter in enumerate(text):
        if is_inside:
            is_inside, is_escaped = (is_escaped or letter != '"'), letter == "\\" and not is_escaped
        elif letter == '"' and depth:
            is_inside = True
        elif letter in "{[":
            start = place if depth == 0 else start
            depth += 1
        elif letter in "}]":
            depth -= 1
            if depth == 0:
                values.append(text[start:place + 1])
        elif depth == 0 and letter not in " \t\r\n;,":
            raise UnreadableCallError("something that is no JSON stands beside it")
    if depth or not values:
        raise UnreadableCallError("its JSON is not complete")
    return values


def _plain_value(text: str) -> Any:
    """A value between tags: JSON where it is some, else the text itself."""
    stripped = text.strip()
    if stripped[:1] in ("{", "[") or stripped in ("true", "false", "null") or re.fullmatch(r"-?\d+(\.\d+)?", stripped):
        try:
            return _json(stripped)
        except UnreadableCallError:
            pass
    return text.strip("\n")


def _read_function_tags(body: str) -> list[_Found]:
    """`<function=name><parameter=key>value</parameter></function>`: Qwen coder, Nemotron."""
    found = []
    for name, inside in re.findall(r"<function=([^>\n]+)>(.*?)(?:</function>|\Z)", body, re.DOTALL):
        pairs = re.findall(r"<parameter=([^>\n]+)>(.*?)(?:</parameter>|(?=<parameter=)|\Z)", inside, re.DOTALL)
        found.append(_checked(name, {key.strip(): _plain_value(value) for key, value in pairs}))
    return found


def _read_invoke_tags(body: str) -> list[_Found]:
    """`<invoke name="..."><parameter name="...">value</parameter></invoke>`: MiniMax."""
    found = []
    for name, inside in re.findall(r'<invoke name="?([^">\n]+)"?>(.*?)(?:</invoke>|\Z)', body, re.DOTALL):
        pairs = re.findall(r'<parameter name="?([^">\n]+)"?>(.*?)(?:</parameter>|\Z)', inside, re.DOTALL)
        found.append(_checked(name, {key.strip(): _plain_value(value) for key, value in pairs}))
    return found


def _read_argument_keys(body: str) -> list[_Found]:
    """`name<arg_key>key</arg_key><arg_value>value</arg_value>`: GLM."""
    name = body.split("<arg_key>", 1)[0]
    pairs = re.findall(
        r"<arg_key>(.*?)</arg_key>\s*<arg_value>(.*?)(?:</arg_value>|\Z)", body, re.DOTALL)
    return [_checked(name, {key.strip(): _plain_value(value) for key, value in pairs})]


def _read_deepseek(body: str) -> list[_Found]:
    """`function<sep>name` and JSON in a code fence, or `name<sep>` and JSON."""
    found = []
    for call in re.split(r"<｜tool▁call▁(?:begin|end)｜>", body):
        head, separator, rest = call.partition("<｜tool▁sep｜>")
        if separator:
            fenced = re.match(r"([^\n`]*)\n```(?:json)?\n(.*?)\n?```", rest.strip(), re.DOTALL)
            name, text = (fenced[1], fenced[2]) if fenced else (head, rest)
            found.append(_checked(name, _json(text.strip())))
    return found


def _read_kimi(body: str) -> list[_Found]:
    """`functions.name:0<argument>{...}`."""
    found = []
    for call in re.split(r"<\|tool_call_(?:begin|end)\|>", body):
        head, separator, rest = call.partition("<|tool_call_argument_begin|>")
        if separator:
            identifier = head.strip()
            found.append(_checked(identifier.removeprefix("functions.").split(":")[0], _json(rest.strip()), identifier))
    return found


def _read_named_json(body: str) -> list[_Found]:
    """`name[ARGS]{...}`, perhaps several: Mistral. Also a bare `name{...}`."""
    found = []
    for call in body.split("[TOOL_CALLS]"):
        matched = re.fullmatch(
            r"\s*([A-Za-z_][\w.-]*)\s*(?:\[CALL_ID\]([\w-]+))?\s*(?:\[ARGS\])?\s*(\{.*\})\s*", call, re.DOTALL)
        if matched is None:
            raise UnreadableCallError("it is in no known notation")
        found.append(_checked(matched[1], _json(matched[3]), matched[2] or ""))
    return found


def _read_gemma(body: str) -> list[_Found]:
    try:
        return [_checked(*parse_gemma_call(body))]
    except ValueError as error:
        raise UnreadableCallError(str(error)) from error


def _read_python(body: str) -> list[_Found]:
    """`[name(key="value")]`: LFM2, Llama 3.2. Only literals are taken."""
    try:
        tree = ast.parse(body.strip(), mode="eval").body
        calls: Sequence[ast.expr] = tree.elts if isinstance(tree, (ast.List, ast.Tuple)) else [tree]
        return [_from_python(call) for call in calls]
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise UnreadableCallError(f"it is not a valid call in Python's notation ({error})") from error


def _from_python(call: ast.expr) -> _Found:
    if not isinstance(call, ast.Call) or call.args or any(keyword.arg is None for keyword in call.keywords):
        raise UnreadableCallError("its arguments have no names")
    arguments = {str(keyword.arg): ast.literal_eval(keyword.value) for keyword in call.keywords}
    try:
        msgspec.json.encode(arguments)
    except (TypeError, ValueError, msgspec.MsgspecError) as error:
        raise UnreadableCallError("its arguments have no form in JSON") from error
    return _checked(ast.unparse(call.func), arguments)
