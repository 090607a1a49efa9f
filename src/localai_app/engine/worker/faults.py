"""Scripted misbehaviour of the echo back end, so that tests can break a real worker process in every known way."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

from localai_app.engine.failure import RequestRefusedError
from localai_app.engine.worker.channel import EventSender
from localai_app.errors import MODEL_LOAD_FAILED

_FOREVER_S = 3600.0
_BLOCK_BYTES = 1024**2


@dataclass(frozen=True, slots=True)
class FaultPlan:
    """What to do wrong (`kind`) and where: `load`, `prompt`, or a number of generated tokens. No kind: nothing.

    Kinds: segv, abort, assert, kill, oom, exit0, exit3, hang, garbage, flood (a line of 1 GiB), noise (endless
    stderr), wrong_version, refuse (the load). Written as `kind@place`; `flood` and others without a place: at the load.
    """

    kind: str
    place: str
    sender: EventSender | None = None

    @classmethod
    def parse(cls, text: str, sender: EventSender | None = None) -> FaultPlan:
        """A plan from `kind@place`; ValueError for a kind that does not exist."""
        kind, _, place = text.partition("@")
        if kind and kind not in _FAULTS:
            raise ValueError(f"no such fault: {kind}")
        return cls(kind, place or "load", sender)

    def reach(self, place: str | int) -> None:
        """The back end has come to this place; the fault happens if it is planned here."""
        if self.kind and self.place == str(place):
            _FAULTS[self.kind](self)

    def write_raw(self, data: bytes) -> None:
        """Bytes onto the protocol's descriptor, as they are."""
        if self.sender is not None:
            self.sender.write_raw(data)


def _segv(_plan: FaultPlan) -> None:
    ctypes.string_at(0)


def _abort(_plan: FaultPlan) -> None:
    os.abort()


def _assert(_plan: FaultPlan) -> None:
    print("ggml.c:42: GGML_ASSERT(n_dims <= GGML_MAX_DIMS) failed", file=sys.stderr, flush=True)
    os.abort()


def _kill(_plan: FaultPlan) -> None:
    os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))


def _oom(_plan: FaultPlan) -> None:
    print("ggml_backend_cpu_buffer_type_alloc_buffer: failed to allocate buffer of size 99", file=sys.stderr, flush=True)
    os.abort()


def _exit0(_plan: FaultPlan) -> None:
    os._exit(0)


def _exit3(_plan: FaultPlan) -> None:
    os._exit(3)


def _hang(_plan: FaultPlan) -> None:
    time.sleep(_FOREVER_S)


def _garbage(plan: FaultPlan) -> None:
    plan.write_raw(b"\x00\xff this is {not a message\n")


def _flood(plan: FaultPlan) -> None:
    block = b"x" * _BLOCK_BYTES
    for _ in range(1024):
        plan.write_raw(block)


def _noise(_plan: FaultPlan) -> None:
    for number in range(20_000):
        print(f"noise {number} {'.' * 200}", file=sys.stderr)
    sys.stderr.flush()


def _wrong_version(plan: FaultPlan) -> None:
    plan.write_raw(b'{"type":"ready","protocol":999,"backend":"echo","engine_build":"","gpu_offload":false,"pid":1}\n')


def _refuse(_plan: FaultPlan) -> None:
    raise RequestRefusedError(MODEL_LOAD_FAILED, name="the model", reason="this fault was asked for")


_FAULTS: dict[str, Callable[[FaultPlan], None]] = {
    "segv": _segv,
    "abort": _abort,
    "assert": _assert,
    "kill": _kill,
    "oom": _oom,
    "exit0": _exit0,
    "exit3": _exit3,
    "hang": _hang,
    "garbage": _garbage,
    "flood": _flood,
    "noise": _noise,
    "wrong_version": _wrong_version,
    "refuse": _refuse,
}
