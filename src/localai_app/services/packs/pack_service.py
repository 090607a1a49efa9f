"""Runtime packs for the window: what is on offer, what is being done, and how far it is."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from localai_app.errors import AppError
from localai_app.progress import Cancelled, Progress
from localai_app.release.pack_document import Pack
from localai_app.services.events import EventBus, PacksChanged
from localai_app.services.packs.installer import Job, Phase
from localai_app.services.packs.keeper import PackKeeper
from localai_app.services.packs.offers import PackOffer, Standing
from localai_app.services.packs.pack_work import PackWork

log = logging.getLogger(__name__)

_MIN_REPORT_S = 0.1
NONE_FOUND = "There is no runtime pack for this computer now."


@dataclass(frozen=True, slots=True)
class PackState:
    """What the window shows. `phase` None: nothing is being installed. `offers` None: nobody looked yet."""

    offers: tuple[PackOffer, ...] | None = None
    is_looking: bool = False
    pack: Pack | None = None
    phase: Phase | None = None
    progress: Progress = field(default_factory=lambda: Progress(0, 0))
    error: AppError | None = None
    news: str = ""
    """What was done last, a sentence."""


class PackService:
    """One wish at a time, in a thread; every method returns at once, but `close`. PacksChanged tells of news.

    What is wished for while another wish is open is not done; the window offers nothing then.
    """

    def __init__(self, events: EventBus, work: PackWork, keeper: PackKeeper) -> None:
        self.work = work
        self._events = events
        self._keeper = keeper
        self._lock = threading.Lock()
        self._state = PackState()
        self._job: Job | None = None
        self._thread: threading.Thread | None = None
        self._is_wish_open = False
        self._reported_s = 0.0
        self._is_closed = False

    @property
    def state(self) -> PackState:
        """What is known and done now."""
        return self._state

    def start(self) -> None:
        """Take away what killed installations left, and watch over what is installed."""
        self._keeper.start()
        self._run(lambda _job: self.work.sweep(), is_wish=False)

    def close(self) -> None:
        """End what runs, and wait for it."""
        with self._lock:
            self._is_closed = True
        self.cancel()
        thread = self._thread
        if thread is not None:
            thread.join()
        self._keeper.close()

    def look(self) -> None:
        """Ask the publishers which packs there are, because the user wants to know."""
        def work(job: Job) -> None:
            self._change(is_looking=True, error=None, news="")
            found = self.work.look(job.cancel)
            self._change(offers=found, news="" if _is_any(found) else NONE_FOUND)

        self._run(work)

    def install(self, offer: PackOffer) -> None:
        """Download it, check it, try it out and put it to use, because the user wants it."""
        def work(job: Job) -> None:
            self._change(pack=offer.pack, phase=Phase.DOWNLOADING, progress=Progress(0, 0), error=None, news="")
            self.work.install(offer.pack.pack_id, job)
            self._change(offers=self._without_offer(offer), news=f"{offer.pack.label} {offer.pack.version} is installed.")

        self._run(work)

    def remove(self, pack_id: str) -> None:
        """Take a pack away."""
        def work(_job: Job) -> None:
            self._change(error=None, news="")
            label = next(
                (each.verified.label for each in self.work.installed() if each.verified.pack_id == pack_id), pack_id)
            self.work.remove(pack_id)
            self._change(offers=None, news=f"{label} was removed.")

        self._run(work)

    def cancel(self) -> None:
        """End what runs; what has arrived of a download is kept for the next time."""
        job = self._job
        if job is not None:
            job.end()

    def _without_offer(self, done: PackOffer) -> tuple[PackOffer, ...]:
        """What is on offer after an installation."""
        put = replace(done, standing=Standing.INSTALLED, reason=f"Version {done.pack.version} is installed.")
        return tuple(put if each.pack == done.pack else each for each in self._state.offers or ())

    def _on_step(self, phase: Phase, progress: Progress) -> None:
        now_s = time.monotonic()
        if phase is self._state.phase and now_s < self._reported_s + _MIN_REPORT_S:
            return
        self._reported_s = now_s
        self._change(phase=phase, progress=progress)

    def _run(self, work: Callable[[Job], None], *, is_wish: bool = True) -> None:
        with self._lock:
            if self._is_closed or self._is_wish_open:
                return
            self._is_wish_open, before = is_wish, self._thread
            self._job = job = Job(self._on_step)
            self._thread = threading.Thread(target=self._guarded, args=(work, job, before), name="packs", daemon=True)
            self._thread.start()

    def _guarded(self, work: Callable[[Job], None], job: Job, before: threading.Thread | None) -> None:
        if before is not None:
            before.join()
        error: AppError | None = None
        try:
            work(job)
        except AppError as happened:
            log.info("a runtime pack: %s (%s)", happened, happened.detail)
            error = happened
        except Cancelled:
            pass
        finally:
            with self._lock:
                if job is self._job:  # A wish may wait for the end of this work, which is none.
                    self._is_wish_open = False
            self._change(is_looking=False, pack=None, phase=None, error=error)

    def _change(self, **changes: object) -> None:
        before = self._state
        self._state = replace(before, **changes)  # type: ignore[arg-type]
        if self._state != before and not self._is_closed:
            self._events.publish(PacksChanged())


def _is_any(found: tuple[PackOffer, ...]) -> bool:
    return any(offer.can_install or offer.standing is Standing.INSTALLED for offer in found)
