"""Speed: predicted and measured, the worker beside a bare loop, and what a token takes of energy."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import msgspec

from localai_app.engine.launch import WORKER_OPTION, worker_environment
from localai_app.engine.protocol import LoadOptions
from localai_app.fit.result import FitResult, Request
from localai_app.hardware.energy import EnergyMeter, energy_between
from tests.gpu.bare_gpu_program import PROMPT
from tests.gpu.check_memory import FILLED
from tests.gpu.setting import Setting, with_engine
from tests.gpu.worker import running_worker

DEPTHS = (0, 4096, 16_384)
PROMPTS = (512, 4096)
TOKENS = 128
LEAST_RATIO = 0.95
ROUNDS = 3
NEAR = 0.25
"""Of the range that is told, so much above or below counts as told."""


def speeds(setting: Setting) -> None:
    """Tokens per second of models that differ most, at several depths, beside what the formula says."""
    with_engine(setting)
    command = setting.services.runtimes.worker_command()
    rows = []
    for model_id, label in FILLED.items():
        path = setting.model(model_id, label)
        fit = setting.services.estimate.fit_installed(str(path), Request(ctx=20_480))
        row: dict[str, object] = {"model": f"{model_id} {label}", "verdict": fit.verdict.value, "told": {
            "low": fit.speed.low, "high": fit.speed.high, "prompt low": fit.speed.prompt_low,
            "prompt high": fit.speed.prompt_high}, "formula": by_formula(fit)}
        try:
            assert fit.load_options is not None, fit.reasons
            row |= _measured(setting, fit.load_options, command)
        except Exception as error:  # noqa: BLE001 - a line of the table
            row["error"] = f"{type(error).__name__}: {error}"[:700]
            setting.misses.append(f"{row['model']}: {row['error']}")
        rows.append(row)
    setting.facts["speeds"] = rows
    for row in rows:
        measured = row.get("answer tps")
        told = row["told"]
        if isinstance(measured, float) and isinstance(told, dict) and told["low"] is not None:
            setting.require(
                told["low"] * (1 - NEAR) <= measured <= told["high"] * (1 + NEAR),
                f"{row['model']}: told {told['low']:.0f} to {told['high']:.0f} tok/s, measured {measured:.0f}")


def by_formula(fit: FitResult) -> dict[str, float]:
    """Tokens per second at each depth and for each prompt, without any range."""
    parts = fit.speed_parts
    if parts is None:
        return {}
    found = {f"at {depth}": 1 / parts.token.at(depth + TOKENS / 2) for depth in DEPTHS}
    if parts.prompt is not None:
        found |= {f"prompt of {length}": length / parts.prompt.total_s(0, length) for length in PROMPTS}
    return found


def _measured(setting: Setting, options: LoadOptions, command: Sequence[str]) -> dict[str, object]:
    with running_worker(command, setting.folder / "worker") as worker, EnergyMeter() as meter:
        loaded = worker.load(options)
        rows = worker.benchmark(PROMPTS, DEPTHS, TOKENS)
        before = meter.read()
        stats = worker.answer(PROMPT, 2 * TOKENS, temperature=0.8).finished.stats
        joules = energy_between(before, meter.read()).gpu_j
    return {
        "load_s": loaded.load_s, "gpu_layers": loaded.gpu_layers, "threads": loaded.threads,
        "measured": {
            **{f"at {row.depth}": row.tps for row in rows if row.kind.value == "generation"},
            **{f"prompt of {row.tokens}": row.tps for row in rows if row.kind.value == "prompt"}},
        "answer tps": stats.tps, "answer tokens": stats.completion_tokens, "first token s": stats.ttft_s,
        "joules per token": joules / stats.completion_tokens if joules and stats.completion_tokens else None}


def worker_beside_bare_loop(setting: Setting) -> None:
    """The worker answers at 0.95 of the speed of a loop that does nothing with the tokens, or more."""
    with_engine(setting)
    command = setting.services.runtimes.worker_command()
    rows = []
    for model_id, label in list(FILLED.items())[:2]:
        fit = setting.services.estimate.fit_installed(str(setting.model(model_id, label)), Request(ctx=4096))
        assert fit.load_options is not None, fit.reasons
        for name, temperature in (("greedy", 0.0), ("chain", 0.8)):
            with (running_worker(command, setting.folder / "worker") as worker,
                  _bare_loop(command, fit.load_options) as bare):
                worker.load(fit.load_options)
                pairs = []
                for _round in range(ROUNDS + 1):
                    by_worker = worker.answer(PROMPT, TOKENS, temperature=temperature).finished.stats.tps
                    pairs.append((by_worker, bare(TOKENS, name), bare(TOKENS, "none")))
            ratio = statistics.median(one / other for one, other, _none in pairs[1:])
            rows.append({
                "model": model_id, "sampling": name, "ratio": ratio, "worker": statistics.median(p[0] for p in pairs[1:]),
                "bare loop": statistics.median(p[1] for p in pairs[1:]),
                "no sampling": statistics.median(p[2] for p in pairs[1:])})
            setting.require(ratio >= LEAST_RATIO, f"{model_id}, {name}: {ratio:.3f} of the bare loop")
    setting.facts["ratios"] = rows


@contextmanager
def _bare_loop(command: Sequence[str], options: LoadOptions) -> Iterator[object]:
    arguments = command[list(command).index(WORKER_OPTION) + 1:]
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.gpu.bare_gpu_program", msgspec.json.encode(options).decode(), *arguments], text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        env={**worker_environment(), "PYTHONSAFEPATH": ""})
    assert process.stdin is not None
    assert process.stdout is not None
    stdin, stdout = process.stdin, process.stdout

    def measure(tokens: int, name: str) -> float:
        stdin.write(f"{tokens} {name}\n")
        stdin.flush()
        return (tokens - 1) / float(stdout.readline())

    with process:
        assert stdout.readline() == "ready\n"
        yield measure
        stdin.close()


def stopping(setting: Setting) -> None:
    """A stop while a long prompt is read, and while an answer runs."""
    with_engine(setting)
    model_id, label = "llama-3.1-8b-instruct", "Q4_K_M"
    fit = setting.services.estimate.fit_installed(str(setting.model(model_id, label)), Request(ctx=65_536))
    assert fit.load_options is not None, fit.reasons
    with running_worker(setting.services.runtimes.worker_command(), setting.folder / "worker") as worker:
        worker.load(fit.load_options)
        worker.answer(PROMPT, 8)
        started_s = time.monotonic()
        in_prompt = worker.answer("a " * 30_000, 8, stop_after_s=0.6)
        seconds = time.monotonic() - started_s
        in_answer = worker.answer(PROMPT, 2000, stop_after_s=1.0)
    setting.facts |= {
        "while reading a prompt": {
            "reason": in_prompt.finished.reason.value, "stop_s": in_prompt.stop_s, "whole_s": seconds,
            "prompt tokens": in_prompt.finished.stats.prompt_tokens},
        "while answering": {"reason": in_answer.finished.reason.value, "stop_s": in_answer.stop_s,
                            "tokens": in_answer.finished.stats.completion_tokens}}
    for name, answer in (("a prompt", in_prompt), ("an answer", in_answer)):
        setting.require(answer.finished.reason.value == "cancelled", f"{name} ended as {answer.finished.reason.value}")
        setting.require(answer.stop_s < 0.3, f"stopping {name} took {answer.stop_s:.3f} s")
