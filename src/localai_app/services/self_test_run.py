"""One self-test of one build of llama.cpp, in a child process with a deadline."""

from __future__ import annotations

import math
import threading
import time
from pathlib import Path

import msgspec

from localai_app.engine.client import EngineClient
from localai_app.engine.failure import error_of
from localai_app.engine.launch import worker_command
from localai_app.engine.outcome import OutcomeKind, WorkerOutcome
from localai_app.engine.protocol import Event, RequestFailed, SelfTest, SelfTested
from localai_app.engine.runtimes import Runtime
from localai_app.engine.self_test import MAX_DIFFERENCE, difference
from localai_app.errors import AppError

FIRST_DEADLINE_S = 90.0
"""For libraries that were never loaded here: a virus scanner may read hundreds of megabytes first."""
LATER_DEADLINE_S = 30.0
_LOOK_S = 0.1


class TestResult(msgspec.Struct, frozen=True, kw_only=True):
    """How a self-test ended. `reason` is a part of a sentence, empty where it passed."""

    __test__ = False  # not a test, for pytest

    passed: bool
    reason: str = ""
    is_unsupported: bool = False
    """It is for other hardware than this computer has, which is no fault."""
    took_s: float = 0.0
    """From the start of the process to the verdict."""
    prompt_tps: float = 0.0
    generation_tps: float = 0.0
    """Tokens per second of the tiny model on one thread: to compare builds with, not models."""
    difference: float = 0.0
    devices: tuple[str, ...] = ()
    """Those other than the processor that computed."""

    @property
    def speed(self) -> float:
        """One figure to rank builds by: the geometric mean of both speeds."""
        return math.sqrt(self.prompt_tps * self.generation_tps)


def run_self_test(
    runtime: Runtime, model: Path, worker_dir: Path, *, deadline_s: float, given_up: threading.Event,
) -> TestResult:
    """Start the build in a child, let it compute, end the child. Never raises for anything that a build does.

    Setting `given_up` ends it early; what it returns then says nothing of the build.
    """
    started_s = time.monotonic()
    over = threading.Event()
    heard: list[SelfTested | RequestFailed | WorkerOutcome] = []

    def on_event(event: Event) -> None:
        if isinstance(event, (SelfTested, RequestFailed)):
            heard.append(event)
            over.set()

    def on_exit(outcome: WorkerOutcome) -> None:
        heard.append(outcome)
        over.set()

    client = EngineClient(
        worker_command(extra=runtime.options), cwd=worker_dir, on_event=on_event, on_exit=on_exit,
        hang_timeout_s=2 * deadline_s)
    try:
        client.start()
    except AppError as error:
        return TestResult(passed=False, reason=f"it could not be started ({error.detail})")
    client.send(SelfTest(id=1, model_path=str(model), on_gpu=runtime.uses_gpu))
    while not over.wait(_LOOK_S) and not given_up.is_set() and time.monotonic() < started_s + deadline_s:
        pass
    answer = heard[0] if heard else None
    client.kill()
    client.stop()
    took_s = time.monotonic() - started_s
    if answer is None:
        return TestResult(passed=False, reason=f"it did not finish within {deadline_s:.0f} seconds", took_s=took_s)
    return msgspec.structs.replace(_judged(runtime, answer), took_s=took_s)


def _judged(runtime: Runtime, answer: SelfTested | RequestFailed | WorkerOutcome) -> TestResult:
    if isinstance(answer, WorkerOutcome):
        return TestResult(
            passed=False, reason=_cause(answer), is_unsupported=answer.kind is OutcomeKind.UNSUPPORTED)
    if isinstance(answer, RequestFailed):
        error = error_of(answer)
        return TestResult(passed=False, reason=error.message[0].lower() + error.message[1:].removesuffix("."))
    distance = difference(answer.after_prompt, answer.after_continuation)
    result = TestResult(
        passed=distance <= MAX_DIFFERENCE, difference=distance if distance < float("inf") else -1.0,
        prompt_tps=answer.prompt_tokens / max(answer.prompt_s, 1e-9),
        generation_tps=answer.generated_tokens / max(answer.generated_s, 1e-9), devices=answer.devices)
    if not result.passed:
        return msgspec.structs.replace(result, reason="it computes wrong results")
    if runtime.uses_gpu and not answer.devices:
        return msgspec.structs.replace(result, passed=False, reason="it finds no GPU", is_unsupported=True)
    return result


def _cause(outcome: WorkerOutcome) -> str:
    if outcome.kind in (OutcomeKind.UNUSABLE, OutcomeKind.UNSUPPORTED, OutcomeKind.MISSING):
        said = [line.removeprefix("worker: ") for line in outcome.stderr_tail.splitlines() if line.startswith("worker: ")]
        return said[-1] if said else "its libraries cannot be loaded"
    return outcome.cause
