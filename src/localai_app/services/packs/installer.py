"""Installs a runtime pack step by step; whatever fails at whichever step, what ran before is as it was."""

from __future__ import annotations

import contextlib
import logging
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from localai_app import errors
from localai_app.errors import AppError
from localai_app.hub.part import kept_bytes
from localai_app.hub.space import free_bytes
from localai_app.progress import CancelToken, Progress
from localai_app.release.pack_document import Pack
from localai_app.release.unpack import UnpackError, unpack
from localai_app.services.packs.folders import InstalledPack, PackFolders
from localai_app.services.packs.trial import PackTrial
from localai_app.services.signed_fetch import SignedFetch
from localai_app.units import MIB, format_file_size

log = logging.getLogger(__name__)

SPACE_FLOOR_BYTES = 256 * MIB
"""Left free on the disk, so that a pack does not fill it."""

KEEP_DOWNLOADS_S = 30 * 24 * 3600.0


class Phase(StrEnum):
    """Where an installation stands."""

    DOWNLOADING = "downloading"
    UNPACKING = "unpacking"
    TESTING = "testing"
    FINISHING = "finishing"


@dataclass(slots=True)
class Job:
    """One installation: how it is ended, and whom it tells how far it is."""

    on_step: Callable[[Phase, Progress], None]
    cancel: CancelToken = field(default_factory=CancelToken)
    given_up: threading.Event = field(default_factory=threading.Event)

    def end(self) -> None:
        """Ask it to end; safe from any thread."""
        self.cancel.cancel()
        self.given_up.set()

    def report(self, phase: Phase) -> Callable[[Progress], None]:
        """What takes the progress of a phase."""
        return lambda progress: self.on_step(phase, progress)


class PackInstaller:
    """Every method wants the lock of `folders` to be held."""

    def __init__(self, folders: PackFolders, trial: PackTrial, fetch: SignedFetch, downloads: Path) -> None:
        self._folders = folders
        self._trial = trial
        self._fetch = fetch
        self._downloads = downloads

    def download(self, pack: Pack, job: Job) -> Path:
        """Get the archive, whose size and checksum are then right; AppError, `Cancelled`, after which its part stays."""
        target = self._downloads / f"{pack.pack_id}-{pack.archive.sha256[:16]}.tar.xz"
        self.require_room(pack, pack.archive.size_bytes - _arrived_bytes(target))
        url = self._fetch.pack_file_address(pack.archive.url)
        return self._fetch.file(
            url, pack.archive.size_bytes, pack.archive.sha256, target, job.report(Phase.DOWNLOADING), job.cancel)

    def install(self, pack: Pack, archive: Path, job: Job) -> InstalledPack:
        """Unpack, check, try out and put in place. AppError with the reason; `Cancelled`; nothing is left behind then."""
        self.require_room(pack, 0)
        with _disk_words(pack, self._folders.root):
            folder = self._folders.new_folder()
            try:
                self._unpack(pack, archive, folder, job)
                self._try_out(pack, folder, job)
                job.on_step(Phase.FINISHING, Progress(0, 0))
                placed = self._folders.put_in_place(folder, pack)
            except BaseException:
                shutil.rmtree(folder, ignore_errors=True)
                raise
            try:
                verified = self._folders.verify(placed, pack)
            except BaseException:
                with contextlib.suppress(OSError):
                    self._folders.discard(placed)
                raise
        log.info("the runtime pack %s %s is installed in %s", pack.pack_id, pack.version, placed)
        return InstalledPack(placed, verified, True)

    def require_room(self, pack: Pack, to_come_bytes: int) -> None:
        """AppError NO_ROOM_FOR_FILE unless the pack fits, with what is to come of its archive if that is on the same disk."""
        root = self._folders.root
        root.mkdir(parents=True, exist_ok=True)
        needed = pack.unpacked_bytes + SPACE_FLOOR_BYTES
        if _device_of(self._downloads) == root.stat().st_dev:
            needed += to_come_bytes
        free = free_bytes(root)
        if free < needed:
            raise AppError(
                errors.NO_ROOM_FOR_FILE, name=pack.label, folder=root, needed=format_file_size(needed),
                free=format_file_size(free))

    def sweep_downloads(self, now_s: float) -> None:
        """Take away archives of downloads that nobody went on with for long."""
        for path in self._downloads.glob("*"):
            with contextlib.suppress(OSError):
                if now_s > path.stat().st_mtime + KEEP_DOWNLOADS_S:
                    path.unlink()

    def _unpack(self, pack: Pack, archive: Path, folder: Path, job: Job) -> None:
        try:
            with archive.open("rb") as file:
                unpack(file, pack.files, folder, job.report(Phase.UNPACKING), job.cancel)
        except UnpackError as error:
            raise AppError(errors.PACK_REFUSED, label=pack.label, reason=str(error)) from error

    def _try_out(self, pack: Pack, folder: Path, job: Job) -> None:
        job.on_step(Phase.TESTING, Progress(0, 0))
        verdict = self._trial.of_folder(folder, pack.engine_id, job.given_up)
        if verdict.is_unsupported:
            raise AppError(
                errors.PACK_UNFIT, label=pack.label, reason=f"{verdict.reason[:1].upper()}{verdict.reason[1:]}.")
        if not verdict.passed:
            raise AppError(errors.PACK_TEST_FAILED, label=pack.label, reason=verdict.reason)


@contextmanager
def _disk_words(pack: Pack, folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise AppError(
            errors.FOLDER_UNUSABLE, name=pack.label, folder=folder, reason=error.strerror or str(error),
            detail=repr(error)) from error


def _arrived_bytes(target: Path) -> int:
    """What lies there of a download, whole or not."""
    try:
        return target.stat().st_size
    except OSError:
        return kept_bytes(target)


def _device_of(folder: Path) -> int:
    """The disk on which a folder is, or will be made."""
    for place in (folder, *folder.parents):
        with contextlib.suppress(OSError):
            return place.stat().st_dev
    return -1
