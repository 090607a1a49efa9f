"""Tells of newer versions and installs none unasked: at most one question a day, and none where the switch is off."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from pathlib import Path

from localai_app.errors import AppError
from localai_app.progress import Cancelled, CancelToken, Progress
from localai_app.services.events import Event, EventBus, SettingChanged
from localai_app.services.late_call import LateCall
from localai_app.services.update_install import InstallStarted
from localai_app.services.update_memory import UpdateMemory
from localai_app.services.update_source import NO_ANSWER, UpdateSource
from localai_app.services.update_steps import SETTING, UpdateState, UpdateSteps

log = logging.getLogger(__name__)

DAY_S = 24 * 3600.0
RETRY_S = 3600.0
"""When nobody could be reached, the next attempt is this much later."""
BUSY_S = 1.0
"""While a download or another question is under way."""
FIRST_LOOK_S = 20.0
"""After the start, so that the first seconds belong to the user."""


class UpdateService:
    """Public methods return at once but for `check`, `download`, `install` and `close`; UpdatesChanged tells of news."""

    def __init__(
        self, events: EventBus, steps: UpdateSteps, source: UpdateSource, memory: UpdateMemory, *,
        first_look_s: float = FIRST_LOOK_S,
    ) -> None:
        self.source = source
        self._events = events
        self._steps = steps
        self._memory = memory
        self._first_look_s = first_look_s
        self._late = LateCall("updates")
        self._lock = threading.Lock()
        self._cancel = CancelToken()
        self._thread: threading.Thread | None = None
        self._unsubscribe: Callable[[], None] = lambda: None
        self._is_closed = False

    @property
    def state(self) -> UpdateState:
        """What is known now."""
        return self._steps.state

    def start(self) -> None:
        """Look when it is time, from now on."""
        self._unsubscribe = self._events.subscribe(self._on_event)
        if self._steps.is_on:
            self._late.set(self._first_look_s, self._on_first_look)

    def check(self) -> UpdateState:
        """Ask now and wait; what is found. AppError UPDATES_OFF, NOTHING_TO_ASK and those of the network."""
        return self._steps.ask(self._cancel)

    def check_now(self) -> None:
        """Ask in the background, because the user wants it."""
        self._run(self._steps.ask)

    def download(self, on_progress: Callable[[Progress], None]) -> Path:
        """Fetch the installer of the version that `check` found, and wait; its file. AppError why not."""
        return self._steps.fetch(self._cancel, on_progress)

    def start_download(self) -> None:
        """The same in the background; `state` tells how far it is."""
        self._run(lambda cancel: self._steps.fetch(cancel, self._steps.on_progress))

    def cancel(self) -> None:
        """End what runs; what has arrived of a download is kept for the next time."""
        with self._lock:
            self._cancel.cancel()

    def install(self) -> InstallStarted:
        """Hand the downloaded file to the system; only ever call it on the user's click. AppError why not."""
        return self._steps.install()

    def hide(self) -> None:
        """Say no more of this version until the next start or the next look."""
        self._steps.hide(for_good=False)

    def skip(self) -> None:
        """Never speak of this version again by itself."""
        self._steps.hide(for_good=True)

    def close(self) -> None:
        """Ask nobody any more, and wait for what runs."""
        self._is_closed = True
        self._unsubscribe()
        self.cancel()
        self._late.close()
        thread = self._thread
        if thread is not None:
            thread.join()

    def _on_event(self, event: Event) -> None:
        if not isinstance(event, SettingChanged) or event.key != SETTING:
            return
        if self._steps.is_on:
            self._steps.rest()
            self._late.set(0.0, self._on_first_look)
        else:
            self._late.drop()
            self.cancel()
            self._steps.rest()

    def _on_first_look(self) -> None:
        """Show what was found the last time, then ask if a day has passed. Runs in the timer's thread."""
        try:
            self._steps.look_at_kept(self._renewed())
        except Cancelled:
            return
        self._look()

    def _look(self) -> None:
        """Ask if it is time, and come back when it is the next time. Runs in the timer's thread."""
        pause_s = self._memory.pause_s(DAY_S)
        if pause_s <= 0 and self._steps.is_on:
            pause_s = BUSY_S if self._steps.is_working else self._ask_quietly()
        if pause_s >= 0 and self._steps.is_on and not self._is_closed:
            self._late.set(pause_s, self._look)

    def _ask_quietly(self) -> float:
        """Ask; seconds until the next time, or less than 0 where somebody ended it, who then knows what is next."""
        try:
            self._steps.ask(self._renewed())
        except AppError as error:
            log.info("looking for a newer version failed: %s (%s)", error, error.detail)
            return RETRY_S if error.spec in NO_ANSWER else DAY_S
        except Cancelled:
            return -1.0
        return DAY_S

    def _run(self, work: Callable[[CancelToken], object]) -> None:
        """One piece of work at a time, in a thread; its failure is in the state."""
        with self._lock:
            if self._is_closed or self._steps.is_working or (self._thread is not None and self._thread.is_alive()):
                return
            self._cancel = cancel = CancelToken()
            self._thread = threading.Thread(target=self._guarded, args=(work, cancel), name="updates", daemon=True)
            self._thread.start()

    def _guarded(self, work: Callable[[CancelToken], object], cancel: CancelToken) -> None:
        try:
            work(cancel)
        except AppError as error:
            log.info("an update failed: %s (%s)", error, error.detail)
            self._steps.rest(error=error)
        except Cancelled:
            pass

    def _renewed(self) -> CancelToken:
        with self._lock:
            if self._cancel.is_cancelled and not self._is_closed:
                self._cancel = CancelToken()
            return self._cancel
