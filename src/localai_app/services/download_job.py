"""One unfinished download: what it is, where it stands, and how it is shown and remembered."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from localai_app import errors
from localai_app.errors import AppError
from localai_app.hub.model import RepoFile
from localai_app.progress import CancelToken, Progress
from localai_app.services.views import DownloadStatus, DownloadView
from localai_app.store.records import DownloadRecord, DownloadState

SPEED_WINDOW_S = 5.0
RUNNING = (DownloadStatus.WAITING, DownloadStatus.DOWNLOADING, DownloadStatus.VERIFYING)


@dataclass(slots=True, eq=False)
class DownloadJob:
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
    """Of the run under way; every run has its own."""
    is_removed: bool = False
    thread: threading.Thread | None = None
    samples: list[tuple[float, int]] = field(default_factory=list)
    """(monotonic seconds, bytes done) of the last seconds."""

    @property
    def total_bytes(self) -> int:
        """Size of all files."""
        return sum(file.size_bytes for file in self.files)

    def is_of(self, repo_id: str, label: str | None) -> bool:
        """Whether this downloads what is asked for; names of repositories and variants count in any case of letters."""
        return self.repo_id.lower() == repo_id.lower() and (label is None or self.label.lower() == label.lower())

    def take_progress(self, status: DownloadStatus, done_before: int, progress: Progress, now_s: float) -> None:
        """Note how far the file under way has come; `done_before` are the bytes of the files before it."""
        self.status = status
        self.done_bytes = done_before + progress.done
        self.samples.append((now_s, self.done_bytes))
        while self.samples[0][0] < now_s - SPEED_WINDOW_S:
            self.samples.pop(0)

    def speed_bytes_per_s(self) -> float | None:
        """Mean speed over the window; None until two samples lie far enough apart."""
        if self.status is not DownloadStatus.DOWNLOADING or len(self.samples) < 2:
            return None
        (start_s, start_bytes), (end_s, end_bytes) = self.samples[0], self.samples[-1]
        return (end_bytes - start_bytes) / (end_s - start_s) if end_s - start_s >= 0.5 else None

    def view(self) -> DownloadView:
        """The download as the screen shows it."""
        speed = self.speed_bytes_per_s()
        remaining = self.total_bytes - self.done_bytes
        return DownloadView(
            id=self.id, repo_id=self.repo_id, label=self.label, status=self.status, done_bytes=self.done_bytes,
            total_bytes=self.total_bytes, bytes_per_s=speed, eta_s=remaining / speed if speed else None, error=self.error)

    def stored_state(self) -> DownloadState:
        """The status as the store remembers it."""
        if self.status is DownloadStatus.PAUSED:
            return DownloadState.PAUSED
        return DownloadState.FAILED if self.status is DownloadStatus.FAILED else DownloadState.ACTIVE


def job_of_record(job_id: int, record: DownloadRecord) -> DownloadJob:
    """What an earlier run of the program left."""
    status = {
        DownloadState.ACTIVE: DownloadStatus.WAITING,
        DownloadState.PAUSED: DownloadStatus.PAUSED,
        DownloadState.FAILED: DownloadStatus.FAILED,
    }[record.state]
    job = DownloadJob(
        id=job_id, repo_id=record.repo_id, label=record.label, commit=record.commit, record_id=record.id,
        files=tuple(RepoFile(path=path, size_bytes=size, sha256=sha256) for path, size, sha256 in record.files),
        done_bytes=record.done_bytes, status=status)
    if status is DownloadStatus.FAILED:
        job.error = AppError(errors.TRANSFER_FAILED, name=record.label, reason=record.error or "an error")
    return job
