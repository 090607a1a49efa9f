"""Downloads that lose nothing: started, paused, resumed after a restart, finished into the library."""

from __future__ import annotations

import itertools
import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from localai_app import errors
from localai_app.errors import AppError
from localai_app.hub.download import FileRequest, discard_partial, download_file, partial_bytes
from localai_app.hub.layout import target_path
from localai_app.hub.model import RepoFile
from localai_app.hub.space import require_space
from localai_app.progress import Cancelled, CancelToken, Progress
from localai_app.services.estimate_service import choose_variant
from localai_app.services.events import DownloadChanged, DownloadFinished, EventBus
from localai_app.services.hub_service import HubService
from localai_app.services.library_service import LibraryService
from localai_app.services.settings_service import SettingsService
from localai_app.services.views import DownloadStatus, DownloadView
from localai_app.store.database import Store
from localai_app.store.records import DownloadRecord, DownloadState
from localai_app.units import MB

log = logging.getLogger(__name__)

MAX_ACTIVE = 2
RECORD_INTERVAL_S = 1.0
SPEED_WINDOW_S = 5.0
SPEED_FACT = "download_bytes_per_s"
SPEED_FACT_SECONDS = 3.0
"""Shorter transfers tell nothing about the line."""
UNMEASURED_BYTES_PER_S = 100e6 / 8
RUNNING = (DownloadStatus.WAITING, DownloadStatus.DOWNLOADING, DownloadStatus.VERIFYING)


@dataclass(slots=True)
class _Job:
    """One unfinished download; touched under the service's lock."""

    id: int
    repo_id: str
    label: str
    commit: str = ""
    files: tuple[RepoFile, ...] = ()
    record_id: int | None = None
    status: DownloadStatus = DownloadStatus.WAITING
    done_bytes: int = 0
    error: AppError | None = None
    cancel: CancelToken = field(default_factory=CancelToken)
    is_removed: bool = False
    thread: threading.Thread | None = None
    samples: list[tuple[float, int]] = field(default_factory=list)
    """(monotonic seconds, bytes done) of the last seconds."""

    @property
    def total_bytes(self) -> int:
        return sum(file.size_bytes for file in self.files)

    def speed_bytes_per_s(self) -> float | None:
        """Mean speed over the window; None until two samples lie far enough apart."""
        if self.status is not DownloadStatus.DOWNLOADING or len(self.samples) < 2:
            return None
        (start_s, start_bytes), (end_s, end_bytes) = self.samples[0], self.samples[-1]
        return (end_bytes - start_bytes) / (end_s - start_s) if end_s - start_s >= 0.5 else None


