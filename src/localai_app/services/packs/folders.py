"""The folder of runtime packs on disk: what is installed, what is half, and one process at a time that changes it."""

from __future__ import annotations

import contextlib
import logging
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from localai_app import errors
from localai_app.engine.pack_folder import PACK_NAME, VERIFIED_NAME, Verified, is_pack, read_verified, superseded
from localai_app.errors import AppError
from localai_app.release.pack_document import Pack
from localai_app.whole_file import sync_folder, write_whole

log = logging.getLogger(__name__)

KEEP_PREVIOUS_S = 14 * 24 * 3600.0
"""So long after the installation of a newer version the one before is kept, to go back to."""
_NEW, _OLD = ".new-", ".old-"
_LOCK_NAME = ".packs.lock"


@dataclass(frozen=True, slots=True)
class InstalledPack:
    """A finished pack in its folder. `is_current`: its back ends are the ones that count."""

    folder: Path
    verified: Verified
    is_current: bool


class PackFolders:
    """`root` is `runtimes` of the data folder. Methods that change something want the lock to be held."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def installed(self) -> list[InstalledPack]:
        """Every finished pack, the current versions first."""
        folders = self._pack_folders()
        old = superseded(folders)
        found = [
            InstalledPack(folder, verified, folder not in old)
            for folder in folders if (verified := read_verified(folder)) is not None]
        return sorted(found, key=lambda each: (not each.is_current, each.verified.pack_id, -each.verified.order))

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes and threads from changing packs; AppError PACK_BUSY at once where one does."""
        from filelock import FileLock, Timeout

        try:
            self.root.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.root / _LOCK_NAME, timeout=0, thread_local=False, is_singleton=False)
            lock.acquire()
        except Timeout:
            raise AppError(errors.PACK_BUSY) from None
        except OSError as error:
            reason = error.strerror or str(error)
            raise AppError(errors.FOLDER_UNUSABLE, name="The runtime pack", folder=self.root, reason=reason) from error
        try:
            yield
        finally:
            lock.release()

    def new_folder(self) -> Path:
        """An empty folder that no build is looked for in."""
        folder = self.root / f"{_NEW}{secrets.token_hex(8)}"
        folder.mkdir(mode=0o700)
        return folder

    def put_in_place(self, unpacked: Path, pack: Pack) -> Path:
        """Give a pack that was tried out its place, by one rename; it counts when `verify` has written its mark."""
        (unpacked / PACK_NAME).write_bytes(msgspec.json.encode(pack))
        parent = self.root / pack.engine_id
        parent.mkdir(exist_ok=True)
        name = f"{pack.pack_id}-{pack.version}"
        taken = {path.name for path in parent.iterdir()}
        free = next(each for each in (name, *(f"{name}-{number}" for number in range(2, 10_000))) if each not in taken)
        unpacked.chmod(0o755)
        unpacked.rename(parent / free)
        sync_folder(parent)
        return parent / free

    def verify(self, folder: Path, pack: Pack) -> Verified:
        """Write the mark that makes a pack count, whole or not at all."""
        order = 1 + max((each.verified.order for each in self.installed()), default=0)
        verified = Verified(
            pack_id=pack.pack_id, engine_id=pack.engine_id, version=pack.version, label=pack.label,
            archive_sha256=pack.archive.sha256, size_bytes=pack.unpacked_bytes, installed_s=time.time(), order=order)
        write_whole(folder / VERIFIED_NAME, msgspec.json.encode(verified), 0o644)
        return verified

    def discard(self, folder: Path) -> None:
        """Take a folder away: first its mark, then its name, then its files, so that half of it is never used.

        OSError where its mark cannot be taken away. Windows renames no folder of which a file is in use: that one goes at a
        later `sweep`.
        """
        (folder / VERIFIED_NAME).unlink(missing_ok=True)
        away = self.root / f"{_OLD}{secrets.token_hex(8)}"
        with contextlib.suppress(OSError):
            folder.rename(away)
            shutil.rmtree(away, ignore_errors=True)
            folder.parent.rmdir()

    def sweep(self, now_s: float) -> list[Path]:
        """Take away what installations left that were killed, and versions that were kept long enough; what was taken away."""
        gone = [path for path in _folders_in(self.root) if path.name.startswith((_NEW, _OLD))]
        for path in gone:
            shutil.rmtree(path, ignore_errors=True)
        packs = self.installed()
        changed_s = {
            (each.verified.engine_id, each.verified.pack_id): each.verified.installed_s for each in packs if each.is_current}
        outdated = [
            each.folder for each in packs if not each.is_current
            and now_s > changed_s[each.verified.engine_id, each.verified.pack_id] + KEEP_PREVIOUS_S]
        finished = {each.folder for each in packs}
        unfinished = [folder for folder in self._pack_folders() if folder not in finished]
        for folder in (*unfinished, *outdated):
            with contextlib.suppress(OSError):
                self.discard(folder)
                if not folder.exists():
                    gone.append(folder)
        for path in gone:
            log.info("taken away of runtime packs: %s", path)
        return gone

    def _pack_folders(self) -> list[Path]:
        return [
            folder for engine in _folders_in(self.root) if not engine.name.startswith(".")
            for folder in _folders_in(engine) if is_pack(folder)]


def _folders_in(place: Path) -> list[Path]:
    """In order; none of a folder that another process took away meanwhile, or that cannot be read."""
    try:
        return sorted(path for path in place.iterdir() if path.is_dir())
    except OSError:
        return []
