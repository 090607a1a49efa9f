"""Looks for a newer version, fetches its installer, and says why one cannot be used here. Synchronous; knows no threads."""

from __future__ import annotations

import contextlib
import logging
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from localai_app import errors
from localai_app.errors import AppError
from localai_app.progress import CancelToken, ProgressCallback
from localai_app.release.acceptance import RELEASES
from localai_app.release.release_document import Artefact, ReleaseDocument
from localai_app.release.version import is_newer
from localai_app.services.installation import Installation, InstallationKind, is_system_old
from localai_app.services.signed_fetch import SignedFetch
from localai_app.services.update_memory import UpdateMemory

NO_ANSWER = (errors.SOURCE_UNREACHABLE, errors.CERTIFICATE_REFUSED, errors.STAYS_OFFLINE)
"""Failures after which it makes sense to ask sooner than the next day: the server was never heard."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Offer:
    """A newer version. Without `artefact` it cannot be downloaded here, for the reason that `obstacle` tells."""

    version: str
    notes: str
    published: datetime
    artefact: Artefact | None = None
    obstacle: AppError | None = None


class UpdateSource:
    """What is known of releases, for one installed version and kind of installation."""

    def __init__(
        self, fetch: SignedFetch, memory: UpdateMemory, folder: Path, installed_version: str, installation: Installation,
    ) -> None:
        self._fetch = fetch
        self._memory = memory
        self._folder = folder
        self.installed_version = installed_version
        self.installation = installation

    @property
    def can_ask(self) -> bool:
        """Whether this build has an address and keys."""
        return self._fetch.trust.can_ask_releases

    def kept(self) -> ReleaseDocument | None:
        """The list that came at the last time, if it is still believed; nothing is asked."""
        data = self._memory.envelope() if self.can_ask else b""
        if not data:
            return None
        try:
            return self._fetch.believed(data, RELEASES)
        except AppError as error:
            log.info("the list of releases that was kept is not believed any more: %s", error)
            return None

    def ask(self, cancel: CancelToken) -> Offer | None:
        """Ask the server now; None where nothing is newer. AppError as SignedFetch.releases; `Cancelled`."""
        if not self.can_ask:
            raise AppError(errors.NOTHING_TO_ASK, what=RELEASES.words)
        try:
            data = self._fetch.envelope(self._fetch.trust.release_url, cancel)
        except AppError as error:
            if error.spec not in NO_ANSWER:
                self._memory.note_asked()
            raise
        self._memory.note_asked()
        release = self._fetch.believed(data, RELEASES)
        self._memory.keep_envelope(data)
        offer = self.offer_of(release)
        self._tidy(offer)
        return offer

    def offer_of(self, release: ReleaseDocument) -> Offer | None:
        """What a release means for this installation."""
        if not is_newer(release.version, self.installed_version):
            return None
        artefact = release.artefact_for(self.installation.artefact)
        obstacle = None
        if self.installation.kind is InstallationKind.SOURCE:
            obstacle = AppError(errors.UPDATE_FROM_SOURCE)
        elif artefact is None:
            obstacle = AppError(
                errors.UPDATE_NOT_FOR_THIS, version=release.version, platform=self.installation.artefact)
        elif is_system_old(artefact.minimum_version):
            obstacle = AppError(
                errors.UPDATE_NEEDS_NEWER_SYSTEM, version=release.version,
                system=artefact.minimum_system or artefact.minimum_version)
        return Offer(
            release.version, release.notes, release.published, None if obstacle is not None else artefact, obstacle)

    def target(self, artefact: Artefact) -> Path:
        """Where an installer is downloaded to."""
        return self._folder / artefact.file_name

    def is_there(self, artefact: Artefact, cancel: CancelToken) -> bool:
        """Whether an installer was downloaded before and is whole. Reads all of it."""
        from localai_app.services.source_download import RemoteFile, is_intact

        try:
            return is_intact(
                self.target(artefact), RemoteFile(artefact.url, artefact.size_bytes, artefact.sha256), cancel)
        except OSError:
            return False

    def download(self, artefact: Artefact, on_progress: ProgressCallback, cancel: CancelToken) -> Path:
        """Fetch an installer and verify it; AppError as SignedFetch.file."""
        with contextlib.suppress(OSError):
            self._folder.mkdir(parents=True, exist_ok=True)
            self._folder.chmod(0o700)
        return self._fetch.file(
            self._fetch.release_file_address(artefact.url), artefact.size_bytes, artefact.sha256, self.target(artefact),
            on_progress, cancel)

    def _tidy(self, offer: Offer | None) -> None:
        """Remove installers of versions that are no longer offered."""
        kept = offer.artefact.file_name if offer is not None and offer.artefact is not None else None
        with contextlib.suppress(OSError):
            for path in self._folder.iterdir():
                if path.is_file() and (kept is None or not path.name.startswith(kept)):
                    path.unlink()
