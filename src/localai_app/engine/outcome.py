"""Why a worker ended: classified from its exit status and the end of its stderr, and put into words."""

from __future__ import annotations

import re
import signal as signals
from dataclasses import dataclass
from enum import StrEnum

from localai_app.errors import (
    ARCHITECTURE_UNKNOWN,
    ENGINE_CRASHED,
    ENGINE_MISSING,
    ENGINE_NOT_RESPONDING,
    ENGINE_OUT_OF_MEMORY,
    ENGINE_UNUSABLE,
    LENDER_LOST,
    AppError,
)

EXIT_ENGINE_MISSING = 81
"""The worker's exit status when the llama.cpp package is not installed."""
EXIT_ENGINE_UNUSABLE = 82
"""The package is there but its library cannot be loaded."""
EXIT_ENGINE_UNSUPPORTED = 84
"""The library is sound, but made for another processor."""
EXIT_ADDRESS_UNUSABLE = 85
"""A worker that lends devices cannot listen there."""
EXIT_BAD_COMMAND = 83
"""The worker was sent something that is not a command."""


class OutcomeKind(StrEnum):
    """The ways in which a worker ends."""

    STOPPED = "stopped"
    """We ended it: unload, quit."""
    EXITED = "exited"
    """By itself, with an exit status and no better explanation."""
    SIGNAL = "signal"
    OUT_OF_MEMORY = "out_of_memory"
    ASSERTION = "assertion"
    """llama.cpp found itself in an impossible state and gave up."""
    UNKNOWN_ARCHITECTURE = "unknown_architecture"
    MISSING = "missing"
    UNUSABLE = "unusable"
    UNSUPPORTED = "unsupported"
    """A build for another processor."""
    HANG = "hang"
    PROTOCOL = "protocol"
    LENDER_LOST = "lender_lost"
    """Another computer, which lent its devices, is gone."""


class Fault(StrEnum):
    """What the client itself found wrong before it ended the worker."""

    HANG = "hang"
    PROTOCOL = "protocol"


@dataclass(frozen=True, slots=True)
class WorkerOutcome:
    """How a worker ended. `exit_code` and `signal` are None where the other one applies."""

    kind: OutcomeKind
    exit_code: int | None
    signal: int | None
    stderr_tail: str
    silent_s: float = 0.0
    """With HANG: seconds without a sign of life."""

    @property
    def is_crash(self) -> bool:
        """Whether it ended by a signal with which a build shows that it may be at fault; others come from outside."""
        return self.kind is OutcomeKind.SIGNAL and self.signal in _CRASHES

    @property
    def cause(self) -> str:
        """The cause as part of a sentence, for people."""
        if self.kind is OutcomeKind.SIGNAL and self.signal is not None:
            return _SIGNAL_WORDS.get(self.signal, f"it was ended by signal {self.signal}")
        if self.kind is OutcomeKind.EXITED:
            if self.exit_code == 0:
                return "it ended by itself in the middle of its work"
            return f"it ended by itself with status {self.exit_code}"
        return {
            OutcomeKind.STOPPED: "it was stopped",
            OutcomeKind.ASSERTION: f"llama.cpp gave up with “{_assertion_in(self.stderr_tail)}”",
            OutcomeKind.PROTOCOL: "it sent something that is not a message",
            OutcomeKind.OUT_OF_MEMORY: "there was not enough memory",
            OutcomeKind.UNKNOWN_ARCHITECTURE: "llama.cpp does not know this kind of model",
            OutcomeKind.MISSING: "llama.cpp is not installed",
            OutcomeKind.UNUSABLE: "llama.cpp could not be loaded",
            OutcomeKind.UNSUPPORTED: "this llama.cpp is made for another processor",
            OutcomeKind.HANG: f"it gave no sign of life for {self.silent_s:.0f} seconds",
            OutcomeKind.LENDER_LOST: "a computer that lent its devices is gone",
        }[self.kind]

    def error(self) -> AppError:
        """The outcome as an error for the user; `detail` holds the end of the worker's log."""
        tail = self.stderr_tail
        if self.kind in _PLAIN_ERRORS:
            return AppError(_PLAIN_ERRORS[self.kind], detail=tail)
        match self.kind:
            case OutcomeKind.UNKNOWN_ARCHITECTURE:
                return AppError(ARCHITECTURE_UNKNOWN, architecture=_architecture_in(tail), detail=tail)
            case OutcomeKind.HANG:
                return AppError(ENGINE_NOT_RESPONDING, seconds=round(self.silent_s), detail=tail)
            case _:
                return AppError(ENGINE_CRASHED, cause=self.cause, detail=tail)


_PLAIN_ERRORS = {
    OutcomeKind.OUT_OF_MEMORY: ENGINE_OUT_OF_MEMORY, OutcomeKind.MISSING: ENGINE_MISSING,
    OutcomeKind.UNUSABLE: ENGINE_UNUSABLE, OutcomeKind.UNSUPPORTED: ENGINE_UNUSABLE, OutcomeKind.LENDER_LOST: LENDER_LOST}


