"""What was measured about a model, as a sentence."""

from __future__ import annotations

from datetime import datetime

from localai_app.services.tuning_memory import KnownTuning


def tuning_sentence(known: KnownTuning | None) -> str:
    """How a model runs fastest here, and since when that is known; empty where nothing was measured."""
    if known is None:
        return ""
    tuning = known.tuning
    parts = []
    if tuning.threads:
        threads = f"{tuning.threads} {_noun(tuning.threads)}"
        parts.append(threads if tuning.prompt_threads == tuning.threads else f"{threads} for answers")
    if tuning.prompt_threads and tuning.prompt_threads != tuning.threads:
        parts.append(f"{tuning.prompt_threads} for prompts")
    if tuning.ubatch:
        parts.append(f"{tuning.ubatch} tokens a step")
    if not parts:
        return ""
    date = datetime.fromtimestamp(known.time_s)
    return f"Fastest here: {', '.join(parts)}; measured on {date.day} {date:%B %Y}."


def _noun(threads: int) -> str:
    return "processor thread" if threads == 1 else "processor threads"
