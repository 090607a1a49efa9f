"""`python -m tools.package.pack_list DIR`: signs the list of the runtime packs in DIR, `packs.json`.

Each archive lies there with its `.entry.json`, as `tools.package.cuda_pack` writes it. Keys come from LOCALAI_RELEASE_KEY_FILE
or LOCALAI_RELEASE_KEY; without one nothing is written, because the program believes no unsigned list.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from localai_app.release.acceptance import PACKS
from tools.dev.console import StepError
from tools.package.keys import KEY_FILE_VARIABLE, KEY_VARIABLE, private_keys
from tools.package.release import sign_dated
from tools.package.smoke_report import checksum

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

ENTRY_SUFFIX = ".entry.json"
LIST = "packs.json"


def make_list(folder: Path, keys: Sequence[Ed25519PrivateKey]) -> Path:
    """Check each archive against its entry and write the signed list; StepError in words."""
    if not keys:
        raise StepError(f"There is no key: set {KEY_FILE_VARIABLE} or {KEY_VARIABLE}.")
    entries = [_entry(path) for path in sorted(folder.glob(f"*{ENTRY_SUFFIX}"))]
    if not entries:
        raise StepError(f"There is no pack with its {ENTRY_SUFFIX} in {folder}.")
    path = folder / LIST
    path.write_bytes(sign_dated({"packs": entries}, PACKS.payload_type, keys))
    return path


def _entry(path: Path) -> dict[str, Any]:
    try:
        entry: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        archive = path.parent / entry["archive"]["url"].rsplit("/", 1)[-1]
        expected = entry["archive"]["size_bytes"], entry["archive"]["sha256"]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as failure:
        raise StepError(f"{path.name} is no entry of a pack ({type(failure).__name__}).") from failure
    if not archive.is_file():
        raise StepError(f"{archive.name}, which {path.name} describes, is not there.")
    if (archive.stat().st_size, checksum(archive)) != expected:
        raise StepError(f"{archive.name} is not the archive that {path.name} describes.")
    return entry


def main(arguments: Sequence[str]) -> int:
    """The command line; 0 if the list was signed, 1 with a sentence if not."""
    parser = argparse.ArgumentParser(prog="tools.package.pack_list", description="Sign the list of runtime packs.")
    parser.add_argument("folder", type=Path)
    try:
        print(make_list(parser.parse_args(arguments).folder, private_keys(os.environ)))
    except StepError as failure:
        print(f"pack_list: {failure}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
