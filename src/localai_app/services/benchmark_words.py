"""Results of benchmarks for people: in rows, beside an earlier result, and what ran in a few words."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass

from localai_app.store.records import BenchmarkFigure, BenchmarkRecord
from localai_app.units import format_count, format_speed

PROMPT, GENERATION = "prompt", "generation"
_SAME = 0.005
"""A smaller difference is none."""


@dataclass(frozen=True, slots=True)
class BenchmarkLine:
    """One length or depth, ready to show."""

    what: str
    speed: str
    spread: str
    """How far the repeats lie from the median, or empty."""
    earlier: str = ""
    """The speed of an earlier result, or empty."""
    change: str = ""


def figure_tps(figure: BenchmarkFigure) -> float | None:
    """Tokens per second, by the median of the repeats; None where it was not measured."""
    seconds = statistics.median(figure.seconds) if figure.seconds else 0.0
    return figure.tokens / seconds if seconds > 0 else None


def benchmark_lines(record: BenchmarkRecord, earlier: BenchmarkRecord | None = None) -> tuple[BenchmarkLine, ...]:
    """A line for each figure, in their order, beside the same one of an earlier result."""
    before = {(one.kind, one.tokens, one.depth): figure_tps(one) for one in (earlier.figures if earlier is not None else ())}
    lines = []
    for figure in record.figures:
        tps, old = figure_tps(figure), before.get((figure.kind, figure.tokens, figure.depth))
        lines.append(BenchmarkLine(
            figure_words(figure), format_speed(tps) if tps is not None else not_measured_words(figure, record),
            _spread(figure) if tps is not None else "", format_speed(old) if old is not None else "",
            _change(tps, old)))
    return tuple(lines)


def figure_words(figure: BenchmarkFigure) -> str:
    """What was measured: "Prompt of 512 tokens", "Answer, 2,048 tokens in"."""
    if figure.kind == PROMPT:
        return f"Prompt of {format_count(figure.tokens)} tokens"
    return f"Answer, {format_count(figure.depth)} tokens in" if figure.depth else "Answer at the start"


def not_measured_words(figure: BenchmarkFigure, record: BenchmarkRecord) -> str:
    """Why there is no figure."""
    return f"not measured: needs a context of {format_count(figure.depth + figure.tokens)}, it has {format_count(record.ctx)}"


def build_words(record: BenchmarkRecord) -> str:
    """The engine's version, without what it was built with."""
    return record.engine_build.partition(";")[0].strip() or "unknown engine"


def place_words(record: BenchmarkRecord) -> str:
    """Where the model ran, with its threads: "RTX 4070, 33 of 33 layers, 8 threads"."""
    threads = f"{record.threads} {'thread' if record.threads == 1 else 'threads'}"
    if not record.gpu_layers:
        return f"{record.processor}, {threads}"
    where = " and ".join(dict.fromkeys(record.gpus)) or "GPU"
    return f"{where}, {min(record.gpu_layers, record.n_layer)} of {record.n_layer} layers, {threads}"


def setup_words(record: BenchmarkRecord) -> str:
    """Everything that decided the speed, in one line."""
    kv = record.options.get("kv_type", "f16")
    return f"{place_words(record)}, context {format_count(record.ctx)} ({kv}), {build_words(record)}"


def date_words(record: BenchmarkRecord) -> str:
    """When it was, in local time: 2026-03-04 17:20."""
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(record.time_s))


def difference_words(record: BenchmarkRecord, earlier: BenchmarkRecord) -> str:
    """What is not as it was in the earlier result; empty where nothing is."""
    changes = []
    if record.engine_build != earlier.engine_build:
        builds = build_words(earlier), build_words(record)
        changes.append(f"another engine build ({builds[0]})" if builds[0] != builds[1] else "another build of the engine")
    if (record.processor, record.gpus) != (earlier.processor, earlier.gpus):
        changes.append(f"other hardware ({place_words(earlier)})")
    elif record.threads != earlier.threads:
        changes.append(f"{earlier.threads} threads")
    changes += [
        f"{name} {earlier.options.get(name, 'default')}" for name in sorted({*record.options, *earlier.options})
        if name != "threads" and record.options.get(name) != earlier.options.get(name)]
    return ", ".join(changes)


def headline(record: BenchmarkRecord) -> str:
    """The two figures that matter most: an answer at its start, and the longest prompt that was measured."""
    speeds = [(one, tps) for one in record.figures if (tps := figure_tps(one)) is not None]
    answers = [tps for one, tps in speeds if one.kind == GENERATION]
    prompts = [(one.tokens, tps) for one, tps in speeds if one.kind == PROMPT]
    parts = [f"answers {format_speed(answers[0])}"] if answers else []
    if prompts:
        parts.append(f"reads prompts at {format_speed(max(prompts)[1])}")
    return ", ".join(parts) or "nothing was measured"


def earlier_of(record: BenchmarkRecord, records: Sequence[BenchmarkRecord]) -> BenchmarkRecord | None:
    """The newest result before this one of the same model."""
    older = [one for one in records if one.model_key == record.model_key and one.time_s < record.time_s]
    return max(older, key=lambda one: one.time_s, default=None)


def _spread(figure: BenchmarkFigure) -> str:
    middle = statistics.median(figure.seconds)
    off = max((abs(seconds / middle - 1) for seconds in figure.seconds), default=0.0) if middle > 0 else 0.0
    return f"±{off:.0%}" if len(figure.seconds) > 1 else ""


def _change(tps: float | None, old: float | None) -> str:
    if tps is None or old is None or old <= 0:
        return ""
    share = tps / old - 1
    return f"{share:+.0%}" if abs(share) >= _SAME else "same"
