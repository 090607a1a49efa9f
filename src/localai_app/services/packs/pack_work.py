"""What can be done with runtime packs, step by step in the calling thread."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import time
from dataclasses import dataclass
from pathlib import Path

import msgspec

from localai_app import errors
from localai_app.errors import AppError
from localai_app.hardware.report import Vendor
from localai_app.progress import CancelToken
from localai_app.release.envelope import MAX_ENVELOPE_BYTES
from localai_app.release.pack_document import Pack, PackDocument
from localai_app.services.packs.folders import InstalledPack, PackFolders
from localai_app.services.packs.installer import Job, PackInstaller
from localai_app.services.packs.offers import Here, PackOffer, offers
from localai_app.services.runtimes import RuntimeService
from localai_app.services.signed_fetch import SignedFetch

log = logging.getLogger(__name__)

LIST_NAME = "packs.json"
"""The signed list that lies beside an archive which came along some other way."""


@dataclass(frozen=True, slots=True)
class PackParts:
    """What packs are made of; `platform` is `linux-x64` and the like."""

    folders: PackFolders
    installer: PackInstaller
    fetch: SignedFetch
    runtimes: RuntimeService
    platform: str


class PackWork:
    """Safe from any thread and process: whoever changes something holds the lock of the folder of packs."""

    def __init__(self, parts: PackParts) -> None:
        self._parts = parts

    @property
    def can_ask(self) -> bool:
        """Whether this build knows an address of packs and a key to check them with."""
        return self._parts.fetch.trust.can_ask_packs

    def sweep(self) -> None:
        """Take away what killed installations left; nothing while another process is at it."""
        if not self._parts.folders.root.is_dir():
            return
        try:
            with self._parts.folders.locked():
                self._parts.folders.sweep(time.time())
                self._parts.installer.sweep_downloads(time.time())
        except AppError as error:
            log.info("runtime packs are not tidied up now: %s", error)

    def installed(self) -> list[InstalledPack]:
        """Every installed pack, current versions first."""
        return self._parts.folders.installed()

    def might_gain(self) -> str:
        """A sentence for a computer whose card might gain from a pack, though nobody was asked yet; else empty."""
        cards = [gpu.name for gpu in self._parts.runtimes.report().gpus if gpu.vendor is Vendor.NVIDIA]
        uses_cuda = any("cuda" in row.runtime.key for row in self._parts.runtimes.rows())
        if not cards or uses_cuda or not self.can_ask or any(each.is_current for each in self.installed()):
            return ""
        return f"There may be a runtime pack with NVIDIA's own libraries for {' and '.join(dict.fromkeys(cards))}."

    def look(self, cancel: CancelToken | None = None) -> tuple[PackOffer, ...]:
        """Ask for the signed list and say what of it is of use here. AppError as for SignedFetch.packs."""
        return self._offers(self._parts.fetch.packs(cancel))

    def install(self, pack_id: str, job: Job) -> InstalledPack:
        """Ask, download, check, try out and put to use. AppError PACK_UNKNOWN, PACK_UNFIT, PACK_BUSY and those of each step."""
        pack = self._chosen(self.look(job.cancel), pack_id)
        with self._parts.folders.locked():
            archive = self._parts.installer.download(pack, job)
            return self._put_to_use(pack, archive, job, keeps_archive=False)

    def install_file(self, archive: Path, job: Job) -> InstalledPack:
        """The same from an archive with its signed list `packs.json` beside it, without asking anybody."""
        document = self._parts.fetch.packs_in(_read_list(archive))
        named = tuple(pack for pack in document.packs if pack.archive.url.rsplit("/", 1)[-1] == archive.name)
        if not named:
            raise AppError(errors.PACK_UNKNOWN, name=archive.name)
        found = self._offers(msgspec.structs.replace(document, packs=named))
        if not found:
            raise AppError(errors.PACK_UNFIT, label=named[0].label, reason=f"It is made for {named[0].platform}.")
        pack = self._chosen(found, named[0].pack_id)
        _require_signed(archive, pack)
        with self._parts.folders.locked():
            return self._put_to_use(pack, archive, job, keeps_archive=True)

    def remove(self, pack_id: str) -> int:
        """Take every version of a pack away; the bytes that are free again. AppError PACK_UNKNOWN, PACK_BUSY."""
        found = [each for each in self.installed() if each.verified.pack_id == pack_id]
        if not found:
            raise AppError(errors.PACK_UNKNOWN, name=pack_id)
        with self._parts.folders.locked():
            for each in found:
                try:
                    self._parts.folders.discard(each.folder)
                except OSError as error:
                    raise AppError(
                        errors.FOLDER_UNUSABLE, name=each.verified.label, folder=each.folder,
                        reason=error.strerror or str(error)) from error
        self._parts.runtimes.test_all(again=False)
        return sum(each.verified.size_bytes for each in found)

    def _put_to_use(self, pack: Pack, archive: Path, job: Job, *, keeps_archive: bool) -> InstalledPack:
        try:
            installed = self._parts.installer.install(pack, archive, job)
        except AppError as error:
            is_of_disk = error.spec in (errors.NO_ROOM_FOR_FILE, errors.FOLDER_UNUSABLE)
            if not keeps_archive and not is_of_disk:
                _take_away(archive)
            raise
        if not keeps_archive:
            _take_away(archive)
        self._parts.runtimes.test_all(again=False)
        return installed

    def _chosen(self, found: tuple[PackOffer, ...], pack_id: str) -> Pack:
        offer = next((each for each in found if each.pack.pack_id == pack_id), None)
        if offer is None:
            raise AppError(errors.PACK_UNKNOWN, name=pack_id)
        if not offer.can_install:
            raise AppError(errors.PACK_UNFIT, label=offer.pack.label, reason=offer.reason)
        return offer.pack

    def _offers(self, document: PackDocument) -> tuple[PackOffer, ...]:
        rows = self._parts.runtimes.rows()
        here = Here(
            platform=self._parts.platform, engine_ids=[row.runtime.build.engine_id for row in rows],
            report=self._parts.runtimes.report(),
            installed=[each.verified for each in self.installed() if each.is_current],
            in_use=next((row.name for row in rows if row.is_chosen), ""))
        return offers(document, here)


def _take_away(archive: Path) -> None:
    """One that cannot go now, because a scanner reads it, goes with what `sweep_downloads` finds."""
    with contextlib.suppress(OSError):
        archive.unlink(missing_ok=True)


def _require_signed(archive: Path, pack: Pack) -> None:
    """AppError PACK_REFUSED unless a file is the archive that was signed."""
    try:
        with archive.open("rb") as file:
            size_bytes = file.seek(0, 2)
            if size_bytes != pack.archive.size_bytes:
                reason = f"its archive has {size_bytes} bytes instead of {pack.archive.size_bytes}"
                raise AppError(errors.PACK_REFUSED, label=pack.label, reason=reason)
            file.seek(0)
            if hashlib.file_digest(file, "sha256").hexdigest() != pack.archive.sha256:
                reason = "the checksum of its archive is not the signed one"
                raise AppError(errors.PACK_REFUSED, label=pack.label, reason=reason)
    except OSError as error:
        raise AppError(errors.FILE_UNREADABLE, name=archive.name, reason=error.strerror or str(error)) from error


def _read_list(archive: Path) -> bytes:
    """The signed list beside an archive."""
    try:
        with archive.with_name(LIST_NAME).open("rb") as file:
            return file.read(MAX_ENVELOPE_BYTES + 1)
    except FileNotFoundError as error:
        raise AppError(errors.FILE_UNREADABLE, name=LIST_NAME, reason="it does not lie beside the archive") from error
    except OSError as error:
        raise AppError(errors.FILE_UNREADABLE, name=LIST_NAME, reason=error.strerror or str(error)) from error