def classify(
    returncode: int, stderr_tail: str, *, fault: Fault | None = None, was_stopped: bool = False, silent_s: float = 0.0
) -> WorkerOutcome:
    """The outcome behind a `Popen.returncode`; `fault` is what the client found, `was_stopped` that it was asked to end."""
    signal_number = _signal_of(returncode)
    exit_code = returncode if signal_number is None else None
    if fault is not None:
        kind = OutcomeKind.HANG if fault is Fault.HANG else OutcomeKind.PROTOCOL
    elif was_stopped:
        kind = OutcomeKind.STOPPED
    else:
        kind = _kind_of(exit_code, signal_number, stderr_tail)
    return WorkerOutcome(kind, exit_code, signal_number, stderr_tail, silent_s if kind is OutcomeKind.HANG else 0.0)


def says_out_of_memory(text: str) -> bool:
    """Whether a log of llama.cpp, C++ or Python tells that memory could not be had."""
    return _OUT_OF_MEMORY.search(text) is not None


def unknown_architecture_in(text: str) -> str | None:
    """The architecture that a log of llama.cpp calls unknown, if it does."""
    found = _UNKNOWN_ARCHITECTURE.search(text)
    return found.group(1) if found else None


_OUT_OF_MEMORY = re.compile(
    r"out of memory|bad_alloc|MemoryError|OutOfDeviceMemory|OutOfHostMemory|cannot allocate memory|[cC]udaMalloc failed"
    r"|(?:failed|unable) to allocate|memory allocation .{0,40}failed|insufficient memory|[Tt]hread creation failed",
    re.IGNORECASE,
)
_UNKNOWN_ARCHITECTURE = re.compile(r"unknown model architecture: '([^']{1,80})'")
_LENDER_LOST = re.compile(r"Remote RPC server crashed|Failed to connect to \S+:\d+|RPC handshake failed")
_ASSERTION = re.compile(r"GGML_ASSERT\(.{1,200}?\) failed|GGML_ABORT.{0,200}|Assertion .{1,200} failed|what\(\):.{1,200}")
_ABORTS = ((OutcomeKind.LENDER_LOST, _LENDER_LOST), (OutcomeKind.ASSERTION, _ASSERTION))

_WINDOWS_STATUS_SIGNALS = {
    0xC0000005: int(signals.SIGSEGV),  # STATUS_ACCESS_VIOLATION
    0xC00000FD: int(signals.SIGSEGV),  # STATUS_STACK_OVERFLOW
    0xC000001D: int(signals.SIGILL),  # STATUS_ILLEGAL_INSTRUCTION
    0xC0000094: int(signals.SIGFPE),  # STATUS_INTEGER_DIVIDE_BY_ZERO
    0xC0000409: int(signals.SIGABRT),  # STATUS_STACK_BUFFER_OVERRUN, which abort() raises
    0xC000013A: int(signals.SIGINT),  # STATUS_CONTROL_C_EXIT
}
_WINDOWS_NO_MEMORY = 0xC0000017
_CRASHES = (int(signals.SIGSEGV), int(signals.SIGILL), int(signals.SIGFPE), int(signals.SIGABRT))
_SIGKILL, _SIGBUS = 9, getattr(signals, "SIGBUS", 7)

_SIGNAL_WORDS = {
    int(signals.SIGSEGV): "it crashed by reading memory that is not its own (SIGSEGV)",
    int(signals.SIGILL): "it used an instruction that this processor does not have (SIGILL)",
    int(signals.SIGFPE): "it crashed in a calculation (SIGFPE)",
    int(signals.SIGABRT): "it gave up because of an internal error (SIGABRT)",
    int(signals.SIGTERM): "another program asked it to end (SIGTERM)",
    int(signals.SIGINT): "it was interrupted (SIGINT)",
    int(_SIGBUS): "the model file changed or could not be read while it was in use (SIGBUS)",
    _SIGKILL: "it was killed from outside, by the system because memory ran short or by another program (SIGKILL)",
}


def _signal_of(returncode: int) -> int | None:
    if returncode < 0 and -returncode < 128:
        return -returncode
    return _WINDOWS_STATUS_SIGNALS.get(returncode & 0xFFFFFFFF)


def _kind_of(exit_code: int | None, signal_number: int | None, stderr_tail: str) -> OutcomeKind:
    by_status = {EXIT_ENGINE_MISSING: OutcomeKind.MISSING, EXIT_ENGINE_UNUSABLE: OutcomeKind.UNUSABLE,
                 EXIT_ENGINE_UNSUPPORTED: OutcomeKind.UNSUPPORTED,
                 EXIT_BAD_COMMAND: OutcomeKind.PROTOCOL, _WINDOWS_NO_MEMORY: OutcomeKind.OUT_OF_MEMORY}
    if exit_code in by_status:
        return by_status[exit_code]
    if exit_code == 0:
        return OutcomeKind.EXITED
    if signal_number in (None, int(signals.SIGABRT), _SIGKILL) and says_out_of_memory(stderr_tail):
        return OutcomeKind.OUT_OF_MEMORY
    if signal_number in (None, int(signals.SIGABRT)) and unknown_architecture_in(stderr_tail):
        return OutcomeKind.UNKNOWN_ARCHITECTURE
    if signal_number == int(signals.SIGABRT):
        return next((kind for kind, pattern in _ABORTS if pattern.search(stderr_tail)), OutcomeKind.SIGNAL)
    return OutcomeKind.EXITED if signal_number is None else OutcomeKind.SIGNAL


def _assertion_in(stderr_tail: str) -> str:
    found = [match.group(0).strip() for match in _ASSERTION.finditer(stderr_tail)]
    return found[-1] if found else "an internal check failed"


def _architecture_in(stderr_tail: str) -> str:
    return unknown_architecture_in(stderr_tail) or "unknown"
