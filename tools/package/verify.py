"""`python -m tools.package.verify DIR [--trust FILE]`: is this release what its publishers signed?

Reads release.json with the program's own code, and compares every file that it lists, and SHA256SUMS, with what lies in DIR.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from localai_app.errors import AppError
from localai_app.release.acceptance import RELEASES, accepted
from localai_app.release.memory import SeenNumbers
from localai_app.release.release_document import ReleaseDocument
from localai_app.release.trust import Trust, load_trust
from tools.dev.console import StepError
from tools.package.artefacts import all_published
from tools.package.release import DOCUMENT, SUMS
from tools.package.smoke_report import checksum
from tools.package.trust_file import TRUST_VARIABLE


def verify_release(folder: Path, trust: Trust) -> ReleaseDocument:
    """The release document, if it is signed and every file is there and unchanged; StepError names the first fault."""
    if not (folder / DOCUMENT).is_file():
        raise StepError(f"There is no {DOCUMENT} in {folder}: this release is not signed.")
    with tempfile.TemporaryDirectory() as nowhere:
        try:
            document = accepted(
                (folder / DOCUMENT).read_bytes(), RELEASES, trust, SeenNumbers(Path(nowhere) / "seen.json"))
        except AppError as error:
            raise StepError(f"{error} {error.detail}".strip()) from error
    listed = {artefact.file_name: artefact for artefact in document.artefacts}
    for artefact in document.artefacts:
        path = folder / artefact.file_name
        if not path.is_file():
            raise StepError(f"{artefact.file_name} is missing.")
        if path.stat().st_size != artefact.size_bytes or checksum(path) != artefact.sha256:
            raise StepError(f"{artefact.file_name} is not the file that was signed.")
    for one in all_published(folder):
        if one.path.name not in listed:
            raise StepError(f"{one.path.name} lies there, but was not signed.")
    _require_sums(folder, {name: artefact.sha256 for name, artefact in listed.items()})
    return document


def _require_sums(folder: Path, expected: dict[str, str]) -> None:
    try:
        lines = (folder / SUMS).read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError) as failure:
        raise StepError(f"{SUMS} cannot be read ({type(failure).__name__}).") from failure
    found = {name: digest for digest, _gap, name in (line.partition("  ") for line in lines)}
    if found != expected:
        raise StepError(f"{SUMS} says something else than {DOCUMENT}.")


def main(arguments: Sequence[str]) -> int:
    """The command line; 0 if all is as it was signed, 1 with a sentence if not."""
    parser = argparse.ArgumentParser(prog="tools.package.verify", description="Check a release by its signature.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--trust", type=Path, default=os.environ.get(TRUST_VARIABLE) or None,
                        help=f"trust.json with the keys to believe (else {TRUST_VARIABLE}, else the repository's)")
    options = parser.parse_args(arguments)
    try:
        document = verify_release(options.folder, load_trust(options.trust))
    except (StepError, AppError) as failure:
        print(f"NOT verified: {failure}", file=sys.stderr)
        return 1
    print(f"Verified: Local AI {document.version}, number {document.number}, {len(document.artefacts)} files, "
          f"signed {document.published:%Y-%m-%d}, believed until {document.expires:%Y-%m-%d}.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
