"""A comparison as CSV (RFC 4180): a row for each cell, with everything that is needed to repeat it.

A text that a spreadsheet would take for a formula gets an apostrophe before it, as spreadsheets themselves mark text.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from datetime import UTC, datetime

import msgspec

from localai_app.compare.comparison import AnswerRecord, CellKey, Comparison
from localai_app.compare.export_facts import UNKNOWN, check_results, check_words, json_words, vote_words
from localai_app.compare.export_report import is_right
from localai_app.compare.export_withheld import WITHHELD, Exportable
from localai_app.compare.names import contestant_names

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""What spreadsheets begin a formula with, their full-width forms included, and what they skip before one."""
IDENTITY = ("model", "quantization", "model_key", "sha256", "size_bytes", "settings", "engine_build", "engine_options")
LOAD = ("load_s", "peak_bytes", "loaded_ctx", "threads", "gpu_layers", "schedule_order", "expected_peak_bytes",
        "peak_bytes_of_all")
NUMBERS = ("prompt_tokens", "tokens", "prompt_tps", "tps", "ttft_s", "total_s", "thinking_s", "speeds_are_shared", "gpu_j",
           "processor_j")

Value = str | int | float
Row = dict[str, Value]


def csv_text(exportable: Exportable) -> str:
    """The file's text, lines ended by CR LF."""
    comparison = exportable.comparison
    common = _common(exportable)
    rows = [
        {**common, **_cell(exportable, CellKey(place, prompt, repeat))}
        for prompt in range(len(comparison.spec.prompts)) for repeat in range(comparison.spec.repeats)
        for place in range(len(comparison.spec.contestants))]
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer)
    columns = [*_COLUMNS, *(name for name in common if name not in _COLUMNS)]
    writer.writerow(columns)
    writer.writerows([_safe(row[name]) for name in columns] for row in rows)
    return buffer.getvalue()


_COLUMNS = (
    "prompt_number", "tag", "prompt", "repeat", "contestant", *IDENTITY[:2], "state", "is_right", "votes", "answer", "thinking",
    "error", *NUMBERS, "seed", "finish_reason", "checks", "check_results", *IDENTITY[2:], *LOAD)


def _safe(value: Value) -> Value:
    if isinstance(value, str) and value.lstrip(" ").startswith(FORMULA_STARTS):
        return f"'{value}"
    return value


def _common(exportable: Exportable) -> Row:
    """What is the same for every cell."""
    comparison = exportable.comparison
    spec, schedule = comparison.spec, comparison.schedule
    settings = {
        "sampling": spec.sampling, "same_seed": spec.same_seed, "max_tokens": spec.max_tokens, "ctx": spec.ctx, "way": spec.way,
        "memory_limit_bytes": spec.memory_limit_bytes, "is_blind": spec.is_blind, "hides_speed": spec.hides_speed}
    return {
        "comparison": comparison.id, "title": comparison.title, "created": _time_words(comparison.created_s),
        "comparison_state": comparison.state.value, "comparison_seed": spec.seed, "repeats": spec.repeats,
        "system_prompt": spec.system_prompt if spec.system_prompt is not None else UNKNOWN,
        "comparison_settings": json_words(settings), "schedule_way": schedule.way.value if schedule is not None else UNKNOWN,
        "schedule_reason": (schedule.reason if schedule is not None else "") or UNKNOWN,
        "hardware": json_words(comparison.hardware) if comparison.hardware else UNKNOWN,
        "app_version": comparison.app_version or UNKNOWN, "notice": exportable.notice}


def _cell(exportable: Exportable, key: CellKey) -> Row:
    comparison = exportable.comparison
    prompt = comparison.spec.prompts[key.prompt]
    answer = comparison.answer(key)
    names = contestant_names(comparison.spec.contestants)
    votes = [vote for vote in comparison.votes if (vote.prompt, vote.repeat) == (key.prompt, key.repeat)]
    row: Row = {
        "prompt_number": key.prompt + 1, "tag": prompt.tag, "prompt": prompt.text, "repeat": key.repeat + 1,
        "contestant": names[key.contestant], "votes": "; ".join(vote_words(vote, names) for vote in votes),
        "checks": "; ".join(map(check_words, prompt.checks))}
    row |= _answer(comparison, key, answer)
    row |= dict.fromkeys((*IDENTITY, *LOAD), WITHHELD) if exportable.names_are_withheld else _load(comparison, key.contestant)
    if exportable.numbers_are_withheld:
        row |= dict.fromkeys(NUMBERS, WITHHELD)
    if prompt.system_prompt is not None:
        row["system_prompt"] = prompt.system_prompt
    return row


def _answer(comparison: Comparison, key: CellKey, answer: AnswerRecord | None) -> Row:
    if answer is None:
        run = comparison.run_of(key.contestant)
        empty: Mapping[str, Value] = dict.fromkeys((*NUMBERS, "seed", "finish_reason", "is_right", "check_results"), UNKNOWN)
        return {**empty, "state": "not answered", "answer": "", "thinking": "", "error": run.error if run is not None else ""}
    right = is_right(answer)
    return {
        "state": "failed" if answer.error else "answered", "answer": answer.text, "thinking": answer.thinking,
        "error": answer.error, "is_right": "not checked" if right is None else "yes" if right else "no",
        "check_results": "; ".join(check_results(comparison.spec.prompts[key.prompt].checks, answer.checks)),
        "seed": UNKNOWN if answer.seed is None else answer.seed, "finish_reason": answer.finish_reason or UNKNOWN,
        "prompt_tokens": answer.prompt_tokens or UNKNOWN,
        "tokens": UNKNOWN if answer.error and not answer.tokens else answer.tokens,
        "prompt_tps": answer.prompt_tps or UNKNOWN, "tps": answer.tps or UNKNOWN, "ttft_s": answer.ttft_s or UNKNOWN,
        "total_s": answer.total_s or UNKNOWN, "thinking_s": answer.thinking_s,
        "speeds_are_shared": "yes" if answer.is_shared else "no",
        "gpu_j": UNKNOWN if answer.gpu_j is None else answer.gpu_j,
        "processor_j": UNKNOWN if answer.processor_j is None else answer.processor_j}


def _load(comparison: Comparison, place: int) -> Row:
    contestant, run, schedule = comparison.spec.contestants[place], comparison.run_of(place), comparison.schedule
    known: Row = {
        "model": contestant.name, "quantization": contestant.label or UNKNOWN, "model_key": contestant.model_key,
        "settings": json_words(msgspec.to_builtins(contestant.settings)),
        "schedule_order": schedule.order.index(place) + 1 if schedule is not None and place in schedule.order else UNKNOWN,
        "peak_bytes_of_all": comparison.peak_bytes or UNKNOWN,
        "expected_peak_bytes": (schedule.peak_bytes if schedule is not None else 0) or UNKNOWN}
    if run is None:
        return {**dict.fromkeys((*IDENTITY, *LOAD), UNKNOWN), **known}
    return {
        **known, "sha256": " ".join(run.sha256) or UNKNOWN, "size_bytes": run.size_bytes or UNKNOWN,
        "engine_build": run.engine_build or UNKNOWN, "engine_options": json_words(run.options), "load_s": run.load_s or UNKNOWN,
        "peak_bytes": run.peak_bytes or UNKNOWN, "loaded_ctx": run.ctx or UNKNOWN, "threads": run.threads or UNKNOWN,
        "gpu_layers": run.gpu_layers if run.n_layer else UNKNOWN}


def _time_words(time_s: float) -> str:
    return datetime.fromtimestamp(time_s, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
