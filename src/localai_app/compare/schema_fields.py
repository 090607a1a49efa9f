"""Simple JSON Schemas as people write them: "city: text, population: whole number"."""

from __future__ import annotations

import json
from typing import Any

KINDS = {
    "text": "string", "number": "number", "whole number": "integer", "yes or no": "boolean", "list": "array",
    "object": "object", "anything": None,
}
"""What people call a kind of value -> its name in a JSON Schema; None: any."""


def schema_of_fields(fields: str) -> str:
    """The JSON Schema of an object that has all of these fields, as JSON text; ValueError with words."""
    properties: dict[str, Any] = {}
    for part in fields.split(","):
        name, _, kind = (piece.strip() for piece in part.partition(":"))
        kind = kind or "anything"
        if not name:
            raise ValueError("Write names of fields with commas between them, such as: city: text, population: whole number.")
        if kind.lower() not in KINDS:
            raise ValueError(f"{kind!r} is no kind of value. Known are {', '.join(KINDS)}.")
        if name in properties:
            raise ValueError(f"The field {name!r} is there twice.")
        known = KINDS[kind.lower()]
        properties[name] = {} if known is None else {"type": known}
    return json.dumps({"type": "object", "properties": properties, "required": list(properties)}, ensure_ascii=False)


def fields_of_schema(schema_text: str) -> str | None:
    """The fields that a schema stands for; None where it says more, or something else."""
    words = {name: kind for kind, name in KINDS.items()}
    try:
        schema = json.loads(schema_text)
        properties = schema["properties"]
        kinds = {name: words[value.get("type")] for name, value in properties.items()}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    fields = ", ".join(name if kind == "anything" else f"{name}: {kind}" for name, kind in kinds.items())
    try:
        return fields if json.loads(schema_of_fields(fields)) == schema else None
    except ValueError:
        return None
