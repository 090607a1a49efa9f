"""The worker's end of the protocol: events out, commands in, and a sign of life while work is going on."""

from __future__ import annotations

import os
import queue
import select
import sys
import threading
import time
from typing import NoReturn

import msgspec

from localai_app.engine.framing import LineSplitter, ProtocolError, decode_command, encode_line
from localai_app.engine.outcome import EXIT_BAD_COMMAND
from localai_app.engine.protocol import (
    Benchmark,
    BenchmarkProgressed,
    Chat,
    Command,
    Complete,
    CountTokens,
    Event,
    ListDevices,
    Load,
    LoadProgressed,
    LossProgressed,
    Plan,
    PromptProgressed,
    Quantize,
    QuantizeProgressed,
    RenderTemplate,
    RestoreState,
    SaveState,
    ScoreLoss,
    SelfTest,
    Shutdown,
    Stop,
    TextGenerated,
    Tune,
)
from localai_app.engine.worker.stop_flag import StopFlags

Request = (
    Load | Chat | CountTokens | Complete | ListDevices | Plan | Benchmark | SelfTest | SaveState | RestoreState | Tune
    | ScoreLoss | Quantize | RenderTemplate
)
"""Commands that are worked on one after the other; the others take effect while one of these runs."""

_PROGRESS = (PromptProgressed, LoadProgressed, BenchmarkProgressed, LossProgressed, QuantizeProgressed)
_READ_BYTES = 64 * 1024
PULSE_INTERVAL_S = 5.0
_PARENT_CHECK_INTERVAL_S = 1.0
_PULSE_CPU_S = 0.01
"""Processor time that counts as work between two signs of life; a waiting worker uses far less."""


class EventSender:
    """Writes events to the private descriptor; text of one channel is joined while the reader of the pipe is behind."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._lock = threading.Lock()
        self._held: list[TextGenerated] = []
        """What waits for room in the pipe, joined as far as it means the same."""
        self._last: Event | None = None
        self._last_sent_s = time.monotonic()

    def send(self, event: Event) -> None:
        """Send one event. Ends the process if nobody listens any more."""
        with self._lock:
            self._last = event
            if isinstance(event, TextGenerated) and not self._has_room():
                self._hold(event)
                return
            self._write_held()
            self._write(event)

    def repeat_progress(self) -> None:
        """Say again what was last said about a running request: a sign of life, with nothing new in it."""
        with self._lock:
            last = self._last
            # While the pipe is full, its reader has something to read yet; a write would hold up the answer.
            if time.monotonic() - self._last_sent_s < PULSE_INTERVAL_S / 2 or not self._has_room():
                return
            if isinstance(last, TextGenerated):
                if not self._held:
                    self._write(msgspec.structs.replace(last, text="", logprobs=(), takes_back=False))
                self._write_held()
            elif isinstance(last, _PROGRESS):
                self._write(last)

    def write_raw(self, data: bytes) -> None:
        """Bytes as they are; only for faults in tests."""
        with self._lock:
            self._write_all(data)

    def _hold(self, event: TextGenerated) -> None:
        last = self._held[-1] if self._held else None
        if last is None or last.takes_back or event.takes_back or last.channel is not event.channel:
            self._held.append(event)
            return
        self._held[-1] = msgspec.structs.replace(
            event, text=last.text + event.text, logprobs=(*last.logprobs, *event.logprobs))

    def _write_held(self) -> None:
        while self._held:
            self._write(self._held.pop(0))

    def _write(self, event: Event) -> None:
        self._write_all(encode_line(event))

    def _write_all(self, data: bytes) -> None:
        remaining = memoryview(data)
        try:
            while remaining:
                remaining = remaining[os.write(self._descriptor, remaining):]
        except OSError:
            end_process(0)
        self._last_sent_s = time.monotonic()

    def _has_room(self) -> bool:
        """Whether a small event can be written without waiting; always true where pipes cannot be asked."""
        if sys.platform == "win32":
            return True
        return bool(select.select([], [self._descriptor], [], 0)[1])


class CommandReader(threading.Thread):
    """Reads commands into `commands`; stops take effect at once, the end of the stream ends the process."""

    def __init__(self, descriptor: int, stop_flags: StopFlags) -> None:
        super().__init__(name="command-reader", daemon=True)
        self._descriptor = descriptor
        self._stop_flags = stop_flags
        self.commands: queue.SimpleQueue[tuple[float, Request]] = queue.SimpleQueue()
        """Commands with the `time.perf_counter` of their arrival."""

    def run(self) -> None:
        """Read until the stream ends; whatever the worker is doing then, it is no longer wanted."""
        splitter = LineSplitter()
        try:
            while data := os.read(self._descriptor, _READ_BYTES):
                for line in splitter.feed(data):
                    self._accept(decode_command(line))
        except ProtocolError as error:
            print(f"worker: {error}", file=sys.stderr, flush=True)
            end_process(EXIT_BAD_COMMAND)
        except OSError as error:
            print(f"worker: commands cannot be read: {error}", file=sys.stderr, flush=True)
        end_process(0)

    def _accept(self, command: Command) -> None:
        if isinstance(command, Shutdown):
            end_process(0)
        if isinstance(command, Stop):
            self._stop_flags.stop(command.id)
            return
        self._stop_flags.expect(command.id)
        self.commands.put((time.perf_counter(), command))


class Pulse(threading.Thread):
    """Repeats the progress of a request that works in silence, and ends the worker when its parent is gone.

    Work is recognised by processor time: a worker that waits for something forever does not pulse, so
    that the client's watchdog sees it. The parent's death also shows as the end of stdin; watching its id
    covers the case that another process has inherited the other end of the pipe. (PR_SET_PDEATHSIG would
    not do: it fires when the *thread* that started the worker ends.)
    """

    def __init__(self, sender: EventSender) -> None:
        super().__init__(name="pulse", daemon=True)
        self._sender = sender
        self._parent_id = os.getppid()

    def run(self) -> None:
        """Pulse forever."""
        next_pulse_s = time.monotonic() + PULSE_INTERVAL_S
        cpu_s = time.process_time()
        while True:
            time.sleep(_PARENT_CHECK_INTERVAL_S)
            if sys.platform != "win32" and os.getppid() != self._parent_id:
                end_process(0)
            if time.monotonic() < next_pulse_s:
                continue
            next_pulse_s = time.monotonic() + PULSE_INTERVAL_S
            used_s, cpu_s = time.process_time() - cpu_s, time.process_time()
            if used_s > _PULSE_CPU_S:
                self._sender.repeat_progress()


def end_process(status: int) -> NoReturn:
    """End at once, without clean-up: the system takes back memory and devices faster than any destructor."""
    sys.stderr.flush()
    os._exit(status)
