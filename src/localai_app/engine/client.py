"""The window's end of one worker: starts it, speaks the protocol with it, watches it, ends it.

Four threads serve one worker. The reader delivers events in order and, as its last act, the outcome;
the writer takes commands from a queue so that no caller ever waits for a full pipe; the log reader
keeps the end of stderr; the watchdog ends a worker that shows no sign of life.
"""

from __future__ import annotations

import collections
import contextlib
import logging
import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from localai_app.engine.framing import LineSplitter, ProtocolError, decode_event, encode_line
from localai_app.engine.launch import CommandSource, command_now, worker_environment
from localai_app.engine.outcome import Fault, WorkerOutcome, classify
from localai_app.engine.protocol import (
    PROTOCOL_VERSION,
    Benchmarked,
    Command,
    DevicesListed,
    Event,
    Finished,
    Loaded,
    LossScored,
    Planned,
    Quantized,
    Ready,
    RequestFailed,
    SelfTested,
    Shutdown,
    StateRestored,
    StateSaved,
    Stop,
    TemplateRendered,
    TokensCounted,
    Tuned,
)
from localai_app.errors import ENGINE_UNUSABLE, AppError

log = logging.getLogger(__name__)

STDERR_TAIL_BYTES = 8 * 1024
HANG_TIMEOUT_S = 60.0
_READ_BYTES = 64 * 1024
_WATCH_INTERVAL_S = 0.5
_EXIT_PATIENCE_S = 3.0
_ENDS = (
    Loaded, Finished, RequestFailed, TokensCounted, DevicesListed, Planned, Benchmarked, SelfTested, StateSaved, StateRestored,
    Tuned, LossScored, Quantized, TemplateRendered)
"""What a request is over with."""
_READY_ID = -1
"""Stands for the Ready that a starting worker owes, among the ids of running requests."""


