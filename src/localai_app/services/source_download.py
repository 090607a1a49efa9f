"""A file whose size and checksum a signed document states: fetched over any number of interruptions, named when it is right."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from localai_app import errors
from localai_app.errors import AppError
from localai_app.hub.background_reader import BackgroundReader
from localai_app.hub.download import only_writer
from localai_app.hub.failures import RETRY_STATUSES, TransferError, retry_after_s
from localai_app.hub.headers import content_range, whole_number
from localai_app.hub.part import PartFile, PartRecord
from localai_app.hub.space import free_bytes
from localai_app.progress import Cancelled, CancelToken, Progress, ProgressCallback
from localai_app.services.source_connection import SourceAnswer, open_source
from localai_app.units import MIB, format_count, format_file_size

log = logging.getLogger(__name__)

_PROGRESS_INTERVAL_S = 0.1
_MIN_GAIN_BYTES = 16 * 1024
_CRAWL_BYTES_PER_S = 64
_SPACE_FLOOR_BYTES = 256 * MIB
_CHUNK_BYTES = 4 * MIB


@dataclass(frozen=True, slots=True)
class FetchOptions:
    """How patient fetching is; times in seconds."""

    document_s: float = 30.0
    """All of a document, so that one that trickles in holds nobody for ever."""
    stall_s: float = 30.0
    """Silence after which a connection is given up."""
    max_failures: int = 5
    """Attempts in a row that bring nothing before a download ends with an error."""
    first_pause_s: float = 1.0
    max_pause_s: float = 30.0
    sync_every_bytes: int = 32 * MIB


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """What to fetch: its address, and what a signed document says of it."""

    url: str
    size_bytes: int
    sha256: str


class SourceDownload:
    """The state of one download."""

    def __init__(
        self, file: RemoteFile, target: Path, *, proxy: str, options: FetchOptions, on_progress: ProgressCallback,
        cancel: CancelToken,
    ) -> None:
        self._file = file
        self._target = target
        self._proxy = proxy
        self._options = options
        self._on_progress = on_progress
        self._cancel = cancel
        self._reported_s = 0.0

    def run(self) -> None:
        """Get the file to its target; what has arrived stays for the next time, unless its checksum is wrong."""
        self._cancel.raise_if_cancelled()
        with _folder_words(self._target):
            self._target.parent.mkdir(parents=True, exist_ok=True)
        with _folder_words(self._target), only_writer(self._target):
            if self._target.is_file() and is_intact(self._target, self._file, self._cancel):
                self._on_progress(Progress(self._file.size_bytes, self._file.size_bytes))
                return
            identity = PartRecord(
                repo_id="", commit="", path=self._target.name, sha256=self._file.sha256, size_bytes=self._file.size_bytes)
            with PartFile(self._target, identity, sync_every_bytes=self._options.sync_every_bytes) as part:
                self._require_room(part)
                if part.length:
                    part.rehash(self._cancel, None)
                self._fetch(part)
                part.finish()
        self._on_progress(Progress(self._file.size_bytes, self._file.size_bytes))

    def _require_room(self, part: PartFile) -> None:
        folder, needed = self._target.parent, self._file.size_bytes - part.length
        free = free_bytes(folder)
        if free < needed + _SPACE_FLOOR_BYTES:
            raise AppError(
                errors.NO_ROOM_FOR_FILE, name=self._target.name, folder=folder, free=format_file_size(free),
                needed=format_file_size(needed + _SPACE_FLOOR_BYTES))

    def _fetch(self, part: PartFile) -> None:
        for is_last in (False, True):
            self._get_rest(part)
            if part.hash_matches():
                return
            if is_last:
                part.discard()
                raise AppError(errors.DOWNLOAD_DAMAGED, name=self._target.name, reason="its checksum differs")
            log.info("%s arrived damaged; it is fetched once more from the beginning", self._target.name)
            part.restart()

    def _get_rest(self, part: PartFile) -> None:
        failures, best = 0, part.length
        while part.length < self._file.size_bytes:
            self._cancel.raise_if_cancelled()
            try:
                self._attempt(part)
            except TransferError as error:
                part.sync()
                # Against the best so far: a server that always begins anew would otherwise be asked for ever.
                failures = 1 if part.length >= best + _MIN_GAIN_BYTES else failures + 1
                best = max(best, part.length)
                if failures >= self._options.max_failures:
                    raise error.final or self._stopped(error) from error
                pause_s = error.wait_s
                if pause_s is None:
                    pause_s = self._options.first_pause_s * 2.0 ** (failures - 1)
                log.info("%s stopped at %d: %s", self._target.name, part.length, error.reason)
                if self._cancel.wait(min(pause_s, self._options.max_pause_s)):
                    raise Cancelled from error

    def _stopped(self, error: TransferError) -> AppError:
        return AppError(errors.TRANSFER_FAILED, name=self._target.name, reason=error.reason, detail=repr(error.__cause__))

    def _attempt(self, part: PartFile) -> None:
        start, wait_s = part.length, self._options.stall_s + 10.0
        with BackgroundReader(lambda: self._produce(start), f"fetch-{self._target.name}") as reader:
            answer = reader.next_item(self._cancel, wait_s)
            if not isinstance(answer, SourceAnswer):
                raise TransferError("there was no answer")
            if self._is_whole(answer, part) and part.length:
                part.restart()
            window_s, window_bytes = time.monotonic(), 0
            while part.length < self._file.size_bytes:
                item = reader.next_item(self._cancel, wait_s)
                if not isinstance(item, bytes):
                    raise TransferError("the connection was closed early")
                part.append(item[: self._file.size_bytes - part.length])
                self._report(part)
                window_bytes += len(item)
                elapsed_s = time.monotonic() - window_s
                if elapsed_s >= self._options.stall_s:
                    if window_bytes < _CRAWL_BYTES_PER_S * elapsed_s:
                        raise TransferError("nothing arrived for a while")
                    window_s, window_bytes = time.monotonic(), 0

    def _produce(self, start: int) -> Iterator[SourceAnswer | bytes]:
        """Runs in the reader's thread: the answer first, then its body."""
        byte_range = f"bytes={start}-" if start else ""
        with open_source(
            self._file.url, byte_range=byte_range, proxy=self._proxy, read_timeout_s=self._options.stall_s,
        ) as answer:
            yield answer
            if answer.status in (200, 206):
                yield from answer.chunks

    def _is_whole(self, answer: SourceAnswer, part: PartFile) -> bool:
        """Whether the body is the whole file (true) or the rest that was asked for (false); raises if it is neither."""
        size = self._file.size_bytes
        if answer.status == 416 and part.length:
            part.restart()
            raise TransferError("the server refused to go on")
        require_answer(answer)
        length = whole_number(answer.headers.get("content-length"))
        if answer.status == 200:
            if length not in (None, size):
                raise self._other_size(length)
            return True
        found = content_range(answer.headers)
        if answer.status != 206 or found is None:
            raise AppError(errors.SOURCE_BAD_ANSWER, host=answer.host, reason=f"status {answer.status} for a file")
        first, last, total = found
        if total != size:
            raise self._other_size(total)
        if first != part.length or not first <= last < total or length not in (None, last - first + 1):
            raise TransferError("the server sent another part of the file")
        return False

    def _other_size(self, found: int | None) -> AppError:
        reason = f"it has {format_count(found or 0)} bytes instead of {format_count(self._file.size_bytes)}"
        return AppError(errors.DOWNLOAD_DAMAGED, name=self._target.name, reason=reason)

    def _report(self, part: PartFile) -> None:
        now_s = time.monotonic()
        if now_s - self._reported_s >= _PROGRESS_INTERVAL_S:
            self._reported_s = now_s
            self._on_progress(Progress(part.length, self._file.size_bytes))


