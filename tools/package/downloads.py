"""What a release job fetches beside packages: files of packaging/downloads.json, believed by their SHA-256 alone."""

from __future__ import annotations

import json
import shutil
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from tools.dev.console import StepError
from tools.dev.environment import ROOT, cache_dir
from tools.package.smoke_report import checksum

LIST = ROOT / "packaging" / "downloads.json"
TIMEOUT_S = 60


@dataclass(frozen=True)
class Download:
    """A file at an address, and the only content of it that is taken."""

    version: str
    url: str
    sha256: str


def download_for(name: str, platform: str) -> Download:
    """The file of this name for a platform (`linux-x64`); StepError where there is none."""
    known = json.loads(LIST.read_text(encoding="utf-8"))
    try:
        return Download(**known[name][platform])
    except KeyError as failure:
        raise StepError(f"packaging/downloads.json has no {name} for {platform}.") from failure


def fetch(download: Download) -> Path:
    """The file, fetched or kept from an earlier time; StepError where it cannot be had or is another than expected."""
    target = cache_dir() / "downloads" / f"{download.sha256[:16]}-{download.url.rsplit('/', 1)[1]}"
    if target.exists() and checksum(target) == download.sha256:
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(target.name + ".part")
    try:
        with urllib.request.urlopen(download.url, timeout=TIMEOUT_S) as answer, part.open("wb") as file:
            shutil.copyfileobj(answer, file)
    except (OSError, ValueError) as failure:
        part.unlink(missing_ok=True)
        raise StepError(f"{download.url} cannot be fetched: {failure}.") from failure
    found = checksum(part)
    if found != download.sha256:
        part.unlink()
        raise StepError(f"{download.url} is not the file that was chosen: its SHA-256 is {found}.")
    part.replace(target)
    return target
