"""Keys that releases and runtime packs are signed with (Ed25519).

    python -m tools.package.keys make FILE                 a new private key; FILE is readable by its owner alone
    python -m tools.package.keys public FILE               its id and public key, as trust.json has them
    python -m tools.package.keys trust [options] FILE ...  a whole trust.json for these keys, for LOCALAI_TRUST_FILE
    python -m tools.package.keys sign KIND FILE            the envelope of a document (releases or packs), on standard output

`trust` and `public` take private keys or what `public` printed. Several keys may be in use at once: that is how one is replaced
(docs/releasing.md). `sign` takes its keys from LOCALAI_RELEASE_KEY_FILE or LOCALAI_RELEASE_KEY.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from localai_app.errors import AppError
from localai_app.release.acceptance import PACKS, RELEASES, parsed
from localai_app.release.envelope import key_id_of, sign, with_signature_of
from localai_app.release.strict_json import decode_strictly
from localai_app.release.trust import TrustFile, trust_of
from tools.dev.console import StepError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

KEY_VARIABLE = "LOCALAI_RELEASE_KEY"
KEY_FILE_VARIABLE = "LOCALAI_RELEASE_KEY_FILE"
_PEM = re.compile(r"-----BEGIN PRIVATE KEY-----.*?-----END PRIVATE KEY-----", re.DOTALL)


def make_key(path: Path) -> None:
    """Write a new private key that nobody else can read; StepError if the file is there already, so that no key is lost."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    text = Ed25519PrivateKey.generate().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as failure:
        raise StepError(f"{path} is there already; a key is never written over.") from failure
    with os.fdopen(handle, "wb") as file:
        file.write(text)


def private_keys(variables: Mapping[str, str]) -> list[Ed25519PrivateKey]:
    """The keys to sign with: from the files that LOCALAI_RELEASE_KEY_FILE names, else from LOCALAI_RELEASE_KEY itself.

    An empty list if neither is set; StepError, which never quotes what it read, for what is no key or open to others.
    """
    texts = []
    for name in filter(None, variables.get(KEY_FILE_VARIABLE, "").split(os.pathsep)):
        texts.append(_read_private(Path(name)))
    if not texts and variables.get(KEY_VARIABLE, "").strip():
        texts = [variables[KEY_VARIABLE]]
    return [key for text in texts for key in _keys_in(text)]


def _read_private(path: Path) -> str:
    try:
        if os.name == "posix" and path.stat().st_mode & 0o077:
            raise StepError(f"{path} can be read by others: `chmod 600` it, and think about who may have a copy.")
        return path.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as failure:
        raise StepError(f"The key {path} cannot be read ({type(failure).__name__}).") from failure


def _keys_in(text: str) -> list[Ed25519PrivateKey]:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    blocks = _PEM.findall(text)
    if not blocks:
        raise StepError("What is given as a private key is none: it has no block BEGIN PRIVATE KEY.")
    keys = []
    for block in blocks:
        try:
            # A secret of a CI service may have lost its line ends; base64 does not care where they are.
            body = re.sub(r"\s+", "", block[len("-----BEGIN PRIVATE KEY-----"):-len("-----END PRIVATE KEY-----")])
            key = load_pem_private_key(
                f"-----BEGIN PRIVATE KEY-----\n{body}\n-----END PRIVATE KEY-----\n".encode("ascii"), password=None)
        except (ValueError, TypeError):
            raise StepError("What is given as a private key is damaged.") from None
        if not isinstance(key, Ed25519PrivateKey):
            raise StepError("A private key is of another kind; only Ed25519 keys sign releases.")
        keys.append(key)
    return keys


def public_entry(key: Ed25519PrivateKey) -> dict[str, str]:
    """The public half as trust.json lists it."""
    public = key.public_key().public_bytes_raw()
    return {"key_id": key_id_of(public), "public_key": base64.b64encode(public).decode("ascii")}


def require_form(payload: bytes, payload_type: str) -> None:
    """AppError unless a payload has the form that its type promises."""
    if payload_type == PACKS.payload_type:
        parsed(payload, PACKS)
    else:
        parsed(payload, RELEASES)


