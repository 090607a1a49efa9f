from __future__ import annotations

import signal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localai_app.engine.outcome import (
    EXIT_BAD_COMMAND,
    EXIT_ENGINE_MISSING,
    EXIT_ENGINE_UNUSABLE,
    Fault,
    OutcomeKind,
    WorkerOutcome,
    classify,
)

OOM_LINES = (
    "ggml_backend_cpu_buffer_type_alloc_buffer: failed to allocate buffer of size 99999999",
    "ggml_backend_cuda_buffer_type_alloc_buffer: allocating 8192.00 MiB on device 0: cudaMalloc failed: out of memory",
    "terminate called after throwing an instance of 'std::bad_alloc'",
    "vk::Device::allocateMemory: ErrorOutOfDeviceMemory",
    "MemoryError",
)


@pytest.mark.parametrize(
    ("returncode", "stderr", "kind"),
    [
        (0, "", OutcomeKind.EXITED),
        (7, "", OutcomeKind.EXITED),
        (EXIT_ENGINE_MISSING, "", OutcomeKind.MISSING),
        (EXIT_ENGINE_UNUSABLE, "", OutcomeKind.UNUSABLE),
        (EXIT_BAD_COMMAND, "", OutcomeKind.PROTOCOL),
        (-11, "", OutcomeKind.SIGNAL),
        (-4, "", OutcomeKind.SIGNAL),
        (-9, "", OutcomeKind.SIGNAL),
        (-6, "", OutcomeKind.SIGNAL),
        (-6, "/src/ggml.c:3: GGML_ASSERT(a->ne[0] == b->ne[0]) failed\n", OutcomeKind.ASSERTION),
        (-6, "GGML_ASSERT(x) failed\nggml: failed to allocate buffer", OutcomeKind.OUT_OF_MEMORY),
        (-11, "an old line: failed to allocate", OutcomeKind.SIGNAL),
        (1, "error loading model: unknown model architecture: 'mamba9'", OutcomeKind.UNKNOWN_ARCHITECTURE),
        (0xC0000005, "", OutcomeKind.SIGNAL),
        (0xC000001D - 2**32, "", OutcomeKind.SIGNAL),
        (0xC0000017, "", OutcomeKind.OUT_OF_MEMORY),
    ],
)
def test_kind_follows_from_status_and_log(returncode: int, stderr: str, kind: OutcomeKind) -> None:
    assert classify(returncode, stderr).kind is kind


@pytest.mark.parametrize("line", OOM_LINES)
@pytest.mark.parametrize("returncode", [1, -6, -9])
def test_memory_is_named_as_the_cause(line: str, returncode: int) -> None:
    assert classify(returncode, line).error().code == "engine_out_of_memory"


def test_windows_statuses_become_signals() -> None:
    assert classify(0xC0000005, "").signal == signal.SIGSEGV
    assert classify(0xC000001D, "").signal == signal.SIGILL
    assert classify(0xC0000409, "").signal == signal.SIGABRT


@pytest.mark.parametrize(
    ("returncode", "stderr", "words"),
    [
        (-11, "", "The engine stopped: it crashed by reading memory that is not its own (SIGSEGV)."),
        (-4, "", "an instruction that this processor does not have"),
        (-9, "", "because memory ran short or by another program"),
        (-6, "x.c:1: GGML_ASSERT(n > 0) failed", "gave up with “GGML_ASSERT(n > 0) failed”"),
        (-34, "", "ended by signal 34"),
        (5, "", "status 5"),
        (0, "", "in the middle of its work"),
        (1, "unknown model architecture: 'mamba9'", "“mamba9”"),
    ],
)
def test_words_for_the_user(returncode: int, stderr: str, words: str) -> None:
    error = classify(returncode, stderr).error()
    assert words in error.message
    assert error.detail == stderr
    assert error.action


def test_what_the_client_found_comes_first() -> None:
    hang = classify(-9, "out of memory", fault=Fault.HANG, silent_s=59.7)
    assert hang.kind is OutcomeKind.HANG
    assert "60 seconds" in hang.error().message
    assert classify(-9, "", fault=Fault.PROTOCOL).kind is OutcomeKind.PROTOCOL
    assert classify(-15, "", was_stopped=True).kind is OutcomeKind.STOPPED
    assert classify(-15, "", was_stopped=True, fault=Fault.HANG).kind is OutcomeKind.HANG


@given(st.integers(-2**31, 2**32), st.text(), st.sampled_from([None, *Fault]), st.booleans())
def test_every_end_has_words(returncode: int, stderr: str, fault: Fault | None, was_stopped: bool) -> None:
    outcome = classify(returncode, stderr, fault=fault, was_stopped=was_stopped)
    error = outcome.error()
    assert error.message.endswith(".")
    assert "{" not in error.message.replace(stderr, "")
    assert (outcome.exit_code is None) != (outcome.signal is None)


@pytest.mark.parametrize("kind", OutcomeKind)
def test_every_kind_of_end_has_a_cause_in_words(kind: OutcomeKind) -> None:
    is_signal = kind is OutcomeKind.SIGNAL
    cause = WorkerOutcome(kind, None if is_signal else 1, 11 if is_signal else None, "", silent_s=7.0).cause
    assert cause.split()[0] in ("it", "there", "llama.cpp", "this", "a"), cause
    assert kind.value not in cause or kind.value == "stopped"
