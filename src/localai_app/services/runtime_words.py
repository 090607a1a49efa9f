"""How self-tests went, in words."""

from __future__ import annotations

from localai_app.services.self_test_run import TestResult
from localai_app.units import format_count


def result_words(result: TestResult | None) -> str:
    """One line: passed with its speed, or why not."""
    if result is None:
        return "not tested yet"
    if result.is_unsupported:
        return f"not for this computer: {result.reason}"
    if not result.passed:
        return f"failed: {result.reason}"
    return (
        f"passed in {result.took_s:.1f} s; the test model reads {format_count(round(result.prompt_tps))} and writes "
        f"{format_count(round(result.generation_tps))} tokens per second")
