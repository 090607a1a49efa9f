"""What a build of the program trusts, and where it asks: data of the build, empty in the repository.

A build without keys cannot check anything and therefore asks nobody. Two keys are in it at a time, so that the older one can be
retired: documents that carry the signature of either are believed.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec

from localai_app import errors
from localai_app.errors import AppError
from localai_app.paths import resources_dir
from localai_app.release.addresses import is_allowed
from localai_app.release.envelope import KEY_BYTES, KEY_ID_PATTERN, PublicKey
from localai_app.release.strict_json import decode_strictly

_MAX_FILE_BYTES = 64 * 1024
_KeyId = Annotated[str, msgspec.Meta(pattern=KEY_ID_PATTERN)]


@dataclass(frozen=True, slots=True)
class Trust:
    """Keys whose signatures count, ids of keys that no longer do, and the addresses of the two documents ("" for none)."""

    keys: tuple[PublicKey, ...] = ()
    release_url: str = ""
    packs_url: str = ""
    revoked: frozenset[str] = frozenset()

    @property
    def is_configured(self) -> bool:
        """Whether this build can ask and check anything."""
        return self.can_ask_releases or self.can_ask_packs

    @property
    def can_ask_releases(self) -> bool:
        """Whether this build can look for newer releases."""
        return bool(self.keys and self.release_url)

    @property
    def can_ask_packs(self) -> bool:
        """Whether this build can look for runtime packs."""
        return bool(self.keys and self.packs_url)


class KeyEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A key in trust.json; `public_key` is base64 of its 32 bytes."""

    key_id: _KeyId
    public_key: str


class TrustFile(msgspec.Struct, frozen=True, kw_only=True):
    """The form of resources/release/trust.json; the release build fills it in."""

    keys: Annotated[tuple[KeyEntry, ...], msgspec.Meta(max_length=8)] = ()
    revoked: Annotated[tuple[_KeyId, ...], msgspec.Meta(max_length=64)] = ()
    release_url: str = ""
    packs_url: str = ""


def trust_file() -> Path:
    """Where the program's own trust data lies."""
    return resources_dir() / "release" / "trust.json"


def load_trust(path: Path | None = None) -> Trust:
    """What `path`, else this build, trusts. AppError TRUST_DATA_DAMAGED: a file with a fault is not believed in part."""
    place = trust_file() if path is None else path
    try:
        with place.open("rb") as file:
            found = decode_strictly(file.read(_MAX_FILE_BYTES + 1), TrustFile, _MAX_FILE_BYTES)
        return trust_of(found)
    except (OSError, ValueError) as error:
        raise AppError(errors.TRUST_DATA_DAMAGED, file=place.name, detail=str(error)) from error


def trust_of(file: TrustFile) -> Trust:
    """The meaning of a trust file; ValueError for keys or addresses that are none."""
    keys = tuple(PublicKey(entry.key_id, _key_bytes(entry.public_key)) for entry in file.keys)
    if len({key.key_id for key in keys}) < len(keys):
        raise ValueError("two keys have one id")
    for url in (file.release_url, file.packs_url):
        if url and not is_allowed(url):
            raise ValueError(f"{url!a} is no address that may be asked")
    revoked = frozenset(file.revoked)
    return Trust(tuple(key for key in keys if key.key_id not in revoked), file.release_url, file.packs_url, revoked)


def _key_bytes(text: str) -> bytes:
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("a key is not base64") from None
    if len(data) != KEY_BYTES:
        raise ValueError(f"a key has {len(data)} bytes instead of {KEY_BYTES}")
    return data
