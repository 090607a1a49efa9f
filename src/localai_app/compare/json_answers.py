"""JSON in an answer, and whether it follows a JSON Schema. No reference is ever fetched, and no schema takes for ever."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

MAX_JSON_CHARS = 200_000
_LIMIT_S = 1.0
_FENCE = "```"


class NoJsonError(ValueError):
    """The text is no JSON; the message says why."""


class _TooLongError(Exception):
    """Checking took longer than it may."""


def json_of(answer: str) -> Any:
    """The value of an answer that is JSON, as a whole or in a code fence (the last one that holds JSON); NoJsonError."""
    if len(answer) > MAX_JSON_CHARS:
        raise NoJsonError(f"it is longer than {MAX_JSON_CHARS:,} characters")
    try:
        return _decoded(answer)
    except ValueError as error:
        for block in reversed(_fenced(answer)):
            try:
                return _decoded(block)
            except ValueError:
                continue
        raise NoJsonError(str(error)) from error


def schema_problem(schema_text: str) -> str:
    """What is wrong with a JSON Schema, given as JSON text; empty where it can be used."""
    import jsonschema

    try:
        schema = _decoded(schema_text)
        if not isinstance(schema, dict | bool):
            return "The JSON Schema is no object."
        if isinstance(schema, dict) and not isinstance(schema.get("$schema", ""), str):
            return "The JSON Schema is not valid: $schema is no text."
        _validator_class(schema).check_schema(schema)
    except ValueError as error:
        return f"The JSON Schema is no JSON: {error}."
    except jsonschema.SchemaError as error:
        return f"The JSON Schema is not valid: {_shortened(error.message)} at {_place(error)}."
    except RecursionError:
        return "The JSON Schema is nested too deeply."
    return ""


def schema_violation(value: Any, schema_text: str) -> str:
    """Where a value does not follow a schema without problems, in words; empty where it does."""
    import jsonschema
    from referencing import Registry
    from referencing.exceptions import Unresolvable

    schema = _decoded(schema_text)
    try:
        validator = _validator_class(schema, time.monotonic() + _LIMIT_S)(schema, registry=Registry())
        error = jsonschema.exceptions.best_match(validator.iter_errors(value))
    except Unresolvable as unresolvable:
        return f"The JSON Schema refers to {unresolvable.ref!r}, which is not in it; nothing is fetched."
    except _TooLongError:
        return f"Checking against the JSON Schema took longer than {_LIMIT_S:g} second and was given up."
    except RecursionError:
        return "The JSON or its schema is nested too deeply."
    return "" if error is None else f"The JSON does not follow the schema: {_shortened(error.message)} at {_place(error)}."


def _decoded(text: str) -> Any:
    def refused(constant: str) -> None:
        raise ValueError(f"{constant} is no JSON")

    try:
        return json.loads(text.strip().lstrip("\ufeff"), parse_constant=refused)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def _fenced(text: str) -> list[str]:
    """What stands in code fences, without the word behind the opening one; a fence that is not closed goes to the end."""
    blocks = text.split(_FENCE)[1::2]
    return [block.partition("\n")[2] if not block.lstrip().startswith(("{", "[", '"')) else block for block in blocks]


def _place(error: Any) -> str:
    return "/".join(str(part) for part in error.absolute_path) or "the top"


def _shortened(words: str, max_chars: int = 200) -> str:
    return words if len(words) <= max_chars else f"{words[:max_chars]}…"


def _validator_class(schema: Any, deadline_s: float | None = None) -> Any:
    """A validator of the schema's own draft, whose keywords stop at a deadline and search patterns with a limit."""
    import jsonschema
    from jsonschema.validators import validator_for

    base = validator_for(schema, default=jsonschema.Draft202012Validator)
    if deadline_s is None:
        return base
    keywords = {**base.VALIDATORS, "pattern": _pattern_keyword}
    extend: Callable[..., Any] = jsonschema.validators.extend
    return extend(base, {name: _timed(keyword, deadline_s) for name, keyword in keywords.items()})


def _timed(keyword: Callable[..., Any], deadline_s: float) -> Callable[..., Iterator[Any]]:
    def timed(validator: Any, expected: Any, instance: Any, schema: Any) -> Iterator[Any]:
        if time.monotonic() > deadline_s:
            raise _TooLongError
        yield from keyword(validator, expected, instance, schema) or ()

    return timed


def _pattern_keyword(_validator: Any, pattern: str, instance: Any, _schema: Any) -> Iterator[Any]:
    import jsonschema
    import regex

    if not isinstance(instance, str):
        return
    try:
        found = regex.search(pattern, instance, timeout=_LIMIT_S)
    except TimeoutError:
        raise _TooLongError from None
    except regex.error as error:
        yield jsonschema.ValidationError(f"the pattern {pattern!r} of the schema cannot be read: {error}")
        return
    if found is None:
        yield jsonschema.ValidationError(f"{_shortened(repr(instance))} does not match {pattern!r}")
