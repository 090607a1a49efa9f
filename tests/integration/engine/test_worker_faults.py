"""Every known way in which a worker process can break, with real processes and real signals."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from localai_app.engine.framing import ProtocolError
from localai_app.engine.outcome import EXIT_ENGINE_MISSING, OutcomeKind
from localai_app.engine.protocol import MAX_LINE_BYTES, Complete, PromptProgressed, Sampling, TextGenerated

posix = pytest.mark.skipif(sys.platform == "win32", reason="uses POSIX signals")
LONG = Sampling(temperature=0.0)


@posix
@pytest.mark.parametrize(
    ("fault", "kind", "words"),
    [
        ("segv", OutcomeKind.SIGNAL, "SIGSEGV"),
        ("abort", OutcomeKind.SIGNAL, "SIGABRT"),
        ("assert", OutcomeKind.ASSERTION, "GGML_ASSERT(n_dims <= GGML_MAX_DIMS) failed"),
        ("kill", OutcomeKind.SIGNAL, "memory ran short"),
        ("oom", OutcomeKind.OUT_OF_MEMORY, "out of memory"),
        ("exit0", OutcomeKind.EXITED, "in the middle of its work"),
        ("exit3", OutcomeKind.EXITED, "status 3"),
    ],
)
@pytest.mark.parametrize("place", ["20", "prompt", "load", "start"])
def test_death_is_explained(start_worker, fault: str, kind: OutcomeKind, words: str, place: str) -> None:
    worker = start_worker("echo", "--fault", f"{fault}@{place}", ready=place != "start")
    if place == "load":
        worker.send_load()
    elif place != "start":
        worker.send_chat("x", sampling=LONG)
    outcome = worker.wait_for_outcome()
    assert outcome.kind is kind
    assert words in outcome.error().message
    assert len(worker.outcomes) == 1
    assert not worker.client.is_running
    tokens = [event for event in worker.events if isinstance(event, TextGenerated)]
    assert (len(tokens) >= 15) if place == "20" else not tokens


@posix
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGILL, signal.SIGBUS, signal.SIGTERM])
def test_signal_from_outside_in_the_middle_of_an_answer(start_worker, number: signal.Signals) -> None:
    worker = start_worker("echo", "--tokens-per-s", "100")
    worker.send_chat("x")
    worker.wait_for(TextGenerated)
    os.kill(worker.client.pid, number)
    outcome = worker.wait_for_outcome()
    assert (outcome.kind, outcome.signal) == (OutcomeKind.SIGNAL, int(number))
    assert number.name in outcome.error().message


@posix
@pytest.mark.parametrize("how", ["stopped", "asleep"])
def test_hang_is_noticed(start_worker, expect_log, how: str) -> None:
    extra = ("--fault", "hang@5") if how == "asleep" else ("--tokens-per-s", "100")
    worker = start_worker("echo", *extra, hang_timeout_s=1.5)
    time.sleep(2.0)
    assert worker.client.is_running, "an idle worker may be silent as long as it likes"
    worker.send_chat("x")
    worker.wait_for(TextGenerated)
    if how == "stopped":
        os.kill(worker.client.pid, signal.SIGSTOP)
    started_s = time.monotonic()
    outcome = worker.wait_for_outcome(6.0)
    assert 1.0 < time.monotonic() - started_s < 4.0
    assert outcome.kind is OutcomeKind.HANG
    assert "did not answer for 2 seconds" in outcome.error().message


@posix
def test_hang_before_ready_and_with_a_full_pipe(start_worker, python_worker: Callable[[str], list[str]]) -> None:
    worker = start_worker(command=python_worker("import time; time.sleep(60)"), hang_timeout_s=1.0, ready=False)
    started_s = time.perf_counter()
    for number in range(50):
        worker.client.send(Complete(id=number, prompt="x" * 100_000))
    assert time.perf_counter() - started_s < 0.5
    assert worker.wait_for_outcome(5.0).kind is OutcomeKind.HANG


@posix
def test_stop_ends_a_frozen_worker(start_worker) -> None:
    worker = start_worker("echo", "--tokens-per-s", "100")
    os.kill(worker.client.pid, signal.SIGSTOP)
    started_s = time.perf_counter()
    worker.client.stop(timeout_s=0.3)
    assert time.perf_counter() - started_s < 2.0
    assert worker.outcomes[0].kind is OutcomeKind.STOPPED
    assert not psutil.pid_exists(worker.client.pid)


def test_garbage_on_the_protocol(start_worker, expect_log) -> None:
    expect_log("broke the protocol")
    worker = start_worker("echo", "--fault", "garbage@10")
    worker.send_chat("x", sampling=LONG)
    outcome = worker.wait_for_outcome()
    assert outcome.kind is OutcomeKind.PROTOCOL
    assert "not a message" in outcome.error().message


def test_endless_line_is_cut_off(start_worker, expect_log) -> None:
    expect_log("longer than")
    worker = start_worker("echo", "--fault", "flood@3")
    process = psutil.Process()
    before_bytes = process.memory_info().rss
    started_s = time.perf_counter()
    worker.send_chat("x", sampling=LONG)
    outcome = worker.wait_for_outcome()
    assert outcome.kind is OutcomeKind.PROTOCOL
    assert process.memory_info().rss - before_bytes < 4 * MAX_LINE_BYTES
    assert time.perf_counter() - started_s < 5.0


@pytest.mark.parametrize(
    "output",
    [
        "print('Loading model...')",
        "print('{\"type\": \"finished\"}')",
        "import json; print('[' * 100000)",
        "print('{\"type\":\"ready\",\"protocol\":999,\"backend\":\"llama\",\"engine_build\":\"\",\"gpu_offload\":false,\"pid\":1}')",
        "print('{\"type\":\"prompt_progressed\",\"id\":1,\"done\":1,\"total\":1}')",
        "import sys; sys.stdout.buffer.write(bytes(range(256)) * 100 + b'\\n')",
        "print()",
    ],
    ids=["text", "incomplete", "deep", "wrong version", "not ready first", "binary", "empty line"],
)
def test_program_that_is_no_worker(start_worker, expect_log, python_worker: Callable[[str], list[str]], output: str) -> None:
    expect_log("broke the protocol")
    code = f"{output}; import sys, time; sys.stdout.flush(); time.sleep(30)"
    worker = start_worker(command=python_worker(code), ready=False)
    assert worker.wait_for_outcome(10.0).kind is OutcomeKind.PROTOCOL
    assert worker.events == []


@pytest.mark.parametrize("then", ["hangs", "ends"])
def test_half_a_message(start_worker, python_worker: Callable[[str], list[str]], then: str) -> None:
    code = "import sys, time; sys.stdout.write('{\"type\":\"ready\",\"protocol\":1,'); sys.stdout.flush()"
    worker = start_worker(
        command=python_worker(code + ("; time.sleep(60)" if then == "hangs" else "")), hang_timeout_s=1.0, ready=False)
    outcome = worker.wait_for_outcome(10.0)
    assert outcome.kind is (OutcomeKind.HANG if then == "hangs" else OutcomeKind.EXITED)
    assert worker.events == []


def test_worker_that_closes_its_output_but_stays(start_worker, python_worker: Callable[[str], list[str]]) -> None:
    worker = start_worker(command=python_worker("import os, time; os.close(1); time.sleep(60)"), ready=False)
    assert worker.wait_for_outcome(10.0).kind is OutcomeKind.PROTOCOL


def test_log_is_kept_only_to_its_end(start_worker) -> None:
    worker = start_worker("echo", "--fault", "noise@3")
    worker.chat("x", sampling=LONG)
    worker.client.stop()
    tail = worker.outcomes[0].stderr_tail
    assert "noise 19999" in tail
    assert len(tail.encode()) <= 8 * 1024


def test_missing_engine_has_its_own_outcome(start_worker, python_worker: Callable[[str], list[str]]) -> None:
    worker = start_worker(command=python_worker(f"import sys; sys.exit({EXIT_ENGINE_MISSING})"), ready=False)
    assert worker.wait_for_outcome().error().code == "engine_missing"


@pytest.mark.parametrize("how", ["absent", "broken"])
def test_real_worker_without_a_usable_llama_cpp(
    start_worker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """The real worker program, with the package made absent, or replaced by one whose library does not load."""
    if how == "absent":
        (tmp_path / "sitecustomize.py").write_text(
            "import importlib.util as u\nfind = u.find_spec\n"
            "u.find_spec = lambda name, *a: None if name == 'llama_cpp' else find(name, *a)\n")
    else:
        (tmp_path / "llama_cpp").mkdir()
        (tmp_path / "llama_cpp" / "__init__.py").write_text("raise RuntimeError('Failed to load shared library')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    outcome = start_worker("llama", ready=False).wait_for_outcome()
    assert outcome.kind is (OutcomeKind.MISSING if how == "absent" else OutcomeKind.UNUSABLE)
    assert outcome.error().code == ("engine_missing" if how == "absent" else "engine_unusable")


def test_refused_load_leaves_the_worker_alive(start_worker) -> None:
    worker = start_worker("echo", "--fault", "refuse@load")
    assert worker.refusal(worker.send_load()).code == "model_load_failed"
    assert worker.chat("x", sampling=LONG)[0]


def test_too_long_command_is_refused_before_it_is_sent(start_worker) -> None:
    worker = start_worker()
    with pytest.raises(ProtocolError, match="longer than"):
        worker.client.send(Complete(id=1, prompt="x" * MAX_LINE_BYTES))
    assert worker.chat("x", sampling=LONG)[0]


@pytest.mark.parametrize(
    "data",
    [b"not a command\n", b"x" * (MAX_LINE_BYTES + 10), b'{"type":"load"}\n'],
    ids=["text", "long", "incomplete"],
)
def test_worker_refuses_what_is_not_a_command(start_worker, data: bytes) -> None:
    worker = start_worker()
    worker.client._outbox.put(data)
    outcome = worker.wait_for_outcome()
    assert outcome.kind is OutcomeKind.PROTOCOL
    assert "worker: " in outcome.stderr_tail


@posix
def test_work_in_silence_is_no_hang(start_worker, python_worker: Callable[[str], list[str]]) -> None:
    """A worker that computes for long without a new token shows that it lives; one that only waits does not."""
    code = """
import threading, time
from localai_app.engine.worker import channel
channel.PULSE_INTERVAL_S = 0.4
channel._PARENT_CHECK_INTERVAL_S = 0.1
from localai_app.engine.worker import echo
def busy(self):
    end_s = time.monotonic() + 3
    while time.monotonic() < end_s:
        pass
    self._done = self.prompt_tokens
    return self._done
echo.EchoAnswer.evaluate_prompt_part = busy
from localai_app.engine.worker.main import main
main(["--backend", "echo", "--tokens", "3"])
"""
    worker = start_worker(command=python_worker(code), hang_timeout_s=1.5)
    worker.chat("one two three")
    reports = [event for event in worker.events if isinstance(event, PromptProgressed)]
    assert len(reports) >= 5
    assert len(set(reports)) == 2