def sign_with_all(payload: bytes, payload_type: str, keys: Sequence[Ed25519PrivateKey]) -> bytes:
    """One envelope with a signature of every key; while a key is being replaced, the old and the new one sign."""
    first, *others = keys
    envelope = sign(payload, payload_type, first, public_entry(first)["key_id"])
    for key in others:
        envelope = with_signature_of(envelope, key, public_entry(key)["key_id"])
    return envelope


def trust_document(entries: Sequence[Mapping[str, str]], release_url: str, packs_url: str, revoked: Sequence[str]) -> bytes:
    """A trust.json, checked by the code that will read it; StepError for addresses or keys that it would refuse."""
    document = {"keys": list(entries), "revoked": list(revoked), "release_url": release_url, "packs_url": packs_url}
    text = json.dumps(document, indent=2).encode() + b"\n"
    try:
        trust = trust_of(decode_strictly(text, TrustFile, len(text)))
    except ValueError as error:
        raise StepError(f"This would be no valid trust.json: {error}.") from error
    if not trust.is_configured:
        raise StepError("A program with this trust.json could check nothing: it takes a key and an address.")
    return text


def entries_of(paths: Sequence[Path]) -> list[dict[str, str]]:
    """Public halves from files that hold private keys or what `public` printed."""
    entries: list[dict[str, str]] = []
    for path in paths:
        try:
            text = path.read_text(encoding="utf-8")
            if _PEM.search(text):
                entries += [public_entry(key) for key in _keys_in(_read_private(path))]
                continue
            for entry in map(json.loads, text.splitlines()):
                entries.append({"key_id": str(entry["key_id"]), "public_key": str(entry["public_key"])})
        except (ValueError, KeyError, TypeError) as failure:
            raise StepError(f"{path} is neither a private key nor a public one.") from failure
    return entries


def main(arguments: Sequence[str]) -> int:
    """The command line; 1 with a sentence if something is wrong."""
    options = _parser().parse_args(arguments)
    try:
        _run(options)
    except (StepError, OSError) as failure:
        print(f"keys: {failure}", file=sys.stderr)
        return 1
    return 0


def _run(options: argparse.Namespace) -> None:
    if options.command == "make":
        make_key(options.file)
        [entry] = entries_of([options.file])
        print(f"Key {entry['key_id']} is in {options.file}. Keep it where no build and no repository has it.")
    elif options.command == "public":
        for entry in entries_of([options.file]):
            print(json.dumps(entry))
    elif options.command == "trust":
        document = trust_document(entries_of(options.files), options.release_url, options.packs_url, options.revoke)
        sys.stdout.write(document.decode())
    else:
        keys = private_keys(os.environ)
        if not keys:
            raise StepError(f"There is no key: set {KEY_FILE_VARIABLE} or {KEY_VARIABLE}.")
        payload = options.file.read_bytes()
        payload_type = PACKS.payload_type if options.kind == "packs" else RELEASES.payload_type
        try:
            require_form(payload, payload_type)
        except AppError as error:
            raise StepError(f"{options.file} is not signed: {error} {error.detail}".strip()) from error
        sys.stdout.write(sign_with_all(payload, payload_type, keys).decode())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="tools.package.keys", description="Keys that releases and packs are signed with.")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, words in (("make", "make a private key"), ("public", "print the public half")):
        commands.add_parser(name, help=words).add_argument("file", type=Path)
    trust = commands.add_parser("trust", help="print a trust.json")
    trust.add_argument("files", type=Path, nargs="+")
    trust.add_argument("--release-url", default="", help="address of release.json")
    trust.add_argument("--packs-url", default="", help="address of packs.json")
    trust.add_argument("--revoke", action="append", default=[], metavar="KEY_ID", help="a key that counts no more")
    sign = commands.add_parser("sign", help="print the envelope of a document")
    sign.add_argument("kind", choices=("releases", "packs"))
    sign.add_argument("file", type=Path)
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
