"""A file that is still arriving: `<name>.part` with its bytes and `<name>.part.json` with what is safely on the disk.

The record is written only after the bytes it counts were flushed to the disk, so that after a crash or a power cut the
prefix it names is whole. The name without `.part` appears once, complete and checked.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import msgspec

from localai_app import errors
from localai_app.errors import AppError
from localai_app.progress import CancelToken, Progress, ProgressCallback
from localai_app.units import MIB
from localai_app.whole_file import put_in_place, sync_folder

log = logging.getLogger(__name__)

_REHASH_CHUNK_BYTES = 4 * MIB
_SYNC_INTERVAL_S = 3.0
_MAX_RECORD_BYTES = 64 * 1024


class PartRecord(msgspec.Struct, frozen=True, kw_only=True):
    """Whose bytes a part holds, and how many of them are known to be on the disk."""

    repo_id: str
    commit: str
    path: str
    sha256: str | None
    size_bytes: int
    bytes_fsynced: int = 0

    def is_same_content(self, other: PartRecord) -> bool:
        """Equal hash and size mean equal bytes, whatever the commit; without a hash the commit must be the same too."""
        if self.sha256 is not None or other.sha256 is not None:
            return (self.sha256, self.size_bytes) == (other.sha256, other.size_bytes)
        return (self.repo_id, self.commit, self.path, self.size_bytes) == (
            other.repo_id, other.commit, other.path, other.size_bytes)


def part_path(target: Path) -> Path:
    """Where the bytes of an unfinished file are."""
    return target.with_name(target.name + ".part")


def record_path(target: Path) -> Path:
    """Where the record beside them is."""
    return target.with_name(target.name + ".part.json")


def lock_path(target: Path) -> Path:
    """The file whose lock means: someone writes this target."""
    return target.with_name(target.name + ".part.lock")


def read_record(target: Path) -> PartRecord | None:
    """The record beside a target; None if there is none or it cannot be understood."""
    try:
        with record_path(target).open("rb") as stream:
            record = msgspec.json.decode(stream.read(_MAX_RECORD_BYTES), type=PartRecord)
    except (OSError, msgspec.DecodeError, msgspec.ValidationError):
        return None
    return record if 0 <= record.bytes_fsynced <= record.size_bytes else None


def kept_bytes(target: Path) -> int:
    """How many bytes of an unfinished file would be kept by a resumption."""
    record = read_record(target)
    if record is None:
        return 0
    try:
        return min(record.bytes_fsynced, part_path(target).stat().st_size)
    except OSError:
        return 0


def remove_part(target: Path) -> None:
    """Remove the bytes and the record; nothing happens where there are none."""
    for path in (record_path(target), part_path(target), target.with_name(target.name + ".part.json.new")):
        path.unlink(missing_ok=True)


@contextmanager
def disk_errors(target: Path) -> Iterator[None]:
    """Turn what the operating system says of the disk into words."""
    try:
        yield
    except OSError as error:
        folder = target.parent
        spec = {
            errno.ENOSPC: errors.DISK_FULL, errno.EDQUOT: errors.DISK_FULL, errno.EFBIG: errors.FILE_TOO_LARGE_FOR_DISK,
            errno.EACCES: errors.FOLDER_READ_ONLY, errno.EPERM: errors.FOLDER_READ_ONLY, errno.EROFS: errors.FOLDER_READ_ONLY,
            errno.ENAMETOOLONG: errors.UNSAFE_FILE_NAME,
        }.get(error.errno or 0)
        if spec is None and error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ENODEV, errno.ENXIO, errno.EIO, errno.ESTALE):
            spec = errors.FOLDER_MISSING
        if spec is None:
            spec = errors.TRANSFER_FAILED
        raise AppError(
            spec, folder=folder, name=target.name, reason=f"the disk reports “{error.strerror}”", detail=repr(error)) from error


class PartFile:
    """The open part of one target, with its running sha256. Use it in one thread, under the target's lock."""

    def __init__(self, target: Path, identity: PartRecord, *, sync_every_bytes: int) -> None:
        self._target = target
        self._identity = identity
        self._sync_every_bytes = sync_every_bytes
        self._hash = hashlib.sha256()
        self._stream: BinaryIO | None = None
        self._length = 0
        self._synced = 0
        self._synced_s = time.monotonic()

    def __enter__(self) -> Self:
        """Open it with what can be kept of an earlier attempt at the same content; AppError if the folder cannot be used."""
        with disk_errors(self._target):
            self._target.parent.mkdir(parents=True, exist_ok=True)
            record = read_record(self._target)
            if record is not None and not record.is_same_content(self._identity):
                log.info("what had arrived of %s belongs to another version and is dropped", self._target.name)
                record = None
            kept = kept_bytes(self._target) if record is not None else 0
            # Unbuffered: what `write` accepted is with the operating system, and its errors come at once.
            descriptor = os.open(part_path(self._target), os.O_RDWR | os.O_CREAT | _BINARY, 0o644)
            self._stream = os.fdopen(descriptor, "r+b", buffering=0)
            self._stream.truncate(kept)
            self._length = self._synced = kept
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close it; what has arrived stays and is recorded, as far as the disk lets it. An empty part is removed."""
        if self._stream is None:
            return
        try:
            self.sync()
        except AppError as failure:
            # What an earlier record counts is still there: at most one step of work is lost.
            log.info("the last bytes of %s could not be recorded: %s", self._target.name, failure.detail)
        self._close()
        if self._length == 0:
            with contextlib.suppress(OSError):
                remove_part(self._target)

    @property
    def length(self) -> int:
        """Bytes so far."""
        return self._length

    def rehash(self, cancel: CancelToken, on_progress: ProgressCallback | None) -> None:
        """Read what is kept from before into the running hash."""
        with disk_errors(self._target):
            stream = self._open_stream()
            stream.seek(0)
            self._hash = hashlib.sha256()
            done = 0
            while done < self._length:
                cancel.raise_if_cancelled()
                chunk = stream.read(min(_REHASH_CHUNK_BYTES, self._length - done))
                if not chunk:
                    raise OSError(errno.EIO, "the part is shorter than it was")
                self._hash.update(chunk)
                done += len(chunk)
                if on_progress is not None:
                    on_progress(Progress(done, self._length))

    def append(self, data: bytes) -> None:
        """Add bytes at the end. AppError DISK_FULL and others; what was written before stays."""
        with disk_errors(self._target):
            stream = self._open_stream()
            stream.seek(self._length)
            view = memoryview(data)
            while view:
                written = stream.write(view)
                self._hash.update(view[:written])
                self._length += written
                view = view[written:]
        late = time.monotonic() - self._synced_s > _SYNC_INTERVAL_S and self._length > self._synced
        if late or self._length - self._synced >= self._sync_every_bytes:
            self.sync()

    def restart(self) -> None:
        """Forget everything that has arrived."""
        with disk_errors(self._target):
            record_path(self._target).unlink(missing_ok=True)
            self._open_stream().truncate(0)
            self._hash = hashlib.sha256()
            self._length = self._synced = 0

    def sync(self) -> None:
        """Flush the bytes to the disk, then record how many they are."""
        self._synced_s = time.monotonic()
        if self._length == self._synced:
            return
        with disk_errors(self._target):
            os.fsync(self._open_stream().fileno())
            record = msgspec.structs.replace(self._identity, bytes_fsynced=self._length)
            new = self._target.with_name(self._target.name + ".part.json.new")
            with new.open("wb") as stream:
                stream.write(msgspec.json.encode(record))
                stream.flush()
                os.fsync(stream.fileno())
            put_in_place(new, record_path(self._target))
        self._synced = self._length

    def hash_matches(self) -> bool:
        """Whether the bytes so far are the announced ones; true where no hash is known."""
        return self._identity.sha256 is None or self._hash.hexdigest() == self._identity.sha256

    def finish(self) -> None:
        """Give the complete file its name."""
        with disk_errors(self._target):
            os.fsync(self._open_stream().fileno())
            self._close()
            put_in_place(part_path(self._target), self._target)
            record_path(self._target).unlink(missing_ok=True)
            sync_folder(self._target.parent)

    def discard(self) -> None:
        """Remove what has arrived."""
        with disk_errors(self._target):
            self._close()
            remove_part(self._target)

    def _open_stream(self) -> BinaryIO:
        if self._stream is None:
            raise ValueError("the part is closed")
        return self._stream

    def _close(self) -> None:
        if self._stream is not None:
            with contextlib.suppress(OSError):
                self._stream.close()
            self._stream = None


_BINARY = getattr(os, "O_BINARY", 0)
