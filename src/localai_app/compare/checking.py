"""Checking answers without a judge. No answer, pattern or schema makes it raise or go on for ever: a check that cannot be made
is one that failed, with the reason.
"""

from __future__ import annotations

import math
import unicodedata

from localai_app.compare.answer_numbers import last_number
from localai_app.compare.checks import Check, CheckResult, ContainsCheck, ExactCheck, NumberCheck, PatternCheck, SchemaCheck
from localai_app.compare.json_answers import NoJsonError, json_of, schema_problem, schema_violation
from localai_app.compare.prompts import Prompt

MAX_ANSWER_CHARS = 500_000
MAX_CHECK_CHARS = 20_000
"""Of the text, pattern or schema of a check."""
_PATTERN_S = 1.0


def check_answer(prompt: Prompt, text: str, *, is_cut: bool = False) -> tuple[CheckResult, ...]:
    """The results of a prompt's checks on an answer (without its thinking), in their order.

    `is_cut`: it ended because its tokens or its context did, so its last number is no result.
    """
    if len(text) > MAX_ANSWER_CHARS:
        words = f"The answer is longer than {MAX_ANSWER_CHARS:,} characters and is not checked."
        return tuple(CheckResult(passed=False, words=words) for _ in prompt.checks)
    cut = CheckResult(passed=False, words="The answer was cut off before its end, so its last number is no result.")
    return tuple(cut if is_cut and isinstance(check, NumberCheck) else _result(check, text) for check in prompt.checks)


def is_right(results: tuple[CheckResult, ...]) -> bool | None:
    """Whether an answer passed all of its checks; None where there are none."""
    return all(result.passed for result in results) if results else None


def check_problem(check: Check) -> str:
    """Why no answer could ever be checked by this, in words; empty where it can be used."""
    texts = _texts(check)
    if any(len(text) > MAX_CHECK_CHARS for text in texts):
        return f"A check is longer than {MAX_CHECK_CHARS:,} characters."
    match check:
        case ExactCheck() | ContainsCheck():
            return "" if texts and all(text.strip() for text in texts) else "A check has no text to look for."
        case PatternCheck():
            return _pattern_problem(check.pattern)
        case NumberCheck():
            is_usable = math.isfinite(check.value) and math.isfinite(check.tolerance) and check.tolerance >= 0
            return "" if is_usable else "A number and its tolerance must be finite, and the tolerance not below 0."
        case SchemaCheck():
            return schema_problem(check.json_schema)


def check_words(check: Check) -> str:
    """What an answer does that passes a check, for people."""
    match check:
        case ExactCheck():
            return f"is exactly “{check.text}”"
        case ContainsCheck():
            return f"contains {' and '.join(f'“{text}”' for text in check.texts)}"
        case PatternCheck():
            return f"{'does not match' if check.is_absent else 'matches'} {check.pattern}"
        case NumberCheck():
            return f"has {check.value:.12g}{f' ± {check.tolerance:.12g}' if check.tolerance else ''} as its last number"
        case SchemaCheck():
            return "is JSON that follows a schema"


def _texts(check: Check) -> tuple[str, ...]:
    match check:
        case ExactCheck():
            return (check.text,)
        case ContainsCheck():
            return check.texts
        case PatternCheck():
            return (check.pattern,)
        case NumberCheck():
            return ()
        case SchemaCheck():
            return (check.json_schema,)


def _result(check: Check, text: str) -> CheckResult:
    words = check_problem(check) or _failure(check, text)
    return CheckResult(passed=not words, words=words)


def _failure(check: Check, text: str) -> str:
    """Why an answer does not pass a check that can be used; empty where it passes."""
    match check:
        case ExactCheck():
            is_same = _comparable(text, check.case_matters).strip() == _comparable(check.text, check.case_matters).strip()
            return "" if is_same else f"The answer is not exactly “{_shortened(check.text)}”."
        case ContainsCheck():
            answer = _comparable(text, check.case_matters)
            missing = [wanted for wanted in check.texts if _comparable(wanted, check.case_matters) not in answer]
            words = ", ".join(f"“{_shortened(wanted)}”" for wanted in missing)
            return f"The answer does not contain {words}." if missing else ""
        case PatternCheck():
            return _pattern_failure(check, text)
        case NumberCheck():
            return _number_failure(check, text)
        case SchemaCheck():
            try:
                value = json_of(text)
            except NoJsonError as error:
                return f"The answer is no JSON: {_shortened(str(error))}."
            return schema_violation(value, check.json_schema)


def _comparable(text: str, case_matters: bool) -> str:
    text = unicodedata.normalize("NFC", text.replace("\r\n", "\n"))
    return text if case_matters else unicodedata.normalize("NFC", text.casefold())


def _pattern_problem(pattern: str) -> str:
    import regex

    if not pattern:
        return "A check has no pattern."
    try:
        regex.compile(pattern)
    except (regex.error, ValueError, OverflowError, RecursionError, IndexError, KeyError, AttributeError) as error:
        return f"The pattern {_shortened(pattern)} cannot be read: {error}."
    return ""


def _pattern_failure(check: PatternCheck, text: str) -> str:
    import regex

    try:
        is_found = regex.search(check.pattern, text, timeout=_PATTERN_S) is not None
    except TimeoutError:
        return f"Searching the pattern {_shortened(check.pattern)} took longer than {_PATTERN_S:g} second and was given up."
    except (RecursionError, MemoryError):
        return f"The pattern {_shortened(check.pattern)} takes too much memory on this answer."
    if is_found == (not check.is_absent):
        return ""
    return f"The pattern {_shortened(check.pattern)} is {'' if is_found else 'not '}found in the answer."


def _number_failure(check: NumberCheck, text: str) -> str:
    try:
        found = last_number(text)
    except TimeoutError:
        return "Searching the last number took too long and was given up."
    if found is None:
        return f"There is no number in the answer; {check.value:.12g} was expected."
    written, readings = found
    # What two ways of computing the same value differ by is no difference.
    allowed = check.tolerance + 1e-9 * max(1.0, abs(check.value))
    if any(abs(reading - check.value) <= allowed for reading in readings):
        return ""
    tolerance = f" ± {check.tolerance:.12g}" if check.tolerance else ""
    return f"The last number is {_shortened(written)}; {check.value:.12g}{tolerance} was expected."


def _shortened(text: str, max_chars: int = 80) -> str:
    return text if len(text) <= max_chars else f"{text[:max_chars]}…"
