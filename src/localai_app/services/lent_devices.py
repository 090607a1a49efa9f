"""Devices that other computers lend: which addresses may be used, which answer, and what happens when one is gone."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from localai_app import errors
from localai_app.engine.rpc_greeting import ANSWER_WORDS, Answer, greet
from localai_app.services.events import EngineChanged, EngineFailed, Event, EventBus, SettingChanged, SharingChanged
from localai_app.services.settings_service import SettingsService
from localai_app.settings.addresses import is_this_computer, parse_addresses

log = logging.getLogger(__name__)

RELOAD_PAUSE_S = 120.0
"""A model that loses a lender again within this time is not loaded again by itself."""
_SETTINGS = ("lent_addresses", "network_is_trusted")
NOT_TRUSTED_WORDS = "not used, because “Trust the network” is off"


@dataclass(frozen=True, slots=True)
class Lender:
    """A computer that may lend devices. `answer` None: it was not asked, because it may not be used."""

    address: str
    answer: Answer | None

    @property
    def words(self) -> str:
        """How it stands, as the end of a sentence."""
        return NOT_TRUSTED_WORDS if self.answer is None else ANSWER_WORDS[self.answer]


class LentDevices:
    """Knows the lenders. Asking them takes up to two seconds, so it belongs off the window's thread."""

    def __init__(self, settings: SettingsService, events: EventBus, fixed: Sequence[str] = ()) -> None:
        """`fixed`: addresses beside those of the settings, for this run of the program."""
        self._settings = settings
        self._events = events
        self._fixed = tuple(fixed)
        self._lenders: tuple[Lender, ...] = ()
        self._look_again: Callable[[], None] | None = None
        self._reload: Callable[[str], None] | None = None
        self._uses_lent: Callable[[], bool] = lambda: False
        self._release: Callable[[], None] = lambda: None
        self._lock = threading.Lock()
        self._is_due = False
        self._is_closed = False
        self._lost: list[str] = []
        self._loaded_again_s: dict[str, float] = {}
        self._thread: threading.Thread | None = None

    def watch(
        self, look_again: Callable[[], None], reload: Callable[[str], None], uses_lent: Callable[[], bool],
    ) -> None:
        """From now on follow changes: `look_again` lists the devices anew (it takes a second), `reload` loads a model again.

        `uses_lent` tells whether a loaded model lies on lent devices, which then answer nobody else.
        """
        self._look_again, self._reload, self._uses_lent = look_again, reload, uses_lent
        self._events.subscribe(self._on_event)

    def close(self) -> None:
        """Wait for the listing that is under way; no other one begins."""
        with self._lock:
            self._is_closed = True
            thread = self._thread
        if thread is not None:
            thread.join()

    @property
    def lenders(self) -> tuple[Lender, ...]:
        """As they were asked last."""
        return self._lenders

    @property
    def are_wanted(self) -> bool:
        """Whether any address is set."""
        return bool(self._fixed or self._settings.text("lent_addresses"))

    def on_busy(self, release: Callable[[], None]) -> None:
        """`release` ends the program's own dry runs on lent devices, which keep a load out."""
        self._release = release

    def addresses_for_load(self) -> tuple[str, ...]:
        """As `ready_addresses`, after dry runs that stand in the way were ended."""
        ready = self.ready_addresses()
        if any(lender.answer is Answer.BUSY for lender in self._lenders) and not self._uses_lent():
            self._release()
            ready = self.ready_addresses()
        return ready

    def ready_addresses(self) -> tuple[str, ...]:
        """Ask all that may be used, at once; those that answer, in their order."""
        wanted = tuple(dict.fromkeys((*self._fixed, *(parse_addresses(self._settings.text("lent_addresses")) or ()))))
        if not wanted:
            self._keep(())
            return ()
        is_trusted = bool(self._settings.get("network_is_trusted"))
        with ThreadPoolExecutor(len(wanted), thread_name_prefix="greeting") as pool:
            lenders = tuple(pool.map(
                lambda address: Lender(address, greet(address) if is_trusted or is_this_computer(address) else None), wanted))
        self._keep(lenders)
        return tuple(lender.address for lender in lenders if lender.answer is Answer.READY)

    def _keep(self, lenders: tuple[Lender, ...]) -> None:
        changed, self._lenders = lenders != self._lenders, lenders
        if changed:
            self._events.publish(SharingChanged())

    def _on_event(self, event: Event) -> None:
        match event:
            case SettingChanged(key=key) if key in _SETTINGS:
                self._begin()
            case EngineFailed(model_key=model_key, error=error) if error.spec is errors.LENDER_LOST:
                self._lost.append(model_key)
                self._begin()
            case EngineChanged() if self._is_due:
                self._begin()
            case _:
                pass

    def _begin(self) -> None:
        """List the devices again in a thread of its own; while a model lies on lent ones, once it does so no more."""
        is_in_use = self._uses_lent()
        with self._lock:
            self._is_due = True
            if is_in_use or self._is_closed or self._thread is not None:
                return
            self._thread = threading.Thread(target=self._run, name="lent-devices", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while self._takes_turn():
            try:
                if self._look_again is not None:
                    self._look_again()
                while self._lost and not self._is_closed:
                    self._load_again(self._lost.pop())
            except Exception:
                log.exception("the lent devices could not be listed")

    def _load_again(self, model_key: str) -> None:
        """Once: a lender that fails at every load is left to the user."""
        now_s = time.monotonic()
        is_again = now_s < self._loaded_again_s.get(model_key, -math.inf) + RELOAD_PAUSE_S
        self._loaded_again_s[model_key] = now_s
        if self._reload is not None and not is_again:
            self._reload(model_key)

    def _takes_turn(self) -> bool:
        """Whether there is something to do; where there is not, the thread is over."""
        with self._lock:
            is_due, self._is_due = self._is_due and not self._is_closed, False
            if not is_due:
                self._thread = None
            return is_due