def require_answer(answer: SourceAnswer) -> None:
    """Raise unless an answer holds what was asked for: TransferError where the next attempt may, else AppError."""
    if answer.status >= 400:
        final = AppError(errors.SOURCE_REFUSED, host=answer.host, status=answer.status)
        if answer.status == 407:
            final = AppError(errors.SOURCE_UNREACHABLE, host=answer.host, detail="the proxy asks for a name and a password")
        if answer.status not in RETRY_STATUSES:
            raise final
        raise TransferError(
            f"the server answered with status {answer.status}", final=final, wait_s=retry_after_s(answer.headers))
    if "html" in answer.headers.get("content-type", "").lower():
        raise AppError(
            errors.SOURCE_BAD_ANSWER, host=answer.host, reason="a web page, perhaps the login page of this network")
    if answer.headers.get("content-encoding", "identity").lower() != "identity":
        raise AppError(errors.SOURCE_BAD_ANSWER, host=answer.host, reason="it is compressed, which was not asked for")


def is_intact(path: Path, file: RemoteFile, cancel: CancelToken) -> bool:
    """Whether a file on the disk has the size and the checksum that were signed."""
    if path.stat().st_size != file.size_bytes:
        return False
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            cancel.raise_if_cancelled()
            digest.update(chunk)
    return digest.hexdigest() == file.sha256


@contextmanager
def _folder_words(target: Path) -> Iterator[None]:
    """What the disk says, in words that do not speak of the models folder."""
    reasons = {
        errors.FOLDER_READ_ONLY: "the folder is read-only", errors.FOLDER_MISSING: "the folder is not there",
        errors.FILE_TOO_LARGE_FOR_DISK: "the disk cannot store so large a file",
        errors.UNSAFE_FILE_NAME: "the name is too long for the disk"}
    try:
        yield
    except AppError as error:
        if error.spec not in reasons:
            raise
        raise AppError(
            errors.FOLDER_UNUSABLE, name=target.name, folder=target.parent, reason=reasons[error.spec],
            detail=error.detail) from error
    except OSError as error:
        raise AppError(
            errors.FOLDER_UNUSABLE, name=target.name, folder=target.parent, reason=error.strerror or str(error),
            detail=repr(error)) from error
