"""Whether Windows programs and catalogs carry the signature of whom they should, up to a root that this system trusts.

osslsigncode compares the digest of the file with the signed one and checks the chain of certificates. Revocation lists are
not asked for, because building works without them; the time stamp stands for certificates that have ended since.
"""

from __future__ import annotations

import functools
import hashlib
import re
import shutil
import subprocess
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tools.dev.console import StepError

_SIGNER = re.compile(r"Signer's certificate:\s*-+\s*Signer #0:\s*Subject: (?P<subject>.+)")


def missing() -> str:
    """What this computer lacks for checking signatures; empty if nothing."""
    return "" if shutil.which("osslsigncode") else "Signatures cannot be checked without osslsigncode (package osslsigncode)."


def check_signed(paths: Iterable[Path], organisation: str) -> None:
    """StepError for the first file that is not signed by `organisation` or differs from what was signed."""
    with ThreadPoolExecutor(2) as pool:
        for problem in pool.map(lambda path: _problem(path, organisation), paths):
            if problem:
                raise StepError(problem)


def unlisted(paths: Iterable[Path], catalog: Path, organisation: str) -> list[Path]:
    """The files whose content is not in a catalog; StepError unless the catalog is signed. An empty file needs no entry."""
    check_signed([catalog], organisation)
    listed = catalog.read_bytes()
    return [
        path for path in paths if (content := path.read_bytes())
        and hashlib.sha256(content).digest() not in listed and hashlib.sha1(content).digest() not in listed]


@functools.cache
def _options() -> tuple[str, ...]:
    """Newer versions of osslsigncode ask for revocation lists unless told otherwise; 2.5 has no such option."""
    done = subprocess.run(["osslsigncode", "verify", "--help"], capture_output=True, text=True, check=False)
    return ("-ignore-crl",) if "-ignore-crl" in done.stdout + done.stderr else ()


def _problem(path: Path, organisation: str) -> str:
    done = subprocess.run(
        ["osslsigncode", "verify", *_options(), "-in", str(path)], capture_output=True, text=True, errors="replace",
        check=False)
    if done.returncode:
        reason = "has no signature" if "No signature found" in done.stdout else "is not what was signed, or by nobody known"
        return f"{path.name} {reason}."
    signer = _SIGNER.search(done.stdout)
    if signer is None or f"/O={organisation}/" not in f"{signer['subject']}/":
        return f"{path.name} is signed by {signer['subject'] if signer else 'nobody'}, and not by {organisation}."
    return ""
