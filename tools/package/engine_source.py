"""llama.cpp's sources: from the pinned archive of llama-cpp-python, hash checked by pip, with our patches."""

from __future__ import annotations

import re
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from tools.dev.console import StepError
from tools.dev.engine import LOCK, engine_requirement
from tools.dev.environment import ROOT, clean_environment, pip

PATCHES = ROOT / "packaging" / "patches"
_INSIDE = ("vendor", "llama.cpp")
_HUNK = re.compile(r"^@@ -(\d+)(?:,(\d+))? \+\d+(?:,\d+)? @@")


def patches() -> list[Path]:
    """In the order in which they are applied."""
    return sorted(PATCHES.glob("*.patch"))


def fetch(python: Path, folder: Path) -> Path:
    """Download the archive that requirements/engine.txt names (75 MB) with the pip of the build tools."""
    pip(python, "engine-source", "download", "--no-deps", "--no-build-isolation", "--progress-bar", "off",
        "--no-binary", engine_requirement().split("==")[0], "--require-hashes", "-r", str(LOCK), "-d", str(folder),
        env=clean_environment())
    found = sorted(folder.glob("*.tar.gz"))
    if len(found) != 1:
        raise StepError(f"The archive of {engine_requirement()} was not downloaded.")
    return found[0]


def unpack(archive: Path, folder: Path, more_patches: Sequence[Path] = ()) -> None:
    """llama.cpp alone, with plain files only, patched."""
    with tarfile.open(archive) as opened:
        for member in opened:
            parts = PurePosixPath(member.name).parts
            if parts[1:3] != _INSIDE or not member.isfile() or ".." in parts:
                continue
            target = folder.joinpath(*parts[3:])
            target.parent.mkdir(parents=True, exist_ok=True)
            content = opened.extractfile(member)
            assert content is not None
            target.write_bytes(content.read())
            target.chmod(0o755 if member.mode & 0o100 else 0o644)
    for path in (*patches(), *more_patches):
        apply_patch(path, folder)


def apply_patch(patch: Path, folder: Path) -> None:
    """Apply a unified diff (`a/` and `b/` before the names), every line where it says; StepError if any differs."""
    for name, hunks in _files_of(patch.read_text(encoding="utf-8").splitlines(keepends=True)):
        target = folder / name
        lines = target.read_text(encoding="utf-8").splitlines(keepends=True) if target.is_file() else []
        shift = 0
        for start, hunk in hunks:
            old = [line[1:] for line in hunk if line[0] in " -"]
            new = [line[1:] for line in hunk if line[0] in " +"]
            at = start - 1 + shift
            if not old or lines[at:at + len(old)] != old:
                raise StepError(f"{patch.name} does not fit {name} of {engine_requirement()} at line {start}.")
            lines[at:at + len(old)] = new
            shift += len(new) - len(old)
        target.write_text("".join(lines), encoding="utf-8")


def _files_of(lines: Sequence[str]) -> Iterator[tuple[str, list[tuple[int, list[str]]]]]:
    """Each file's name with its hunks: the first line's number, and the lines with their signs."""
    name, hunks = "", list[tuple[int, list[str]]]()
    for line in lines:
        if line.startswith("+++ "):
            if name:
                yield name, hunks
            name, hunks = line.split()[1].removeprefix("b/"), []
        elif found := _HUNK.match(line):
            hunks.append((int(found[1]), []))
        elif hunks and line[0] in " +-" and not line.startswith("--- "):
            hunks[-1][1].append(line)
    if name:
        yield name, hunks