class DownloadsService:
    """At most two run at once, the others wait their turn. All methods return at once."""

    def __init__(
        self, events: EventBus, store: Store, settings: SettingsService, hub: HubService, library: LibraryService,
    ) -> None:
        self._events = events
        self._store = store
        self._settings = settings
        self._hub = hub
        self._library = library
        self._lock = threading.RLock()
        self._ids = itertools.count(1)
        self._jobs: dict[int, _Job] = {}
        self._closing = False

    def downloads(self) -> tuple[DownloadView, ...]:
        """Every unfinished download in the order in which they were started."""
        with self._lock:
            return tuple(_view(job) for job in self._jobs.values())

    def get(self, download_id: int) -> DownloadView | None:
        """One of them; None when it is finished or was removed."""
        with self._lock:
            job = self._jobs.get(download_id)
            return _view(job) if job is not None else None

    def start(self, repo_id: str, label: str | None) -> int:
        """Download a variant (None: the only or usual one); the same one twice is one download. Returns its id."""
        with self._lock:
            for job in self._jobs.values():
                if job.repo_id == repo_id and (label is None or job.label == label):
                    self.resume(job.id)
                    return job.id
            job = self._job_of_record(repo_id, label) or _Job(id=next(self._ids), repo_id=repo_id, label=label or "")
            job.status = DownloadStatus.WAITING
            self._jobs[job.id] = job
        self._changed(job)
        self._start_waiting()
        return job.id

    def expected_duration(self, size_bytes: int) -> tuple[float, bool]:
        """Seconds that a download of this size takes, and whether that rests on a speed measured here.

        Without a measurement it is the time at 100 Mbit/s, and whoever shows it says so.
        """
        measured = self._store.library.get_fact(SPEED_FACT)
        return size_bytes / (float(measured) if measured else UNMEASURED_BYTES_PER_S), measured is not None

    def start_pending(self) -> None:
        """Go on with what was under way when the program ended."""
        with self._lock:
            known = {job.record_id for job in self._jobs.values()}
            for record in self._store.downloads.list():
                if record.id not in known:
                    job = _job_of(next(self._ids), record)
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
            if job.record_id is not None:
                self._store.downloads.remove(job.record_id)
        if not is_running:
            self._discard(job)
        self._changed(job)
        self._start_waiting()

    def close(self) -> None:
        """Stop all transfers and wait for them; they stay active in the store and go on at the next start."""
        with self._lock:
            self._closing = True
            threads = [job.thread for job in self._jobs.values() if job.thread is not None]
            for job in self._jobs.values():
                job.cancel.cancel()
        for thread in threads:
            thread.join()

    def _job_of_record(self, repo_id: str, label: str | None) -> _Job | None:
        """What an earlier run of the program left of the same download."""
        for record in self._store.downloads.list():
            if record.repo_id == repo_id and label in (None, record.label):
                return _job_of(next(self._ids), record)
        return None

    def _start_waiting(self) -> None:
        with self._lock:
            if self._closing:
                return
            n_active = sum(job.thread is not None for job in self._jobs.values())
            for job in self._jobs.values():
                if n_active >= MAX_ACTIVE:
                    return
                if job.status is DownloadStatus.WAITING and job.thread is None:
                    job.cancel = CancelToken()
                    job.thread = threading.Thread(target=self._run, args=(job,), name=f"download-{job.id}", daemon=True)
                    job.thread.start()
                    n_active += 1

    def _run(self, job: _Job) -> None:
        finished = False
        try:
            self._resolve(job)
            self._transfer(job)
            finished = True
        except Cancelled:
            log.info("download of %s %s stopped", job.repo_id, job.label)
        except AppError as error:
            log.warning("download of %s %s failed: %s (%s)", job.repo_id, job.label, error, error.detail)
            self._fail(job, error)
        except Exception as error:
            log.exception("download of %s %s failed", job.repo_id, job.label)
            self._fail(job, AppError(errors.TRANSFER_FAILED, name=job.label, reason="an internal error", detail=repr(error)))
        with self._lock:
            job.thread = None
        if job.is_removed:
            self._discard(job)
        elif finished:
            self._finish(job)
        else:
            self._record(job)
            self._changed(job)
        self._start_waiting()

    def _resolve(self, job: _Job) -> None:
        """Pin the commit and the files, once per download."""
        if job.files:
            return
        repo = self._hub.repo(job.repo_id)
        variant = choose_variant(repo, job.label or None)
        with self._lock:
            job.cancel.raise_if_cancelled()
            job.label, job.commit, job.files = variant.label, repo.commit, variant.files
            record = self._store.downloads.add(
                repo_id=job.repo_id, commit=job.commit, label=job.label,
                files=tuple((file.path, file.size_bytes, file.sha256) for file in job.files))
            job.record_id = record.id
        self._changed(job)

    def _transfer(self, job: _Job) -> None:
        folder = self._settings.models_folder
        if folder == self._settings.default_models_folder:
            make_folder(folder)
        targets = [target_path(folder, job.repo_id, file.path) for file in job.files]
        missing = sum(
            file.size_bytes - partial_bytes(target)
            for file, target in zip(job.files, targets, strict=True) if not _is_there(target, file))
        require_space(folder, missing)
        done_before = 0
        for file, target in zip(job.files, targets, strict=True):
            if not _is_there(target, file):
                download_file(
                    self._hub.client(),
                    FileRequest(repo_id=job.repo_id, commit=job.commit, file=file, target=target, models_folder=folder),
                    on_progress=self._progress_reporter(job, done_before, DownloadStatus.DOWNLOADING),
                    on_verifying=self._progress_reporter(job, done_before, DownloadStatus.VERIFYING),
                    cancel=job.cancel,
                    limit_bytes_per_s=lambda: self._settings.integer("bandwidth_limit_mb_per_s") * MB)
            done_before += file.size_bytes

    def _progress_reporter(self, job: _Job, done_before: int, status: DownloadStatus) -> Callable[[Progress], None]:
        last_record_s = 0.0

        def report(progress: Progress) -> None:
            nonlocal last_record_s
            now_s = time.monotonic()
            with self._lock:
                if job.status not in RUNNING:
                    return
                job.status = status
                job.done_bytes = done_before + progress.done
                job.samples.append((now_s, job.done_bytes))
                while job.samples[0][0] < now_s - SPEED_WINDOW_S:
                    job.samples.pop(0)
            self._changed(job)
            if now_s - last_record_s >= RECORD_INTERVAL_S:
                last_record_s = now_s
                self._record(job)
                self._remember_speed(job)

        return report

    def _remember_speed(self, job: _Job) -> None:
        speed = job.speed_bytes_per_s()
        if speed and job.samples[-1][0] - job.samples[0][0] >= SPEED_FACT_SECONDS:
            self._store.library.set_fact(SPEED_FACT, str(speed))

    def _finish(self, job: _Job) -> None:
        with self._lock:
            self._jobs.pop(job.id, None)
            if job.record_id is not None:
                self._store.downloads.remove(job.record_id)
        first = target_path(self._settings.models_folder, job.repo_id, job.files[0].path)
        self._library.changed()
        key = next((model.key for model in self._library.models() if first in model.paths), str(first))
        self._changed(job)
        self._events.publish(DownloadFinished(job.id, key))

    def _fail(self, job: _Job, error: AppError) -> None:
        with self._lock:
            if job.status in RUNNING:
                job.status = DownloadStatus.FAILED
                job.error = error

    def _discard(self, job: _Job) -> None:
        for file in job.files:
            try:
                discard_partial(target_path(self._settings.models_folder, job.repo_id, file.path))
            except (AppError, OSError) as error:
                log.warning("a partial file of %s could not be removed: %s", job.repo_id, error)

    def _record(self, job: _Job) -> None:
        with self._lock:
            if job.record_id is None or job.is_removed or job.id not in self._jobs:
                return
            self._store.downloads.update(
                job.record_id, state=_state_of(job.status), done_bytes=job.done_bytes,
                error=str(job.error) if job.error is not None else "")

    def _changed(self, job: _Job) -> None:
        self._events.publish(DownloadChanged(job.id))


