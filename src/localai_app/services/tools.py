"""Tools that a model may ask for, from a file of JSON schemas. Nothing here runs one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from localai_app import errors
from localai_app.engine.protocol import ToolCall
from localai_app.errors import AppError
from localai_app.store.records import CallRecord

MAX_FILE_BYTES = 1024 * 1024


def read_tools(path: Path) -> tuple[dict[str, Any], ...]:
    """The tools of a file: a list of `{"type": "function", "function": {"name": ...}}`, or of their inner objects.

    AppError FILE_UNREADABLE or FILE_INVALID with the reason.
    """
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise _invalid(path, f"it is longer than {MAX_FILE_BYTES // 1024} KiB")
        value = msgspec.json.decode(path.read_bytes())
    except OSError as error:
        raise AppError(errors.FILE_UNREADABLE, name=str(path), reason=error.strerror or str(error)) from error
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise _invalid(path, str(error)) from error
    if not isinstance(value, list) or not value:
        raise _invalid(path, "it is no list of tools")
    return tuple(_tool(path, item) for item in value)


def call_words(call: ToolCall | CallRecord) -> str:
    """One call in a line."""
    return f"Cannot be read, {call.problem}: {call.raw}" if call.problem else f"{call.name}({call.arguments_json})"


def _tool(path: Path, item: object) -> dict[str, Any]:
    function = item.get("function", item) if isinstance(item, dict) else None
    if not isinstance(function, dict) or not isinstance(function.get("name"), str) or not function["name"]:
        raise _invalid(path, "a tool has no name")
    whole = {"description": "", "parameters": {"type": "object", "properties": {}}, **function}
    return {"type": "function", "function": whole}


def _invalid(path: Path, reason: str) -> AppError:
    return AppError(errors.FILE_INVALID, name=str(path), kind="tools", reason=reason)
