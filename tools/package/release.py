"""Makes of the artefacts in dist/ a release: SHA256SUMS, and release.json with signatures, which the program asks for.

    python -m tools.package release              from dist/, with the keys of LOCALAI_RELEASE_KEY_FILE or LOCALAI_RELEASE_KEY
    python -m tools.package.release renew FILE   the same signed document again, dated today

Only files whose very bytes have passed their self-check are taken. LOCALAI_RELEASE_URL is the address of the folder from which
they will be downloaded; without it they are looked for beside release.json. Without a key there is only SHA256SUMS.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from localai_app import __version__
from localai_app.errors import AppError
from localai_app.release.acceptance import PACKS, RELEASES, accepted
from localai_app.release.envelope import verify
from localai_app.release.memory import SeenNumbers
from localai_app.release.trust import KeyEntry, Trust, TrustFile, load_trust, trust_of
from tools.dev.console import StepError
from tools.dev.environment import ROOT
from tools.package.artefacts import Published, all_published
from tools.package.keys import KEY_FILE_VARIABLE, KEY_VARIABLE, private_keys, public_entry, require_form, sign_with_all
from tools.package.smoke_report import checksum, why_untested
from tools.package.trust_file import TRUST_VARIABLE

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

DIST = ROOT / "dist"
NOTES = ROOT / "docs" / "release-notes"
SUMS = "SHA256SUMS"
DOCUMENT = "release.json"
URL_VARIABLE = "LOCALAI_RELEASE_URL"
VALID_DAYS = 200
"""How long a list of releases is believed. It is signed anew each month (`renew`), so six renewals may fail unnoticed."""


def missing() -> str:
    """Why no release can be made here; empty if artefacts are there."""
    return "" if DIST.is_dir() and any(DIST.iterdir()) else "There is nothing in dist/ to release."


def build() -> Path:
    """Check what lies in dist/, write the checksums, and sign if there are keys; StepError in words."""
    return make_release(DIST, NOTES, private_keys(os.environ), os.environ.get(URL_VARIABLE, ""))


def make_release(folder: Path, notes: Path, keys: Sequence[Ed25519PrivateKey], url: str = "") -> Path:
    """Write SHA256SUMS and, if there are keys, release.json into `folder`; the last of the two."""
    found = all_published(folder)
    if not found:
        raise StepError(f"There is nothing to release in {folder}.")
    for one in found:
        if one.version != __version__:
            raise StepError(f"{one.path.name} is not of version {__version__}.")
        if problem := why_untested(one.path):
            raise StepError(problem)
    (folder / DOCUMENT).unlink(missing_ok=True)
    sums = folder / SUMS
    sums.write_text("".join(f"{checksum(one.path)}  {one.path.name}\n" for one in found), encoding="ascii", newline="\n")
    if not keys:
        print(f"  NOT SIGNED: there is no key ({KEY_FILE_VARIABLE} or {KEY_VARIABLE}), so there is no {DOCUMENT}, and no "
              "installed program will learn of this release. Publish it as a draft at most.", file=sys.stderr, flush=True)
        return sums
    document = folder / DOCUMENT
    document.write_bytes(_signed(_content(found, __version__, _notes(notes, __version__), url), keys))
    return document


def _notes(folder: Path, version: str) -> str:
    path = folder / f"{version}.md"
    if not path.exists():
        raise StepError(f"There are no notes for version {version}: write docs/release-notes/{version}.md.")
    return path.read_text(encoding="utf-8")


def _content(found: Sequence[Published], version: str, notes: str, url: str) -> dict[str, Any]:
    base = f"{url.rstrip('/')}/" if url else ""
    return {
        "version": version,
        "notes": notes,
        "artefacts": [
            {
                "platform": one.platform, "file_name": one.path.name, "url": base + one.path.name,
                "size_bytes": one.path.stat().st_size, "sha256": checksum(one.path),
                "minimum_version": one.floor[0], "minimum_system": one.floor[1],
            }
            for one in found
        ],
    }


def _signed(content: dict[str, Any], keys: Sequence[Ed25519PrivateKey]) -> bytes:
    """The envelope of a list of releases, dated now, and read back by the program's own code before anybody else reads it."""
    return sign_dated(content, RELEASES.payload_type, keys)


def sign_dated(content: dict[str, Any], payload_type: str, keys: Sequence[Ed25519PrivateKey]) -> bytes:
    """A signed document with `number`, `published` and `expires` of this moment. StepError if the program would not take it.

    The number is the time in seconds: it grows by itself, so no place has to remember the last one.
    """
    now = datetime.now(UTC).replace(microsecond=0)
    dated = content | {
        "number": int(now.timestamp()), "published": now.isoformat(), "expires": (now + timedelta(days=VALID_DAYS)).isoformat()}
    envelope = sign_with_all(msgspec.json.format(msgspec.json.encode(dated)), payload_type, keys)
    _require_acceptance(envelope, payload_type, _trust_of(keys))
    if os.environ.get(TRUST_VARIABLE):
        _require_acceptance(envelope, payload_type, load_trust(Path(os.environ[TRUST_VARIABLE])))
    return envelope


def _trust_of(keys: Sequence[Ed25519PrivateKey]) -> Trust:
    return trust_of(TrustFile(keys=tuple(KeyEntry(**public_entry(key)) for key in keys)))


def _require_acceptance(envelope: bytes, payload_type: str, trust: Trust) -> None:
    with tempfile.TemporaryDirectory() as nowhere:
        seen = SeenNumbers(Path(nowhere) / "seen.json")
        try:
            if payload_type == RELEASES.payload_type:
                accepted(envelope, RELEASES, trust, seen)
            else:
                accepted(envelope, PACKS, trust, seen)
        except AppError as error:
            raise StepError(f"The program would not believe this document: {error} {error.detail}".strip()) from error


def renew(path: Path, keys: Sequence[Ed25519PrivateKey], trust: Trust) -> None:
    """Sign a document again with today's dates, if it carries a signature that `trust` believes; the file is replaced."""
    data = path.read_bytes()
    failures = []
    for payload_type in (RELEASES.payload_type, PACKS.payload_type):
        try:
            payload = verify(data, payload_type, trust.keys, trust.revoked)
            require_form(payload, payload_type)
        except AppError as error:
            failures.append(f"{error} {error.detail}".strip())
            continue
        path.write_bytes(sign_dated(json.loads(payload), payload_type, keys))
        return
    raise StepError(f"{path.name} is not renewed: {failures[0]}")


def main(arguments: Sequence[str]) -> int:
    """`renew FILE`: 0 if it was signed again, 1 with a sentence if not."""
    if len(arguments) != 2 or arguments[0] != "renew":
        print((__doc__ or "").strip(), file=sys.stderr)
        return 2
    try:
        keys = private_keys(os.environ)
        if not keys:
            raise StepError(f"There is no key: set {KEY_FILE_VARIABLE} or {KEY_VARIABLE}.")
        if not os.environ.get(TRUST_VARIABLE):
            raise StepError(f"Set {TRUST_VARIABLE} to the trust.json of the program, which says whose signature is renewed.")
        renew(Path(arguments[1]), keys, load_trust(Path(os.environ[TRUST_VARIABLE])))
    except (StepError, AppError, OSError) as failure:
        print(f"release: {failure}", file=sys.stderr)
        return 1
    print(f"{arguments[1]} is signed again, for {VALID_DAYS} days.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