def make_folder(folder: Path) -> None:
    """Create our own models folder; AppError if it cannot be. A folder that the user chose has to exist."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise AppError(errors.FOLDER_READ_ONLY, folder=folder, detail=str(error)) from error


def _job_of(job_id: int, record: DownloadRecord) -> _Job:
    job = _Job(
        id=job_id, repo_id=record.repo_id, label=record.label, commit=record.commit, record_id=record.id,
        files=tuple(RepoFile(path=path, size_bytes=size, sha256=sha256) for path, size, sha256 in record.files),
        done_bytes=record.done_bytes, status=_status_of(record))
    if record.state is DownloadState.FAILED:
        job.error = AppError(errors.TRANSFER_FAILED, name=record.label, reason=record.error or "an error")
    return job


def _view(job: _Job) -> DownloadView:
    speed = job.speed_bytes_per_s()
    remaining = job.total_bytes - job.done_bytes
    return DownloadView(
        id=job.id, repo_id=job.repo_id, label=job.label, status=job.status, done_bytes=job.done_bytes,
        total_bytes=job.total_bytes, bytes_per_s=speed, eta_s=remaining / speed if speed else None, error=job.error)


def _is_there(target: Path, file: RepoFile) -> bool:
    """Downloads are renamed into place only after their hash was checked, so the size tells enough."""
    return target.is_file() and target.stat().st_size == file.size_bytes


def _status_of(record: DownloadRecord) -> DownloadStatus:
    return {
        DownloadState.ACTIVE: DownloadStatus.WAITING,
        DownloadState.PAUSED: DownloadStatus.PAUSED,
        DownloadState.FAILED: DownloadStatus.FAILED,
    }[record.state]


def _state_of(status: DownloadStatus) -> DownloadState:
    if status is DownloadStatus.PAUSED:
        return DownloadState.PAUSED
    return DownloadState.FAILED if status is DownloadStatus.FAILED else DownloadState.ACTIVE
