"""The envelope of a signed document: DSSE (secure-systems-lab/dsse, protocol 1.0.2) with Ed25519.

What is signed is the payload together with its type, so that a list of packs can never stand in for a list of releases.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import msgspec

from localai_app import errors
from localai_app.errors import AppError
from localai_app.release.strict_json import decode_strictly

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

RELEASES_TYPE = "application/vnd.localai-app.releases+json"
PACKS_TYPE = "application/vnd.localai-app.packs+json"
_WORDS = {RELEASES_TYPE: "list of releases", PACKS_TYPE: "list of runtime packs"}

MAX_ENVELOPE_BYTES = 2 * 1024 * 1024
KEY_BYTES = 32
SIGNATURE_BYTES = 64
KEY_ID_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z"


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A key whose signatures are believed: its id, and its 32 bytes (RFC 8032)."""

    key_id: str
    public_bytes: bytes


class _Signature(msgspec.Struct, frozen=True):
    keyid: Annotated[str, msgspec.Meta(max_length=64)]
    sig: Annotated[str, msgspec.Meta(max_length=128)]


class _Envelope(msgspec.Struct, frozen=True, rename="camel"):
    payload: str
    payload_type: Annotated[str, msgspec.Meta(max_length=200)]
    signatures: Annotated[tuple[_Signature, ...], msgspec.Meta(min_length=1, max_length=8)]


def words_of(payload_type: str) -> str:
    """What a document of this type is called in sentences."""
    return _WORDS.get(payload_type, "signed document")


def key_id_of(public_bytes: bytes) -> str:
    """The id that keys of this project have: the beginning of the checksum of the public key."""
    return hashlib.sha256(public_bytes).hexdigest()[:16]


def sign(payload: bytes, payload_type: str, private_key: Ed25519PrivateKey, key_id: str) -> bytes:
    """An envelope of `payload` with one signature. For the tools that make releases, and for tests."""
    signature = private_key.sign(_signed_bytes(payload, payload_type))
    signatures = (_Signature(keyid=key_id, sig=_text(signature)),)
    return _encoded(_Envelope(payload=_text(payload), payload_type=payload_type, signatures=signatures))


def with_signature_of(envelope: bytes, private_key: Ed25519PrivateKey, key_id: str) -> bytes:
    """The same envelope with one signature more, for the time in which an old and a new key are both in use.

    ValueError for what is not an envelope.
    """
    opened = decode_strictly(envelope, _Envelope, MAX_ENVELOPE_BYTES)
    signature = private_key.sign(_signed_bytes(_bytes(opened.payload), opened.payload_type))
    kept = tuple(known for known in opened.signatures if known.keyid != key_id)
    return _encoded(msgspec.structs.replace(opened, signatures=(*kept, _Signature(keyid=key_id, sig=_text(signature)))))


def verify(
    data: bytes, payload_type: str, keys: Iterable[PublicKey], revoked: Collection[str] = (),
) -> bytes:
    """The payload of an envelope, if its type is `payload_type` and at least one of `keys` signed it.

    A key whose id is in `revoked` counts for nothing. AppError SIGNED_DOCUMENT_INVALID, SIGNATURE_INVALID.
    """
    what = words_of(payload_type)
    try:
        envelope = decode_strictly(data, _Envelope, MAX_ENVELOPE_BYTES)
        payload = _bytes(envelope.payload)
        signatures = [(signature.keyid, _bytes(signature.sig)) for signature in envelope.signatures]
    except ValueError as error:
        raise AppError(errors.SIGNED_DOCUMENT_INVALID, what=what, reason=str(error)) from error
    if envelope.payload_type != payload_type:
        raise AppError(
            errors.SIGNATURE_INVALID, what=what, reason="it is a document of another kind", detail=envelope.payload_type)
    known = {key.key_id: key for key in keys if key.key_id not in revoked}
    signed = _signed_bytes(payload, payload_type)
    if any(key_id in known and _is_signed(signed, signature, known[key_id]) for key_id, signature in signatures):
        return payload
    ids = [key_id for key_id, _signature in signatures]
    reason = "what is in it was changed after it was signed"
    if any(key_id in revoked for key_id in ids) and not any(key_id in known for key_id in ids):
        reason = "its key was withdrawn"
    elif not any(key_id in known for key_id in ids):
        reason = "its key is unknown"
    raise AppError(errors.SIGNATURE_INVALID, what=what, reason=reason, detail=f"keys {', '.join(ids)!a}")


def _is_signed(signed: bytes, signature: bytes, key: PublicKey) -> bool:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    if len(signature) != SIGNATURE_BYTES:
        return False
    try:
        Ed25519PublicKey.from_public_bytes(key.public_bytes).verify(signature, signed)
    except InvalidSignature:
        return False
    return True


def _signed_bytes(payload: bytes, payload_type: str) -> bytes:
    """DSSE's pre-authentication encoding: lengths first, so that the border of type and payload cannot be moved."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def _encoded(envelope: _Envelope) -> bytes:
    return msgspec.json.format(msgspec.json.encode(envelope)) + b"\n"


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _bytes(text: str) -> bytes:
    """Strict standard base64; ValueError for anything else."""
    try:
        return binascii.a2b_base64(text.encode("ascii"), strict_mode=True)
    except (binascii.Error, UnicodeEncodeError):
        raise ValueError("its base64 is damaged") from None
