"""Gets what the publishers sign: documents, verified before anybody sees them, and the files that those name."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from localai_app import errors
from localai_app.errors import AppError
from localai_app.hub.background_reader import BackgroundReader
from localai_app.hub.failures import TransferError
from localai_app.progress import CancelToken, ProgressCallback
from localai_app.release.acceptance import PACKS, RELEASES, DocumentKind, SignedDocument, accepted
from localai_app.release.addresses import absolute, host_of
from localai_app.release.envelope import MAX_ENVELOPE_BYTES
from localai_app.release.memory import SeenNumbers
from localai_app.release.pack_document import PackDocument
from localai_app.release.release_document import ReleaseDocument
from localai_app.release.trust import Trust

if TYPE_CHECKING:
    from localai_app.services.source_download import FetchOptions

D = TypeVar("D", bound=SignedDocument)


class SignedFetch:
    """Asks the addresses that this build trusts. Every call may take seconds: run it in the background.

    `proxy` gives the address of the setting, empty for the system's. Nothing is imported or sent before the first call.
    """

    def __init__(
        self, trust: Trust, seen: SeenNumbers, proxy: Callable[[], str], options: FetchOptions | None = None,
    ) -> None:
        self.trust = trust
        self._seen = seen
        self._proxy = proxy
        self._options_given = options

    def releases(self, cancel: CancelToken | None = None) -> ReleaseDocument:
        """The newest release. AppError NOTHING_TO_ASK, and those of `envelope` and `accepted`."""
        return self._accepted(self.trust.release_url, RELEASES, cancel)

    def packs(self, cancel: CancelToken | None = None) -> PackDocument:
        """All runtime packs. AppError NOTHING_TO_ASK, and those of `envelope` and `accepted`."""
        return self._accepted(self.trust.packs_url, PACKS, cancel)

    def packs_in(self, envelope: bytes) -> PackDocument:
        """The list of packs in a file that came along some other way. AppError as for `accepted`."""
        return accepted(envelope, PACKS, self.trust, self._seen)

    def envelope(self, url: str, cancel: CancelToken | None) -> bytes:
        """What an address sends, not verified.

        AppError SOURCE_UNREACHABLE, SOURCE_REFUSED, SOURCE_BAD_ANSWER, STAYS_OFFLINE, PROXY_INVALID, CERTIFICATE_REFUSED,
        CERTIFICATES_UNREADABLE; `Cancelled`.
        """
        token = cancel or CancelToken()
        try:
            with BackgroundReader(lambda: self._produce(url), "fetch-document") as reader:
                body = reader.next_item(token, self._options.document_s)
        except TransferError as error:
            raise error.final or AppError(
                errors.SOURCE_UNREACHABLE, host=host_of(url), detail=error.reason) from error
        return body or b""

    def believed(self, data: bytes, kind: DocumentKind[D]) -> D:
        """The document in an envelope, wherever it comes from; AppError as `release.acceptance.accepted`."""
        return accepted(data, kind, self.trust, self._seen)

    def file(
        self, url: str, size_bytes: int, sha256: str, target: Path, on_progress: ProgressCallback, cancelled: CancelToken,
    ) -> Path:
        """Download a file to `target`, going on from what is there of it; it has its name only when its checksum is right.

        One that is there already and right is kept. AppError DOWNLOAD_DAMAGED, NO_ROOM_FOR_FILE, DISK_FULL, FOLDER_UNUSABLE,
        DOWNLOAD_BUSY, TRANSFER_FAILED, SOURCE_UNREACHABLE, SOURCE_REFUSED, SOURCE_BAD_ANSWER, STAYS_OFFLINE, PROXY_INVALID,
        CERTIFICATE_REFUSED, CERTIFICATES_UNREADABLE; `Cancelled`, after which what has arrived stays.
        """
        from localai_app.services.source_download import RemoteFile, SourceDownload

        SourceDownload(
            RemoteFile(url, size_bytes, sha256), target, proxy=self._proxy(), options=self._options,
            on_progress=on_progress, cancel=cancelled).run()
        return target

    def release_file_address(self, url: str) -> str:
        """The address of a file that the list of releases names."""
        return absolute(self.trust.release_url, url)

    def pack_file_address(self, url: str) -> str:
        """The address of a file that the list of packs names."""
        return absolute(self.trust.packs_url, url)

    def _accepted(self, url: str, kind: DocumentKind[D], cancel: CancelToken | None) -> D:
        if not url or not self.trust.keys:
            raise AppError(errors.NOTHING_TO_ASK, what=kind.words)
        return self.believed(self.envelope(url, cancel), kind)

    @property
    def _options(self) -> FetchOptions:
        from localai_app.services.source_download import FetchOptions

        return self._options_given or FetchOptions()

    def _produce(self, url: str) -> Iterator[bytes]:
        """Runs in the reader's thread: the whole body as one item."""
        from localai_app.services.source_connection import open_source
        from localai_app.services.source_download import require_answer

        with open_source(
            url, byte_range="", proxy=self._proxy(), read_timeout_s=self._options.document_s,
        ) as answer:
            require_answer(answer)
            body, ends_s = bytearray(), time.monotonic() + self._options.document_s
            for chunk in answer.chunks:
                body += chunk
                if time.monotonic() > ends_s:
                    raise TransferError("it arrives too slowly")
                if len(body) > MAX_ENVELOPE_BYTES:
                    raise AppError(errors.SOURCE_BAD_ANSWER, host=answer.host, reason="it is far too long")
            if bytes(body[:64]).lstrip().startswith(b"<"):
                raise AppError(
                    errors.SOURCE_BAD_ANSWER, host=answer.host, reason="a web page, perhaps the login page of this network")
            yield bytes(body)
