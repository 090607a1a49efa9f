"""JSON Schema as a grammar, by the converter of llama-cpp-python, within limits."""

from __future__ import annotations

import json
from typing import Any

from localai_app.engine.failure import RequestRefusedError
from localai_app.engine.grammar import MAX_GRAMMAR_CHARS
from localai_app.engine.worker.binding import bare_package
from localai_app.engine.worker.guarded import LimitExceededError, run_guarded
from localai_app.errors import JSON_SCHEMA_INVALID

MAX_SCHEMA_CHARS = 64 * 1024
_DEADLINE_S = 5.0
_MEMORY_BYTES = 256 * 1024**2
_MAX_REASON_CHARS = 160


def grammar_of_schema(schema: str) -> str:
    """The grammar of all JSON texts that a schema describes; RequestRefusedError JSON_SCHEMA_INVALID in words."""
    if len(schema) > MAX_SCHEMA_CHARS:
        raise RequestRefusedError(JSON_SCHEMA_INVALID, reason=f"it is longer than {MAX_SCHEMA_CHARS // 1024} KiB")
    try:
        grammar = run_guarded(lambda: _converted(schema), deadline_s=_DEADLINE_S, memory_bytes=_MEMORY_BYTES)
    except json.JSONDecodeError as error:
        reason = f"line {error.lineno}: it is not valid JSON ({error.msg})"
        raise RequestRefusedError(JSON_SCHEMA_INVALID, reason=reason) from error
    except (LimitExceededError, _SchemaError) as error:
        raise RequestRefusedError(JSON_SCHEMA_INVALID, reason=str(error)) from error
    except RecursionError as error:
        raise RequestRefusedError(JSON_SCHEMA_INVALID, reason="it is nested too deeply") from error
    except Exception as error:
        cause = " ".join(str(error).split())[:_MAX_REASON_CHARS] or type(error).__name__
        reason = f"it uses something that is not supported ({cause})"
        raise RequestRefusedError(JSON_SCHEMA_INVALID, reason=reason) from error
    if len(grammar) > MAX_GRAMMAR_CHARS:
        raise RequestRefusedError(JSON_SCHEMA_INVALID, reason="its grammar becomes too large")
    return grammar


class _SchemaError(Exception):
    pass


def _converted(schema: str) -> str:
    with bare_package():
        from llama_cpp.llama_grammar import json_schema_to_gbnf

    parsed = json.loads(schema)
    if parsed is True:
        parsed = {}
    if not isinstance(parsed, dict):
        raise _SchemaError("a schema is an object in braces")
    _refuse_remote(parsed)
    grammar: str = json_schema_to_gbnf(json.dumps(parsed))
    return grammar


def _refuse_remote(node: Any) -> None:
    """Nothing is fetched for a schema."""
    if isinstance(node, dict):
        reference = node.get("$ref")
        if isinstance(reference, str) and not reference.startswith("#"):
            raise _SchemaError("it refers to another file, which is not fetched")
        node = list(node.values())
    if isinstance(node, list):
        for value in node:
            _refuse_remote(value)
