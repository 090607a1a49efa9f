"""A download that loses nothing: it goes on after every interruption, and a file gets its name only when its hash is right."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from localai_app import errors
from localai_app.errors import AppError
from localai_app.hub.client import HubClient
from localai_app.hub.failures import TransferError
from localai_app.hub.layout import check_path
from localai_app.hub.model import RepoFile
from localai_app.hub.part import PartFile, PartRecord, disk_errors, kept_bytes, lock_path, part_path, record_path, remove_part
from localai_app.hub.space import FLOOR_BYTES, free_bytes, require_space
from localai_app.hub.transfer import Attempt, Source
from localai_app.progress import Cancelled, CancelToken, Progress, ProgressCallback
from localai_app.units import MIB

log = logging.getLogger(__name__)

_PROGRESS_INTERVAL_S = 0.1
_SPACE_CHECK_BYTES = 256 * MIB
_MIN_GAIN_BYTES = 16 * 1024
"""An attempt that brought less counts as failed: a server that only drips would otherwise be asked for ever."""


@dataclass(frozen=True, slots=True)
class FileRequest:
    """One file of a repository at a commit, and its place on this disk.

    `models_folder`, if given, must exist: a folder on a drive that is not connected is then not made anew elsewhere.
    """

    repo_id: str
    commit: str
    file: RepoFile
    target: Path
    models_folder: Path | None = None


@dataclass(frozen=True, slots=True)
class DownloadOptions:
    """How patient a download is; times in seconds."""

    stall_s: float = 30.0
    """Silence after which a connection is given up."""
    max_failures: int = 7
    """Attempts in a row that bring nothing new before it ends with an error."""
    first_pause_s: float = 1.0
    max_pause_s: float = 30.0
    """Pauses between attempts double from the first up to this one."""
    max_asked_pause_s: float = 120.0
    """A server that asks for a longer pause ends the download with its reason."""
    sync_every_bytes: int = 32 * MIB
    space_floor_bytes: int = FLOOR_BYTES


def download_file(
    client: HubClient,
    request: FileRequest,
    *,
    on_progress: ProgressCallback,
    cancel: CancelToken,
    limit_bytes_per_s: Callable[[], int] = lambda: 0,
    on_verifying: ProgressCallback | None = None,
    options: DownloadOptions = DownloadOptions(),
) -> None:
    """Get a file to its target, going on from what is there of it; returns when it is complete, checked and named.

    `on_progress` reports bytes of the whole file, `on_verifying` bytes of the part that is read again before going on.
    Raises `Cancelled` within a second of `cancel` (what has arrived stays), or AppError: HUB_UNREACHABLE, CERTIFICATE_REFUSED,
    HUB_REFUSED, HUB_RATE_LIMITED, HUB_BAD_ANSWER, REPO_UNKNOWN, REPO_GATED, FILE_CHANGED, HASH_MISMATCH, NO_SPACE, DISK_FULL,
    FILE_TOO_LARGE_FOR_DISK, FOLDER_READ_ONLY, FOLDER_MISSING, DOWNLOAD_BUSY, UNSAFE_FILE_NAME, TRANSFER_FAILED.
    """
    check_path(request.file.path)
    cancel.raise_if_cancelled()
    folder = request.models_folder
    if folder is not None and not folder.is_dir():
        raise AppError(errors.FOLDER_MISSING, folder=folder)
    with only_writer(request.target):
        download = _Download(client, request, on_progress, cancel, options)
        download.run(limit_bytes_per_s, on_verifying)


def partial_bytes(target: Path) -> int:
    """Bytes that a download of `target` would not have to fetch again; 0 if none was begun."""
    return kept_bytes(target)


def discard_partial(target: Path) -> None:
    """Remove what has arrived of an unfinished download. AppError DOWNLOAD_BUSY while it is being written."""
    if part_path(target).exists() or record_path(target).exists():
        with only_writer(target), disk_errors(target):
            remove_part(target)


class _Download:
    """The state of one `download_file` call."""

    def __init__(
        self, client: HubClient, request: FileRequest, on_progress: ProgressCallback, cancel: CancelToken,
        options: DownloadOptions,
    ) -> None:
        self._request = request
        self._source = Source(client, request.repo_id, request.commit, request.file)
        self._on_progress = on_progress
        self._cancel = cancel
        self._options = options
        self._reported_s = 0.0
        self._space_checked_at = 0

    def run(self, limit_bytes_per_s: Callable[[], int], on_verifying: ProgressCallback | None) -> None:
        file, target = self._request.file, self._request.target
        identity = PartRecord(
            repo_id=self._request.repo_id, commit=self._request.commit, path=file.path, sha256=file.sha256,
            size_bytes=file.size_bytes)
        with PartFile(target, identity, sync_every_bytes=self._options.sync_every_bytes) as part:
            require_space(target.parent, file.size_bytes - part.length, floor_bytes=self._options.space_floor_bytes)
            if part.length:
                part.rehash(self._cancel, on_verifying)
            self._report(part)
            if not self._arrives_intact(part, limit_bytes_per_s):
                log.info("%s arrived damaged; it is fetched once more from the beginning", target.name)
                part.restart()
                if not self._arrives_intact(part, limit_bytes_per_s):
                    part.discard()
                    raise AppError(errors.HASH_MISMATCH, name=target.name)
            part.finish()
        self._on_progress(Progress(file.size_bytes, file.size_bytes))

    def _arrives_intact(self, part: PartFile, limit_bytes_per_s: Callable[[], int]) -> bool:
        """Fetch what is missing, over as many attempts as it takes; whether the hash is right."""
        attempt = Attempt(
            self._source, part, cancel=self._cancel, stall_s=self._options.stall_s, limit_bytes_per_s=limit_bytes_per_s,
            on_bytes=lambda: self._after_bytes(part))
        patience = _Patience(self._options, self._source)
        self._space_checked_at = part.length
        best = part.length
        while part.length < self._request.file.size_bytes:
            self._cancel.raise_if_cancelled()
            try:
                attempt.run()
            except TransferError as error:
                part.sync()
                is_progress, best = part.length >= best + _MIN_GAIN_BYTES, max(best, part.length)
                pause_s = patience.pause_after(error, is_progress=is_progress)
                log.info("%s stopped at %d: %s; on in %.1f s", self._source.name, part.length, error.reason, pause_s)
                if self._cancel.wait(pause_s):
                    raise Cancelled from error
            except AppError as error:
                if error.spec is errors.FILE_CHANGED:
                    part.discard()
                raise
        return part.hash_matches()

    def _after_bytes(self, part: PartFile) -> None:
        self._report(part)
        if part.length - self._space_checked_at >= _SPACE_CHECK_BYTES:
            self._space_checked_at = part.length
            folder = self._request.target.parent
            if free_bytes(folder) < self._request.file.size_bytes - part.length:
                raise AppError(errors.DISK_FULL, folder=folder, detail="not enough is left for the rest of the file")

    def _report(self, part: PartFile) -> None:
        now_s = time.monotonic()
        if now_s - self._reported_s >= _PROGRESS_INTERVAL_S:
            self._reported_s = now_s
            self._on_progress(Progress(part.length, self._request.file.size_bytes))


class _Patience:
    """Counts attempts that brought nothing, and says how long to wait before the next one."""

    def __init__(self, options: DownloadOptions, source: Source) -> None:
        self._options = options
        self._source = source
        self._failures = 0
        self._had_progress = False

    def pause_after(self, error: TransferError, *, is_progress: bool) -> float:
        """Seconds to wait now; raises the AppError to show when it is no use to go on."""
        if is_progress:
            self._failures = 0
            self._had_progress = True
        self._failures += 1
        if self._failures >= self._options.max_failures:
            raise self._final(error) from error
        if error.wait_s is not None:
            if error.wait_s > self._options.max_asked_pause_s:
                raise self._final(error) from error
            return error.wait_s
        if error.is_free and self._failures == 1:
            return 0.0
        return min(self._options.max_pause_s, self._options.first_pause_s * 2.0 ** (self._failures - 1))

    def _final(self, error: TransferError) -> AppError:
        if error.final is not None and not (self._had_progress and error.final.spec is errors.HUB_UNREACHABLE):
            return error.final
        return AppError(errors.TRANSFER_FAILED, name=self._source.name, reason=error.reason, detail=repr(error.__cause__))


@contextmanager
def only_writer(target: Path) -> Iterator[None]:
    """Hold the target's lock, which the system frees even if the process dies. AppError DOWNLOAD_BUSY if it is taken."""
    from filelock import FileLock, Timeout

    with disk_errors(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(lock_path(target), timeout=0, thread_local=False)
        try:
            lock.acquire()
        except Timeout:
            raise AppError(errors.DOWNLOAD_BUSY, name=target.name) from None
    try:
        yield
    finally:
        # Removed while it is still held: whoever opened it before sees that it has no name any more and begins anew.
        # Windows refuses that, and there filelock removes it itself.
        if not part_path(target).exists():
            with contextlib.suppress(OSError):
                lock_path(target).unlink(missing_ok=True)
        lock.release()
