"""The steps from one version to the next, each for one thread at a time, with the state that they lead to."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from pathlib import Path

from localai_app import errors
from localai_app.errors import AppError
from localai_app.progress import CancelToken, Progress
from localai_app.services.events import EventBus, UpdatesChanged
from localai_app.services.settings_service import SettingsService
from localai_app.services.update_install import InstallStarted, install
from localai_app.services.update_memory import UpdateMemory
from localai_app.services.update_source import Offer, UpdateSource

SETTING = "check_for_updates"
NO_PROGRESS = Progress(0, 0)


class UpdateStatus(StrEnum):
    """What is going on."""

    NOT_CONFIGURED = "not_configured"
    """This build has no address to ask."""
    OFF = "off"
    """The user does not want it."""
    UNKNOWN = "unknown"
    """Nobody was asked yet, or nobody who can be believed answered."""
    CHECKING = "checking"
    CURRENT = "current"
    AVAILABLE = "available"
    DOWNLOADING = "downloading"
    DOWNLOADED = "downloaded"


@dataclass(frozen=True, slots=True)
class UpdateState:
    """All that a window shows. `error` is why the last step failed; `file` an installer that is verified."""

    status: UpdateStatus
    offer: Offer | None = None
    asked: datetime | None = None
    progress: Progress = NO_PROGRESS
    file: Path | None = None
    error: AppError | None = None
    is_known: bool = False
    """Whether a list that is believed said what is newest."""
    is_hidden: bool = False
    """The user does not want to hear of this version, now or at all."""

    @property
    def is_busy(self) -> bool:
        """Whether something is being done."""
        return self.status in (UpdateStatus.CHECKING, UpdateStatus.DOWNLOADING)


class UpdateSteps:
    """Synchronous; UpdatesChanged tells of every new state."""

    def __init__(self, events: EventBus, settings: SettingsService, source: UpdateSource, memory: UpdateMemory) -> None:
        self._events = events
        self._settings = settings
        self._source = source
        self._memory = memory
        self._working = threading.Lock()
        self._changing = threading.Lock()
        self.state = self._rested(UpdateState(UpdateStatus.UNKNOWN, asked=memory.read().asked))

    @property
    def is_on(self) -> bool:
        """Whether anybody may be asked: an address is built in, and the switch is on."""
        return self._source.can_ask and bool(self._settings.get(SETTING))

    @property
    def is_working(self) -> bool:
        """Whether a step is under way."""
        return self._working.locked()

    def require_on(self) -> None:
        """AppError UPDATES_OFF where the user does not want that anybody is asked."""
        if self._source.can_ask and not self.is_on:
            raise AppError(errors.UPDATES_OFF)

    def look_at_kept(self, cancel: CancelToken) -> None:
        """Show what was found the last time; nobody is asked. Nothing while a step is under way, which knows more."""
        kept = self._source.kept()
        if kept is None or not self.is_on or not self._working.acquire(blocking=False):
            return
        try:
            self._found(self._source.offer_of(kept), cancel)
        finally:
            self._working.release()

    def ask(self, cancel: CancelToken) -> UpdateState:
        """Ask, and what was found. AppError UPDATES_OFF, NOTHING_TO_ASK and those of the network; `Cancelled`."""
        self.require_on()
        with self._step(UpdateStatus.CHECKING):
            return self._found(self._source.ask(cancel), cancel)

    def fetch(self, cancel: CancelToken, on_progress: Callable[[Progress], None]) -> Path:
        """Download the installer of the version that was found. AppError why not; `Cancelled`."""
        self.require_on()
        offer = self.state.offer
        if offer is None or (offer.artefact is None and offer.obstacle is None):
            raise AppError(errors.NO_NEWER_VERSION, version=self._source.installed_version)
        if offer.artefact is None:
            raise offer.obstacle or AssertionError
        with self._step(UpdateStatus.DOWNLOADING):
            file = self._source.download(offer.artefact, on_progress, cancel)
            self._change(file=file)
        return file

    def install(self) -> InstallStarted:
        """Hand the downloaded file to the system. AppError why not."""
        state = self.state
        if state.file is None or state.offer is None or state.offer.artefact is None:
            raise AppError(errors.NO_NEWER_VERSION, version=self._source.installed_version)
        try:
            return install(self._source.installation.kind, state.file, state.offer.artefact)
        except AppError as error:
            if error.spec is errors.UPDATE_CHANGED:
                self.rest(file=None, error=error)
            raise

    def hide(self, *, for_good: bool) -> None:
        """Say no more of the version that was found: until the next look, or never again."""
        if for_good and self.state.offer is not None:
            self._memory.skip(self.state.offer.version)
        self._change(is_hidden=True)

    def rest(self, **changes: object) -> None:
        """Nothing is being done now; `changes` of the state come along. What is off knows nothing."""
        self._change(self._rested, **changes)

    def on_progress(self, progress: Progress) -> None:
        """Tell how far a download is."""
        self._change(progress=progress)

    @contextmanager
    def _step(self, status: UpdateStatus) -> Iterator[None]:
        """Inside the block `status` holds; afterwards what the block left, with its failure."""
        with self._working:
            self._change(status=status, error=None, progress=NO_PROGRESS)
            failure = None
            try:
                yield
            except AppError as error:
                failure = error
                raise
            finally:
                self.rest(error=failure, asked=self._memory.read().asked)

    def _found(self, offer: Offer | None, cancel: CancelToken) -> UpdateState:
        remembered = self._memory.read()
        file = None
        if offer is not None and offer.artefact is not None and self._source.is_there(offer.artefact, cancel):
            file = self._source.target(offer.artefact)
        is_skipped = offer is not None and offer.version == remembered.skipped_version
        self.rest(offer=offer, file=file, is_known=True, is_hidden=is_skipped, asked=remembered.asked)
        return self.state

    def _rested(self, state: UpdateState) -> UpdateState:
        """A state with the status that it has while nothing is being done."""
        if not self._source.can_ask:
            return UpdateState(UpdateStatus.NOT_CONFIGURED)
        if not self._settings.get(SETTING):
            return UpdateState(UpdateStatus.OFF, asked=state.asked)
        if state.offer is None:
            return replace(state, status=UpdateStatus.CURRENT if state.is_known else UpdateStatus.UNKNOWN)
        return replace(state, status=UpdateStatus.DOWNLOADED if state.file is not None else UpdateStatus.AVAILABLE)

    def _change(self, meaning: Callable[[UpdateState], UpdateState] = lambda state: state, **changes: object) -> None:
        """A new state from the one there is; the window and a thread at work may change it at one time."""
        with self._changing:
            self.state = meaning(replace(self.state, **changes))  # type: ignore[arg-type]
        self._events.publish(UpdatesChanged())
