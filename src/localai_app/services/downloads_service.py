"""Downloads that lose nothing: started, paused, resumed after a restart, finished into the library."""

from __future__ import annotations

import itertools
import logging
import threading
import time

from localai_app import errors
from localai_app.errors import AppError
from localai_app.progress import Cancelled, CancelToken, Progress, ProgressCallback
from localai_app.services.download_files import DownloadFiles
from localai_app.services.download_job import RUNNING, DownloadJob, job_of_record
from localai_app.services.estimate_service import choose_variant
from localai_app.services.events import DownloadChanged, DownloadFinished, EventBus
from localai_app.services.hub_service import HubService
from localai_app.services.library_service import LibraryService
from localai_app.services.line_speed import LineSpeed
from localai_app.services.settings_service import SettingsService
from localai_app.services.views import DownloadStatus, DownloadView
from localai_app.store.database import Store
from localai_app.store.downloads import DownloadStore

log = logging.getLogger(__name__)

MAX_ACTIVE = 2
RECORD_INTERVAL_S = 1.0
CLOSE_TIMEOUT_S = 1.5
"""Transfers stop within a second; a question to a Hub that does not answer is not waited for."""


class DownloadsService:
    """At most two run at once, the others wait their turn. All methods return at once."""

    def __init__(
        self, events: EventBus, store: Store, settings: SettingsService, hub: HubService, library: LibraryService,
    ) -> None:
        self._events = events
        self._records: DownloadStore = store.downloads
        self._hub = hub
        self._library = library
        self._files = DownloadFiles(settings, hub)
        self._line_speed = LineSpeed(store.library)
        self._lock = threading.RLock()
        self._recording = threading.Lock()
        """Held while the store is written, so that what was true last is also written last."""
        self._ids = itertools.count(1)
        self._jobs: dict[int, DownloadJob] = {}
        self._ending: list[DownloadJob] = []
        """Given up, and their threads have not noticed yet."""
        self._threads: set[threading.Thread] = set()
        """Of transfers, until what comes of them is told."""
        self._is_closing = False
        self._is_closed = False

    def downloads(self) -> tuple[DownloadView, ...]:
        """Every unfinished download in the order in which they were started."""
        with self._lock:
            return tuple(job.view() for job in self._jobs.values())

    def get(self, download_id: int) -> DownloadView | None:
        """One of them; None when it is finished or was removed."""
        with self._lock:
            job = self._jobs.get(download_id)
            return job.view() if job is not None else None

    def start(self, repo_id: str, label: str | None) -> int:
        """Download a variant (None: the only or usual one); the same one twice is one download. Returns its id."""
        with self._lock:
            known = next((job for job in self._jobs.values() if job.is_of(repo_id, label)), None)
            if known is None:
                job = self._job_of_record(repo_id, label) or DownloadJob(
                    id=next(self._ids), repo_id=repo_id, label=label or "")
                job.status, job.error = DownloadStatus.WAITING, None
                self._jobs[job.id] = job
        if known is not None:
            self.resume(known.id)
            return known.id
        self._changed(job)
        self._start_waiting()
        return job.id

    def expected_duration(self, size_bytes: int) -> tuple[float, bool]:
        """Seconds that a download of this size takes, and whether that rests on a speed measured here.

        Without a measurement it is the time at 100 Mbit/s, and whoever shows it says so.
        """
        return self._line_speed.expected_duration(size_bytes)

    def start_pending(self) -> None:
        """Go on with what was under way when the program ended."""
        with self._lock:
            known = {job.record_id for job in self._jobs.values()}
            for record in self._records.list():
                if record.id not in known:
                    job = job_of_record(next(self._ids), record)
                    self._jobs[job.id] = job
        self._start_waiting()

    def pause(self, download_id: int) -> None:
        """Stop for now; what has arrived is kept."""
        with self._lock:
            job = self._jobs.get(download_id)
            if job is None or job.status not in RUNNING:
                return
            job.status = DownloadStatus.PAUSED
            job.cancel.cancel()
        self._record(job)
        self._changed(job)

    def resume(self, download_id: int) -> None:
        """Go on with a paused or failed download."""
        with self._lock:
            job = self._jobs.get(download_id)
            if job is None or job.status in RUNNING:
                return
            job.status = DownloadStatus.WAITING
            job.error = None
            job.samples.clear()
        self._record(job)
        self._changed(job)
        self._start_waiting()

    def cancel(self, download_id: int) -> None:
        """Give up a download and remove what has arrived of it."""
        with self._lock:
            job = self._jobs.pop(download_id, None)
            if job is None:
                return
            job.is_removed = True
            job.cancel.cancel()
            is_running = job.thread is not None
            if is_running:
                self._ending.append(job)
        self._forget_record(job)
        if not is_running:
            self._files.discard(job)
        self._changed(job)
        self._start_waiting()

    def close(self) -> None:
        """Stop all transfers and wait for them; they stay active in the store and go on at the next start."""
        with self._lock:
            self._is_closing = True
            jobs = [job for job in (*self._jobs.values(), *self._ending) if job.thread is not None]
            threads = tuple(self._threads)
            for job in jobs:
                job.cancel.cancel()
        deadline_s = time.monotonic() + CLOSE_TIMEOUT_S
        for thread in threads:
            thread.join(max(0.0, deadline_s - time.monotonic()))
        with self._recording:
            self._is_closed = True

    def _job_of_record(self, repo_id: str, label: str | None) -> DownloadJob | None:
        """What an earlier run of the program left of the same download."""
        jobs = (job_of_record(0, record) for record in self._records.list())
        job = next((job for job in jobs if job.is_of(repo_id, label)), None)
        if job is not None:
            job.id = next(self._ids)
        return job

    def _start_waiting(self) -> None:
        with self._lock:
            if self._is_closing:
                return
            n_active = sum(job.thread is not None for job in self._jobs.values())
            for job in self._jobs.values():
                if n_active >= MAX_ACTIVE:
                    return
                # What was given up still holds its files until its thread has let go of them.
                is_held = any(ending.files and ending.is_of(job.repo_id, None) for ending in self._ending)
                if job.status is DownloadStatus.WAITING and job.thread is None and not is_held:
                    job.cancel = cancel = CancelToken()
                    job.thread = threading.Thread(
                        target=self._run, args=(job, cancel), name=f"download-{job.id}", daemon=True)
                    self._threads.add(job.thread)
                    job.thread.start()
                    n_active += 1

    def _run(self, job: DownloadJob, cancel: CancelToken) -> None:
        try:
            finished = self._is_fetched(job, cancel)
            with self._lock:
                job.thread = None
                is_removed = job.is_removed
                if finished and not is_removed:
                    del self._jobs[job.id]
                elif job.status in RUNNING:
                    # It was stopped to be gone on with: by a pause that was taken back, or by the end of the program.
                    job.status = DownloadStatus.WAITING
            if is_removed:
                self._files.discard(job)
                with self._lock:
                    self._ending.remove(job)
            elif finished:
                self._finish(job)
            else:
                self._record(job)
                self._changed(job)
            self._start_waiting()
        finally:
            with self._lock:
                self._threads.discard(threading.current_thread())

    def _is_fetched(self, job: DownloadJob, cancel: CancelToken) -> bool:
        """Transfer it; false where it was stopped or failed."""
        try:
            self._resolve(job, cancel)
            self._files.fetch(
                job, cancel, lambda done_before, status: self._progress_reporter(job, cancel, done_before, status))
        except Cancelled:
            log.info("download of %s %s stopped", job.repo_id, job.label)
            return False
        except AppError as failure:
            error = failure
        except Exception as failure:
            log.exception("download of %s %s failed", job.repo_id, job.label)
            error = AppError(errors.TRANSFER_FAILED, name=job.label, reason="an internal error", detail=repr(failure))
        else:
            return True
        with self._lock:
            # What fails after it was stopped failed because it was stopped.
            if cancel.is_cancelled or job.status not in RUNNING:
                return False
            job.status = DownloadStatus.FAILED
            job.error = error
        log.warning("download of %s %s failed: %s (%s)", job.repo_id, job.label, error, error.detail)
        return False

    def _resolve(self, job: DownloadJob, cancel: CancelToken) -> None:
        """Pin the commit and the files, once per download."""
        if job.files:
            return
        repo = self._hub.repo(job.repo_id)
        variant = choose_variant(repo, job.label or None)
        with self._lock:
            cancel.raise_if_cancelled()
            job.repo_id, job.label, job.commit, job.files = repo.repo_id, variant.label, repo.commit, variant.files
        self._changed(job)
        with self._recording:
            if self._is_closed or job.is_removed:
                raise Cancelled
            files = tuple((file.path, file.size_bytes, file.sha256) for file in job.files)
            # Another window or command may have begun the same a moment ago: they share one record.
            same = [record for record in self._records.list() if (record.repo_id, record.files) == (job.repo_id, files)]
            record = same[0] if same else self._records.add(
                repo_id=job.repo_id, commit=job.commit, label=job.label, files=files)
            job.record_id = record.id

    def _progress_reporter(
        self, job: DownloadJob, cancel: CancelToken, done_before: int, status: DownloadStatus,
    ) -> ProgressCallback:
        last_record_s = 0.0

        def report(progress: Progress) -> None:
            nonlocal last_record_s
            now_s = time.monotonic()
            with self._lock:
                if cancel.is_cancelled:
                    return
                job.take_progress(status, done_before, progress, now_s)
            self._changed(job)
            if now_s - last_record_s >= RECORD_INTERVAL_S:
                last_record_s = now_s
                self._record(job)
                self._line_speed.remember(job)

        return report

    def _finish(self, job: DownloadJob) -> None:
        self._forget_record(job)
        if self._is_closed:
            return
        first = self._files.first_path(job)
        self._library.changed()
        try:
            key = next((model.key for model in self._library.models() if first in model.paths), str(first))
        except (AppError, OSError) as error:
            log.warning("the models could not be listed: %s", error)
            key = str(first)
        self._changed(job)
        self._events.publish(DownloadFinished(job.id, key))

    def _record(self, job: DownloadJob) -> None:
        """Remember how far a download is. Where the store cannot take that, the download goes on without."""
        with self._recording:
            with self._lock:
                record_id, state, done_bytes, error = job.record_id, job.stored_state(), job.done_bytes, job.error
                # The record of what another window or command downloads is that one's.
                is_ours = error is None or error.spec is not errors.DOWNLOAD_BUSY
                if record_id is None or job.is_removed or self._is_closed or not is_ours:
                    return
            try:
                self._records.update(
                    record_id, state=state, done_bytes=done_bytes, error=str(error) if error is not None else "")
            except AppError as store_error:
                log.warning("the state of a download could not be stored: %s", store_error)

    def _forget_record(self, job: DownloadJob) -> None:
        with self._recording:
            if job.record_id is None or self._is_closed:
                return
            try:
                self._records.remove(job.record_id)
            except AppError as error:
                log.warning("a download that is over could not be taken off the list: %s", error)

    def _changed(self, job: DownloadJob) -> None:
        self._events.publish(DownloadChanged(job.id))
