"""Keys that a test makes for itself, and documents signed with them."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from localai_app.release.envelope import PACKS_TYPE, RELEASES_TYPE, PublicKey, key_id_of, sign
from localai_app.release.trust import Trust


class SigningKey:
    """A pair of keys."""

    def __init__(self) -> None:
        self.private = Ed25519PrivateKey.generate()
        public_bytes = self.private.public_key().public_bytes_raw()
        self.public = PublicKey(key_id_of(public_bytes), public_bytes)

    def sign(self, document: dict[str, Any], payload_type: str = RELEASES_TYPE) -> bytes:
        """A document in an envelope."""
        return sign(json.dumps(document).encode(), payload_type, self.private, self.public.key_id)

    def sign_packs(self, document: dict[str, Any]) -> bytes:
        """A list of packs in an envelope."""
        return self.sign(document, PACKS_TYPE)


def trust_in(*keys: SigningKey, release_url: str = "", packs_url: str = "", revoked: tuple[str, ...] = ()) -> Trust:
    """What a build with these keys trusts."""
    return Trust(
        tuple(key.public for key in keys if key.public.key_id not in revoked), release_url, packs_url, frozenset(revoked))


def trust_json(*keys: SigningKey, release_url: str = "", packs_url: str = "") -> str:
    """The same as a trust.json."""
    import base64

    entries = [
        {"key_id": key.public.key_id, "public_key": base64.b64encode(key.public.public_bytes).decode()} for key in keys]
    return json.dumps({"keys": entries, "revoked": [], "release_url": release_url, "packs_url": packs_url})


def at(days: float = 0.0) -> str:
    """A time from now, as documents state it."""
    return (datetime.now(UTC) + timedelta(days=days)).isoformat()


def artefact(content: bytes, platform: str = "linux-x64-deb", **changes: Any) -> dict[str, Any]:
    """The entry of a file in a release document."""
    name = changes.get("file_name", f"localai-app.{platform.rsplit('-', 1)[-1]}")
    return {
        "platform": platform, "file_name": name, "url": f"files/{name}", "size_bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(), **changes}


def release(number: int = 1, version: str = "99.0", **changes: Any) -> dict[str, Any]:
    """A release document with nothing wrong in it."""
    return {
        "number": number, "published": at(-1), "expires": at(30), "version": version, "notes": "", "artefacts": [], **changes}


def packs(number: int = 1, **changes: Any) -> dict[str, Any]:
    """A list of packs with nothing wrong in it."""
    return {"number": number, "published": at(-1), "expires": at(30), "packs": [], **changes}
