"""One warm worker that plans loads for dry runs: started when needed, ended when idle, replaced after a crash."""

from __future__ import annotations

import itertools
import logging
import threading
import time
from pathlib import Path

import psutil

from localai_app import errors
from localai_app.engine.client import EngineClient
from localai_app.engine.failure import error_of
from localai_app.engine.launch import PLANNER_MEMORY_BYTES, CommandSource
from localai_app.engine.outcome import WorkerOutcome
from localai_app.engine.protocol import Event, LoadOptions, Plan, Planned, Ready, RequestFailed
from localai_app.errors import AppError

log = logging.getLogger(__name__)

IDLE_S = 10.0
START_LIMIT_S = 30.0
PLAN_LIMIT_S = 10.0
"""A plan takes 5 to 100 ms; more than this is a header made to hang it."""
_LOOK_S = 0.25


class Planner:
    """Plans one load at a time; other callers wait for their turn. Belongs off the window's thread."""

    def __init__(
        self, command: CommandSource, cwd: Path, *, idle_s: float = IDLE_S, plan_limit_s: float = PLAN_LIMIT_S,
        memory_bytes: int = PLANNER_MEMORY_BYTES,
    ) -> None:
        self._command = command
        self._cwd = cwd
        self._idle_s = idle_s
        self._plan_limit_s = plan_limit_s
        self._memory_bytes = memory_bytes
        self._turn = threading.Lock()
        self._changed = threading.Condition()
        self._ids = itertools.count(1)
        self._client: EngineClient | None = None
        self._is_ready = False
        self._answer: Planned | RequestFailed | None = None
        self._outcome: WorkerOutcome | None = None
        self._idle_timer: threading.Timer | None = None
        self._closed = False

    @property
    def pid(self) -> int | None:
        """Process id of the worker, if one runs."""
        client = self._client
        return client.pid if client is not None and client.is_running else None

    def plan(self, header_path: Path, options: LoadOptions) -> Planned:
        """What a load of this header would allocate.

        AppError with llama.cpp's reason where it refuses the header, how the worker ended where the header crashed it, and
        ENGINE_NOT_RESPONDING, ENGINE_OUT_OF_MEMORY, ENGINE_MISSING or ENGINE_UNUSABLE.
        """
        with self._turn:
            if self._closed:
                raise AppError(errors.ENGINE_CRASHED, cause="the program is closing")
            self._stop_timer()
            try:
                return self._plan_or_retry(header_path, options)
            finally:
                self._start_timer()

    def rest(self) -> None:
        """End the worker now: one that planned for a GPU holds some of its memory while it lives."""
        with self._turn:
            self._stop_timer()
            self._stop_client()

    def close(self) -> None:
        """End the worker and wait for it; a plan under way is given up."""
        self._closed = True
        client = self._client
        if client is not None:
            client.kill()
        with self._turn:
            self._stop_timer()
            self._stop_client()

    def _plan_or_retry(self, header_path: Path, options: LoadOptions) -> Planned:
        """Once more after a crash: somebody else may have ended the worker."""
        try:
            return self._plan_now(header_path, options)
        except AppError as error:
            if error.code != errors.ENGINE_CRASHED.code or self._closed:
                raise
        return self._plan_now(header_path, options)

    def _plan_now(self, header_path: Path, options: LoadOptions) -> Planned:
        client = self._running_client()
        request_id = next(self._ids)
        with self._changed:
            self._answer = None
        client.send(Plan(id=request_id, header_path=str(header_path), options=options))
        self._wait(client, self._plan_limit_s)
        return self._taken_answer()

    def _taken_answer(self) -> Planned:
        answer, self._answer = self._answer, None
        if isinstance(answer, Planned):
            return answer
        raise error_of(answer) if answer is not None else AppError(errors.ENGINE_CRASHED, cause="it gave no answer")

    def _running_client(self) -> EngineClient:
        client = self._client
        if client is not None and client.is_running:
            return client
        self._stop_client()
        self._is_ready, self._outcome = False, None
        client = EngineClient(self._command, cwd=self._cwd, on_event=self._on_event, on_exit=self._on_exit)
        client.start()
        self._client = client
        self._wait(client, START_LIMIT_S)
        return client

    def _wait(self, client: EngineClient, limit_s: float) -> None:
        """Until the worker has answered, or has become ready for the first time; AppError if it does neither."""
        is_starting = not self._is_ready
        end_s = time.monotonic() + limit_s
        while True:
            if _rss_bytes(client.pid) > self._memory_bytes:
                self._stop_client()
                raise AppError(errors.ENGINE_OUT_OF_MEMORY)
            with self._changed:
                self._changed.wait_for(lambda: self._has_news(is_starting), _LOOK_S)
                if self._outcome is not None:
                    raise self._outcome.error()
                if self._has_news(is_starting):
                    return
            if time.monotonic() >= end_s:
                self._stop_client()
                raise AppError(errors.ENGINE_NOT_RESPONDING, seconds=round(limit_s))

    def _has_news(self, is_starting: bool) -> bool:
        return self._outcome is not None or (self._is_ready if is_starting else self._answer is not None)

    def _on_event(self, event: Event) -> None:
        with self._changed:
            if isinstance(event, Ready):
                self._is_ready = True
            elif isinstance(event, (Planned, RequestFailed)):
                self._answer = event
            self._changed.notify_all()

    def _on_exit(self, outcome: WorkerOutcome) -> None:
        with self._changed:
            self._outcome = outcome
            self._changed.notify_all()

    def _stop_client(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.kill()
            client.stop()

    def _start_timer(self) -> None:
        if self._client is None or self._closed:
            return
        self._idle_timer = threading.Timer(self._idle_s, self._on_idle)
        self._idle_timer.name = "planner-idle"
        self._idle_timer.daemon = True
        self._idle_timer.start()

    def _stop_timer(self) -> None:
        timer, self._idle_timer = self._idle_timer, None
        if timer is not None:
            timer.cancel()
            if timer is not threading.current_thread():
                timer.join()

    def _on_idle(self) -> None:
        if not self._turn.acquire(blocking=False):
            return
        try:
            self._stop_client()
        finally:
            self._turn.release()


def _rss_bytes(pid: int | None) -> int:
    try:
        return int(psutil.Process(pid).memory_info().rss) if pid is not None else 0
    except psutil.Error:
        return 0