class EngineClient:
    """One worker process. `on_event` and `on_exit` are called in the reader thread; `on_exit` exactly once, last.

    A worker that is busy reports at least every few seconds by itself; one that stays silent for
    `hang_timeout_s` while a request runs is ended with outcome HANG.
    """

    def __init__(
        self,
        command: CommandSource,
        *,
        cwd: Path,
        on_event: Callable[[Event], None],
        on_exit: Callable[[WorkerOutcome], None],
        hang_timeout_s: float = HANG_TIMEOUT_S,
    ) -> None:
        self._command = command
        self._cwd = cwd
        self._on_event = on_event
        self._on_exit = on_exit
        self._hang_timeout_s = hang_timeout_s
        self._process: subprocess.Popen[bytes] | None = None
        self._threads: list[threading.Thread] = []
        self._outbox: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._stderr_tail: collections.deque[bytes] = collections.deque()
        self._lock = threading.Lock()
        self._running_ids = {_READY_ID}
        self._silent_s = 0.0
        self._fault: Fault | None = None
        self._was_stopped = False
        self._ended = threading.Event()

    @property
    def pid(self) -> int | None:
        """Process id of the worker; None before `start`."""
        return self._process.pid if self._process else None

    @property
    def is_running(self) -> bool:
        """Whether the worker was started and has not ended."""
        return self._process is not None and not self._ended.is_set() and self._process.poll() is None

    def start(self) -> None:
        """Start the worker; AppError ENGINE_UNUSABLE if the program cannot be run at all."""
        if self._process is not None:
            raise RuntimeError("a client starts one worker once")
        try:
            self._cwd.mkdir(parents=True, exist_ok=True)
            self._process = self._spawn()
        except OSError as error:
            raise AppError(ENGINE_UNUSABLE, detail=str(error)) from error
        for name, target in (
            ("engine-log", self._read_log),
            ("engine-writer", self._write_commands),
            ("engine-watchdog", self._watch),
            ("engine-reader", self._read_events),
        ):
            thread = threading.Thread(target=target, name=f"{name}-{self._process.pid}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def send(self, command: Command) -> None:
        """Queue one command; returns at once, also if the worker has ended. ProtocolError if it is too long to be sent."""
        line = encode_line(command)
        with self._lock:
            if not isinstance(command, (Stop, Shutdown)):
                if not self._running_ids:
                    self._silent_s = 0.0
                self._running_ids.add(command.id)
        self._outbox.put(line)

    def stop(self, timeout_s: float = 2.0) -> None:
        """End the worker, by asking and then by force; returns when it and its threads are gone.

        Called by a receiver of events, it returns when the process is gone.
        """
        process = self._process
        if process is None:
            return
        self._was_stopped = True
        self._outbox.put(encode_line(Shutdown()))
        self._outbox.put(None)
        if not _has_ended(process, timeout_s):
            process.terminate()
            if not _has_ended(process, 0.5):
                process.kill()
                process.wait()
        self._join_threads()

    def kill(self) -> None:
        """End the worker by force, at once; the outcome arrives as usual."""
        if self._process is not None:
            self._was_stopped = True
            self._process.kill()

    def wait(self, timeout_s: float) -> bool:
        """Wait until the worker has ended and `on_exit` has returned; false after `timeout_s`."""
        return self._ended.wait(timeout_s)

    def _spawn(self) -> subprocess.Popen[bytes]:
        flags = getattr(subprocess, "CREATE_NO_WINDOW", 0) | getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)
        return subprocess.Popen(
            command_now(self._command),
            cwd=self._cwd,
            env=worker_environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            # A Ctrl+C in the terminal is for the window, which then ends its workers in order.
            start_new_session=sys.platform != "win32",
            creationflags=flags if sys.platform == "win32" else 0,
        )

    def _read_events(self) -> None:
        process = self._process
        assert process is not None
        assert process.stdout is not None
        splitter = LineSplitter()
        expect_ready = True
        try:
            while data := os.read(process.stdout.fileno(), _READ_BYTES):
                for line in splitter.feed(data):
                    event = decode_event(line)
                    if expect_ready:
                        _require_ready(event)
                        expect_ready = False
                    self._deliver(event)
        except ProtocolError as error:
            log.warning("worker %d broke the protocol: %s", process.pid, error)
            self._end_for(Fault.PROTOCOL)
        except OSError as error:
            log.warning("worker %d cannot be read: %s", process.pid, error)
        self._report_exit(process)

    def _deliver(self, event: Event) -> None:
        with self._lock:
            self._silent_s = 0.0
            if isinstance(event, Ready):
                self._running_ids.discard(_READY_ID)
            elif isinstance(event, _ENDS):
                self._running_ids.discard(event.id)
        try:
            self._on_event(event)
        except Exception:
            log.exception("a receiver of engine events failed")

    def _report_exit(self, process: subprocess.Popen[bytes]) -> None:
        if not _has_ended(process, _EXIT_PATIENCE_S):
            # It closed its end of the pipe but lives on: nobody can hear it any more.
            self._end_for(Fault.PROTOCOL)
        returncode = process.wait()
        self._outbox.put(None)
        for thread in self._threads:
            if thread.name.startswith("engine-log"):
                thread.join(1.0)
        tail = b"".join(self._stderr_tail)[-STDERR_TAIL_BYTES:].decode("utf-8", "replace")
        outcome = classify(
            returncode, tail, fault=self._fault, was_stopped=self._was_stopped, silent_s=self._silent_s
        )
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()
        try:
            self._on_exit(outcome)
        except Exception:
            log.exception("a receiver of the engine's end failed")
        finally:
            self._ended.set()

    def _read_log(self) -> None:
        process = self._process
        assert process is not None
        assert process.stderr is not None
        held_bytes = 0
        with contextlib.suppress(OSError):
            while data := os.read(process.stderr.fileno(), _READ_BYTES):
                self._stderr_tail.append(data)
                held_bytes += len(data)
                while held_bytes - len(self._stderr_tail[0]) >= STDERR_TAIL_BYTES:
                    held_bytes -= len(self._stderr_tail.popleft())

    def _write_commands(self) -> None:
        process = self._process
        assert process is not None
        assert process.stdin is not None
        with contextlib.suppress(OSError):
            while (line := self._outbox.get()) is not None:
                remaining = memoryview(line)
                while remaining:
                    remaining = remaining[os.write(process.stdin.fileno(), remaining):]
        with contextlib.suppress(OSError):
            process.stdin.close()

    def _watch(self) -> None:
        last_s = time.monotonic()
        while not self._ended.wait(min(_WATCH_INTERVAL_S, self._hang_timeout_s / 4)):
            now_s = time.monotonic()
            with self._lock:
                if self._running_ids:
                    # At most two intervals count: if this process itself was asleep, that is no sign of a hang.
                    self._silent_s += min(now_s - last_s, 2 * _WATCH_INTERVAL_S)
                is_hanging = bool(self._running_ids) and self._silent_s >= self._hang_timeout_s
            last_s = now_s
            if is_hanging:
                self._end_for(Fault.HANG)
                return

    def _end_for(self, fault: Fault) -> None:
        if self._fault is None and not self._was_stopped:
            self._fault = fault
        if self._process is not None:
            self._process.kill()

    def _join_threads(self) -> None:
        if threading.current_thread() in self._threads:
            # Called by a receiver of events: the threads end once it has returned.
            return
        for thread in self._threads:
            thread.join(5.0)


def _require_ready(event: Event) -> None:
    if not isinstance(event, Ready):
        raise ProtocolError(f"the first message is {type(event).__name__}, not Ready")
    if event.protocol != PROTOCOL_VERSION:
        raise ProtocolError(f"the worker speaks version {event.protocol} of the protocol, not {PROTOCOL_VERSION}")


def _has_ended(process: subprocess.Popen[bytes], timeout_s: float) -> bool:
    try:
        process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        return False
    return True
