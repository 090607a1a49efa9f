"""The report of a smoke test: written beside the artefact, asked for by the release."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

REPORT_SUFFIX = ".self-check.json"


@dataclass(frozen=True)
class SmokeReport:
    """What came of `--self-check` inside one artefact."""

    artefact: str
    sha256: str
    """Of the file that was tested, or of everything in the folder."""
    ran_in: str
    """The system, or the container image."""
    seconds: float
    exit_status: int | None
    problem: str
    """What went wrong in one sentence; empty if all is well."""
    report: dict[str, Any]
    """What the program printed."""

    @property
    def ok(self) -> bool:
        """Whether the self-check passed."""
        return not self.problem


def write_report(path: Path, report: SmokeReport) -> None:
    """Keep a report as JSON."""
    path.write_text(json.dumps(asdict(report) | {"ok": report.ok}, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def why_untested(artefact: Path) -> str:
    """Why an artefact cannot count as tested, in one sentence; empty if its very bytes passed."""
    path = artefact.with_name(artefact.name + REPORT_SUFFIX)
    if not path.exists():
        return f"{artefact.name} has no report of a self-check: run `python -m tools.package.smoke` on it."
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        inner = document["report"]
        passed = document["ok"] is True and document["problem"] == "" and document["exit_status"] == 0 and inner["ok"] is True
        tested = document["sha256"]
    except (ValueError, KeyError, TypeError) as error:
        return f"{path.name} cannot be read: {type(error).__name__}."
    if not passed:
        return f"{artefact.name} failed its self-check: {document['problem']}"
    if tested != checksum(artefact):
        return f"{artefact.name} is not the file that was tested: it was changed after its self-check."
    return ""


def checksum(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal; of a folder, over the names and contents of all that is in it."""
    if path.is_dir():
        lines = [f"{each.relative_to(path).as_posix()}\0{_content(each)}\n" for each in sorted(path.rglob("*"))]
        return hashlib.sha256("".join(lines).encode()).hexdigest()
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _content(path: Path) -> str:
    if path.is_symlink():
        return f"link to {path.readlink()}"
    if path.is_dir():
        return "folder"
    return checksum(path)
