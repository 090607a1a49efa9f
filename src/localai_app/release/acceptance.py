"""The one way from bytes of the network to a document that is believed: signature, form, age, number, in this order."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Generic, Protocol, TypeVar

from localai_app import errors
from localai_app.errors import AppError
from localai_app.release.envelope import MAX_ENVELOPE_BYTES, PACKS_TYPE, RELEASES_TYPE, verify, words_of
from localai_app.release.memory import SeenNumbers
from localai_app.release.pack_document import PackDocument
from localai_app.release.release_document import ReleaseDocument
from localai_app.release.strict_json import decode_strictly
from localai_app.release.trust import Trust


class SignedDocument(Protocol):
    """What every signed document has."""

    @property
    def number(self) -> int:
        """Grows with every document of its kind."""

    @property
    def published(self) -> datetime:
        """When it was signed."""

    @property
    def expires(self) -> datetime:
        """From when on it is not believed any more."""

    def require_sense(self) -> None:
        """ValueError for what cannot be meant."""


D = TypeVar("D", bound=SignedDocument)


@dataclass(frozen=True, slots=True)
class DocumentKind(Generic[D]):
    """A kind of document: the type that its signature binds it to, and its form."""

    payload_type: str
    form: type[D]

    @property
    def words(self) -> str:
        """What it is called in sentences."""
        return words_of(self.payload_type)


RELEASES = DocumentKind(RELEASES_TYPE, ReleaseDocument)
PACKS = DocumentKind(PACKS_TYPE, PackDocument)


def accepted(
    data: bytes, kind: DocumentKind[D], trust: Trust, seen: SeenNumbers, now: datetime | None = None,
) -> D:
    """The document in an envelope, remembered as seen. `now` has a zone; None is this moment.

    AppError SIGNED_DOCUMENT_INVALID, SIGNATURE_INVALID, SIGNED_DOCUMENT_EXPIRED, SIGNED_DOCUMENT_ROLLED_BACK.
    """
    document = parsed(verify(data, kind.payload_type, trust.keys, trust.revoked), kind)
    clock = datetime.now(UTC) if now is None else now
    time = max(clock, seen.latest_time(), document.published)
    if time >= document.expires:
        raise AppError(
            errors.SIGNED_DOCUMENT_EXPIRED, what=kind.words, date=f"{document.expires:%Y-%m-%d}",
            detail=f"number {document.number}, clock {clock:%Y-%m-%d %H:%M}, latest known time {time:%Y-%m-%d %H:%M}")
    highest = seen.highest(kind.payload_type)
    if document.number < highest:
        raise AppError(
            errors.SIGNED_DOCUMENT_ROLLED_BACK, what=kind.words, detail=f"number {document.number} after {highest}")
    seen.remember(kind.payload_type, document.number, time)
    return document


def parsed(payload: bytes, kind: DocumentKind[D]) -> D:
    """A payload in its form; AppError SIGNED_DOCUMENT_INVALID. It says nothing about who wrote it."""
    try:
        document = decode_strictly(payload, kind.form, MAX_ENVELOPE_BYTES)
        document.require_sense()
    except ValueError as error:
        raise AppError(errors.SIGNED_DOCUMENT_INVALID, what=kind.words, reason=str(error)) from error
    return document
