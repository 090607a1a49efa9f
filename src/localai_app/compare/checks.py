"""What an answer can be checked for without a judge, as data."""

from __future__ import annotations

import msgspec


class ExactCheck(msgspec.Struct, frozen=True, kw_only=True, tag="exact"):
    """The answer is this text, but for space around it and, unless `case_matters`, for case."""

    text: str
    case_matters: bool = False


class ContainsCheck(msgspec.Struct, frozen=True, kw_only=True, tag="contains"):
    """The answer has all of these texts in it."""

    texts: tuple[str, ...]
    case_matters: bool = False


class PatternCheck(msgspec.Struct, frozen=True, kw_only=True, tag="pattern"):
    """A regular expression is found in the answer; `is_absent`: it must not be."""

    pattern: str
    is_absent: bool = False


class NumberCheck(msgspec.Struct, frozen=True, kw_only=True, tag="number"):
    """The last number of the answer lies within `tolerance` of `value`, and the answer was not cut off."""

    value: float
    tolerance: float = 0.0


class SchemaCheck(msgspec.Struct, frozen=True, kw_only=True, tag="json_schema"):
    """The answer is JSON (in a code fence or not) that follows a JSON Schema, given as JSON text."""

    json_schema: str


Check = ExactCheck | ContainsCheck | PatternCheck | NumberCheck | SchemaCheck


class CheckResult(msgspec.Struct, frozen=True, kw_only=True):
    """Whether an answer passed one check of its prompt, and why not, in words."""

    passed: bool
    words: str = ""
