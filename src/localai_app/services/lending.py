"""Lends this computer's devices to other programs: llama.cpp's RPC server, in a worker that ends with the program."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from localai_app import errors
from localai_app.engine.client import EngineClient
from localai_app.engine.outcome import EXIT_ADDRESS_UNUSABLE, OutcomeKind, WorkerOutcome
from localai_app.engine.rpc_greeting import Answer, greet
from localai_app.errors import AppError
from localai_app.services.events import ErrorHappened, Event, EventBus, SettingChanged, SharingChanged
from localai_app.services.settings_service import SettingsService
from localai_app.settings.addresses import address_to_ask, is_this_computer

log = logging.getLogger(__name__)

START_LIMIT_S = 30.0
_LOOK_S = 0.1
_SETTINGS = ("lend_devices", "lend_address", "network_is_trusted")
WARNING = (
    "llama.cpp's RPC knows no passwords and no encryption: whoever reaches this address can read what is computed, use this "
    "computer and crash the engine. Lend only in networks in which you trust everybody.")


class LendingStatus(StrEnum):
    """What the server does."""

    OFF = "off"
    STARTING = "starting"
    LENDING = "lending"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class LendingState:
    """What the server does, and where; `error` says why it does not."""

    status: LendingStatus = LendingStatus.OFF
    address: str = ""
    error: AppError | None = None


_OFF = LendingState()


class LendingService:
    """Follows the settings. Public methods return at once but for `close`; SharingChanged tells of news."""

    def __init__(
        self, events: EventBus, settings: SettingsService, command: Callable[[str], Sequence[str]], worker_dir: Path,
    ) -> None:
        """`command` makes the command line of a worker that lends at an address (it may take seconds)."""
        self._events = events
        self._settings = settings
        self._command = command
        self._worker_dir = worker_dir
        self._state = LendingState()
        self._wanted = ""
        self._otherwise = _OFF
        self._wish = 0
        self._changed = threading.Condition()
        self._closed = False
        self._thread: threading.Thread | None = None

    @property
    def state(self) -> LendingState:
        """What the server does now."""
        return self._state

    def start(self) -> None:
        """Lend if the settings say so, and follow them from now on."""
        self._events.subscribe(self._on_event)
        self._follow()

    def lend(self, address: str, *, is_trusted: bool = False) -> None:
        """Lend at HOST:PORT until `stop`; AppError LENDING_NEEDS_TRUST where the network is not trusted, here or in general."""
        if not is_this_computer(address) and not (is_trusted or self._settings.get("network_is_trusted")):
            raise AppError(errors.LENDING_NEEDS_TRUST, address=address)
        self._want(address)

    def stop(self) -> None:
        """Lend no more."""
        self._want("")

    def close(self) -> None:
        """End the server and wait for it."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join()

    def _on_event(self, event: Event) -> None:
        if isinstance(event, SettingChanged) and event.key in _SETTINGS:
            self._follow()

    def _follow(self) -> None:
        if not self._settings.get("lend_devices"):
            self.stop()
            return
        address = self._settings.text("lend_address")
        try:
            self.lend(address)
        except AppError as error:
            self._want("", LendingState(LendingStatus.FAILED, address, error))

    def _want(self, address: str, otherwise: LendingState = _OFF) -> None:
        """Let the thread serve there, or stop and say `otherwise`."""
        with self._changed:
            self._wanted, self._otherwise = address, otherwise
            self._wish += 1
            self._changed.notify_all()
            if address and self._thread is None and not self._closed:
                self._thread = threading.Thread(target=self._run, name="lending", daemon=True)
                self._thread.start()
        if self._thread is None and otherwise != self._state:
            self._set(otherwise)

    def _run(self) -> None:
        """One server after the other, as wanted."""
        seen = 0
        while True:
            with self._changed:
                self._changed.wait_for(lambda seen=seen: self._closed or self._wish != seen)  # type: ignore[misc]
                if self._closed:
                    return
                seen, wanted, otherwise = self._wish, self._wanted, self._otherwise
            if wanted:
                self._serve(wanted)
            elif otherwise != self._state:
                self._set(otherwise)

    def _serve(self, address: str) -> None:
        """Run a server until another one is wanted, or none; one that ends by itself is not started again."""
        outcomes: list[WorkerOutcome] = []
        self._set(LendingState(LendingStatus.STARTING, address))
        client = EngineClient(
            lambda: self._command(address), cwd=self._worker_dir, on_event=lambda _event: None, on_exit=outcomes.append)
        try:
            client.start()
            if self._is_up(address, client):
                self._set(LendingState(LendingStatus.LENDING, address))
                with self._changed:
                    while client.is_running and not self._is_over(address):
                        self._changed.wait(_LOOK_S)
        except AppError as error:
            self._set(LendingState(LendingStatus.FAILED, address, error))
            return
        finally:
            client.stop()
        if not self._is_over(address):
            failure = AppError(errors.LENDING_FAILED, address=address, reason=_reason(outcomes))
            self._set(LendingState(LendingStatus.FAILED, address, failure))
            self._events.publish(ErrorHappened(failure))

    def _is_up(self, address: str, client: EngineClient) -> bool:
        for _attempt in range(round(START_LIMIT_S / _LOOK_S)):
            if self._is_over(address) or not client.is_running:
                return False
            if greet(address_to_ask(address)) is Answer.READY:
                return True
            with self._changed:
                self._changed.wait(_LOOK_S)
        return False

    def _is_over(self, address: str) -> bool:
        return self._closed or self._wanted != address

    def _set(self, state: LendingState) -> None:
        self._state = state
        self._events.publish(SharingChanged())


def _reason(outcomes: Sequence[WorkerOutcome]) -> str:
    if not outcomes:
        return "the server does not answer"
    outcome = outcomes[0]
    if outcome.exit_code == EXIT_ADDRESS_UNUSABLE:
        return "this address or port is in use, or not one of this computer"
    if outcome.kind is OutcomeKind.STOPPED:
        return "the server does not answer"
    return outcome.cause
