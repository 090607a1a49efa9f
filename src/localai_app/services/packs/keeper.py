"""Watches over installed packs: one that fails later gives way to the version before it, if that is still there."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from localai_app import errors
from localai_app.errors import AppError
from localai_app.progress import Cancelled
from localai_app.services.events import ErrorHappened, Event, EventBus, RuntimesChanged, WorkerDied
from localai_app.services.late_call import LateCall
from localai_app.services.packs.folders import InstalledPack, PackFolders
from localai_app.services.packs.trial import PackTrial
from localai_app.services.runtimes import RuntimeRow

log = logging.getLogger(__name__)

MOST_CRASHES = 2
"""A new version in use with which the engine crashes this often gives way to the one before, whatever its self-test says."""


class PackKeeper:
    """Looks in a thread of its own after each self-test and crash. `on_rolled_back` lets the builds be looked for again."""

    def __init__(
        self, events: EventBus, folders: PackFolders, trial: PackTrial, rows: Callable[[], Sequence[RuntimeRow]],
        on_rolled_back: Callable[[], object],
    ) -> None:
        self._events = events
        self._folders = folders
        self._trial = trial
        self._rows = rows
        self._on_rolled_back = on_rolled_back
        self._late = LateCall("packs-keeper")
        self._given_up = threading.Event()
        self._crashes: Counter[Path] = Counter()
        """While which version was the current one, by its folder."""
        self._unsubscribe: Callable[[], None] = lambda: None

    def start(self) -> None:
        """Watch from now on, and look now where there is a version to go back to."""
        self._unsubscribe = self._events.subscribe(self._on_event)
        if not all(each.is_current for each in self._folders.installed()):
            self._late.set(0.0, self._guarded)

    def close(self) -> None:
        """Watch no longer, and wait for what runs."""
        self._unsubscribe()
        self._given_up.set()
        self._late.close()

    def look(self) -> InstalledPack | None:
        """Test a current version that failed or is left out, and roll back if it fails again; the version that is used then."""
        rows = self._rows()
        for pack in self._folders.installed():
            previous = self._previous(pack) if pack.is_current else None
            reason = self._fault(pack, rows) if previous is not None else ""
            if previous is not None and reason:
                return self._roll_back(pack, previous, reason)
        return None

    def _on_event(self, event: Event) -> None:
        if isinstance(event, WorkerDied) and event.outcome.is_crash:
            self._crashes.update(each.folder for each in self._folders.installed() if each.is_current)
            if max(self._crashes.values(), default=0) >= MOST_CRASHES:
                self._late.set(0.0, self._guarded)
        elif isinstance(event, RuntimesChanged):
            self._late.set(0.0, self._guarded)

    def _guarded(self) -> None:
        try:
            self.look()
        except AppError as error:
            log.info("packs could not be looked after: %s", error)
        except Cancelled:
            pass
        except Exception:
            log.exception("packs could not be looked after")

    def _fault(self, pack: InstalledPack, rows: Sequence[RuntimeRow]) -> str:
        """What speaks against a version; empty while nothing does."""
        folder, crashes = pack.folder.resolve(), self._crashes[pack.folder]
        own = [row for row in rows if any(addition.library_dir == folder for addition in row.runtime.additions)]
        if crashes >= MOST_CRASHES and any(row.is_chosen for row in own):
            return f"the engine crashed {crashes} times with it"
        results = [row.result for row in own if row.result is not None]
        has_failed = any(not result.passed and not result.is_unsupported for result in results)
        # What is damaged is left out when builds are looked for, and so is in no row of its engine.
        is_left_out = not own and any(row.runtime.build.engine_id == pack.verified.engine_id for row in rows)
        if not has_failed and not is_left_out:
            return ""
        verdict = self._trial.of_folder(pack.folder, pack.verified.engine_id, self._given_up)
        return "" if verdict.is_unsupported else verdict.reason

    def _previous(self, pack: InstalledPack) -> InstalledPack | None:
        own = (pack.verified.engine_id, pack.verified.pack_id)
        return next(
            (each for each in self._folders.installed()
             if not each.is_current and (each.verified.engine_id, each.verified.pack_id) == own), None)

    def _roll_back(self, pack: InstalledPack, previous: InstalledPack, reason: str) -> InstalledPack:
        with self._folders.locked():
            self._folders.discard(pack.folder)
        del self._crashes[pack.folder]
        log.info("the runtime pack in %s is taken away: %s", pack.folder, reason)
        self._events.publish(ErrorHappened(AppError(
            errors.PACK_ROLLED_BACK, label=pack.verified.label, version=pack.verified.version, reason=reason,
            previous=previous.verified.version)))
        self._on_rolled_back()
        return previous
