"""A prompt out of named values, as one row of a table or one object of a JSON file has them."""

from __future__ import annotations

from typing import Any

import msgspec

from localai_app.compare.checking import check_problem
from localai_app.compare.checks import Check, ContainsCheck, ExactCheck, NumberCheck, PatternCheck, SchemaCheck
from localai_app.compare.prompts import Prompt, PromptSet

MAX_PROMPTS = 2_000
"""Of a set."""
MAX_NAME_CHARS = 80
"""Of a set's name."""
MAX_PROMPT_CHARS = 50_000
MAX_TAG_CHARS = 60
MAX_CHECKS = 20
SEPARATOR = "|"
"""Between several texts of `contains` in one cell of a table."""

KEYS = {
    "text": "text", "prompt": "text", "question": "text",
    "tag": "tag", "category": "tag",
    "system": "system_prompt", "system_prompt": "system_prompt",
    "expected": "exact", "exact": "exact", "answer": "exact",
    "contains": "contains",
    "pattern": "pattern", "not_pattern": "not_pattern",
    "number": "number", "tolerance": "tolerance",
    "json_schema": "json_schema",
    "checks": "checks",
}
"""What a value may be called in a file, in small letters -> what it means."""


class RecordError(ValueError):
    """Why no prompt can be made of these values, in words."""


def prompt_of(record: dict[str, Any], *, is_table: bool = False) -> Prompt:
    """The prompt that named values stand for; RecordError. `is_table`: all values are texts, and empty ones are missing."""
    values: dict[str, Any] = {}
    for key, value in record.items():
        meaning = KEYS.get(key.strip().lower())
        if meaning is None:
            raise RecordError(f"{key!r} is not known. Known are {', '.join(KEYS)}.")
        if value is None or (is_table and not str(value).strip()):
            continue
        if meaning in values:
            raise RecordError(f"{key!r} means the same as another value that is given too.")
        values[meaning] = value
    text = _text(values, "text", MAX_PROMPT_CHARS)
    if not text.strip():
        raise RecordError("There is no text of a prompt.")
    prompt = Prompt(
        text=text, tag=_text(values, "tag", MAX_TAG_CHARS).strip(), checks=_checks(values),
        system_prompt=_text(values, "system_prompt", MAX_PROMPT_CHARS) if "system_prompt" in values else None)
    problem = prompt_problem(prompt)
    if problem:
        raise RecordError(problem)
    return prompt


def prompt_problem(prompt: Prompt) -> str:
    """Why a prompt cannot be used, in words; empty where it can."""
    if not prompt.text.strip():
        return "There is no text of a prompt."
    if len(prompt.text) > MAX_PROMPT_CHARS or len(prompt.system_prompt or "") > MAX_PROMPT_CHARS:
        return f"A prompt is longer than {MAX_PROMPT_CHARS:,} characters."
    if len(prompt.tag) > MAX_TAG_CHARS:
        return f"A tag is longer than {MAX_TAG_CHARS} characters."
    if len(prompt.checks) > MAX_CHECKS:
        return f"There are more than {MAX_CHECKS} checks."
    return next((problem for problem in map(check_problem, prompt.checks) if problem), "")


def set_problem(prompt_set: PromptSet) -> str:
    """Why a set cannot be kept, in words; empty where it can."""
    if not prompt_set.name.strip():
        return "The set has no name."
    if len(prompt_set.name) > MAX_NAME_CHARS:
        return f"The name is longer than {MAX_NAME_CHARS} characters."
    if not prompt_set.prompts:
        return "There is no prompt in it."
    if len(prompt_set.prompts) > MAX_PROMPTS:
        return f"There are more than {MAX_PROMPTS:,} prompts."
    for number, prompt in enumerate(prompt_set.prompts, 1):
        problem = prompt_problem(prompt)
        if problem:
            return f"Prompt {number}: {problem}"
    return ""


def _checks(values: dict[str, Any]) -> tuple[Check, ...]:
    """The checks listed under "checks", and those that values of their own stand for."""
    try:
        checks = msgspec.convert(values.get("checks", ()), tuple[Check, ...])
    except msgspec.ValidationError as error:
        raise RecordError(f"The checks cannot be read: {error}.") from error
    found: list[Check] = list(checks)
    if "exact" in values:
        found.append(ExactCheck(text=_text(values, "exact")))
    if "contains" in values:
        wanted = values["contains"]
        texts = wanted if isinstance(wanted, list) else str(wanted).split(SEPARATOR)
        if not all(isinstance(text, str) for text in texts):
            raise RecordError("'contains' has to be a text or a list of texts.")
        found.append(ContainsCheck(texts=tuple(text.strip() for text in texts)))
    if "pattern" in values:
        found.append(PatternCheck(pattern=_text(values, "pattern")))
    if "not_pattern" in values:
        found.append(PatternCheck(pattern=_text(values, "not_pattern"), is_absent=True))
    if "number" in values:
        found.append(NumberCheck(value=_number(values, "number"), tolerance=_number(values, "tolerance")))
    elif "tolerance" in values:
        raise RecordError("There is a tolerance but no number.")
    if "json_schema" in values:
        schema = values["json_schema"]
        found.append(SchemaCheck(json_schema=schema if isinstance(schema, str) else msgspec.json.encode(schema).decode()))
    return tuple(found)


def _text(values: dict[str, Any], name: str, max_chars: int | None = None) -> str:
    text = values.get(name, "")
    if not isinstance(text, str):
        raise RecordError(f"{name!r} has to be a text.")
    if max_chars is not None and len(text) > max_chars:
        raise RecordError(f"{name!r} is longer than {max_chars:,} characters.")
    return text


def _number(values: dict[str, Any], name: str) -> float:
    value = values.get(name, 0)
    try:
        if isinstance(value, bool):
            raise ValueError
        return float(value)
    except (TypeError, ValueError, OverflowError):
        raise RecordError(f"{name!r} has to be a number such as 12.5.") from None
