"""A runtime pack as files: its folder with `engine.json`, its archive, and its entry for the signed list of packs.

The archive is a tar compressed by xz: NVIDIA's libraries become a fifth smaller than in a zip, a tar has one
table of members and not two that can differ, it is read from front to back with little memory, and Python 3.11 has all of
it (zstd came with 3.14). Names, order, times and owners are always the same, so that equal files make an equal archive.
Only the standard library is used.
"""

from __future__ import annotations

import hashlib
import json
import lzma
import shutil
import subprocess
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tools.dev.console import StepError

MANIFEST_NAME = "engine.json"
ARCHIVE_SUFFIX = ".tar.xz"
XZ_PRESET = 6
"""A dictionary of 8 MiB: the reader needs 9 MiB of memory. A larger one gains 3% on cuBLAS."""


@dataclass(frozen=True)
class Pack:
    """What a pack says of itself, apart from its files."""

    pack_id: str
    version: str
    label: str
    platform: str
    """`linux-x64`."""
    adds_to: str
    """`engine_id` of the build that it belongs to; no other one takes it."""
    bindings: str
    backends: tuple[str, ...]
    preload: tuple[str, ...] = ()
    """Libraries that are loaded before the back ends, in this order."""

    @property
    def name(self) -> str:
        """Of its folder and archive."""
        return f"{self.pack_id}-{self.version}-{self.platform}"


def lay_out(pack: Pack, files: Mapping[str, Path], folder: Path) -> Path:
    """Make the pack's folder anew from `files` (name inside: where it is now), with `engine.json`; returns it."""
    if folder.exists():
        shutil.rmtree(folder)
    for name, source in sorted(files.items()):
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
        target.chmod(0o644)
    missing = sorted({*pack.backends, *pack.preload} - set(files))
    if missing:
        raise StepError(f"The pack has no file {missing[0]}.")
    manifest = {
        "engine_id": f"{pack.pack_id}-{pack.version}", "label": pack.label, "bindings": pack.bindings, "adds_to": pack.adds_to,
        "backends": list(pack.backends), "preload": list(pack.preload), "files": describe_files(folder),
    }
    (folder / MANIFEST_NAME).write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
    return folder


def describe_files(folder: Path) -> list[dict[str, str | int]]:
    """Every file of a folder but the manifest: path, size and SHA-256."""
    found = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST_NAME)
    return [_description(path, folder) for path in found]


def write_archive(folder: Path, archive: Path) -> Path:
    """Pack a folder; through the program xz where it is there, because that uses every core."""
    plain = archive.with_suffix("")
    with tarfile.open(plain, "w", format=tarfile.USTAR_FORMAT) as tar:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            entry = tarfile.TarInfo(path.relative_to(folder).as_posix())
            entry.size, entry.mode = path.stat().st_size, 0o644
            with path.open("rb") as file:
                tar.addfile(entry, file)
    try:
        _compress(plain, archive)
    finally:
        plain.unlink()
    return archive


def entry_of(pack: Pack, archive: Path, folder: Path, needs: Mapping[str, str]) -> dict[str, object]:
    """The pack's entry in the list of packs (release/pack_document.py); `needs` are the fields about card, driver, licence.

    The archive's address is its name: it lies beside the list.
    """
    files = [*describe_files(folder), _description(folder / MANIFEST_NAME, folder)]
    return {
        "pack_id": pack.pack_id, "engine_id": pack.adds_to, "platform": pack.platform, "version": pack.version,
        "label": pack.label,
        "archive": {"url": archive.name, "size_bytes": archive.stat().st_size, "sha256": sha256_of(archive)},
        "unpacked_bytes": sum(int(file["size_bytes"]) for file in files), "files": files, **needs,
    }


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _description(path: Path, folder: Path) -> dict[str, str | int]:
    return {
        "path": path.relative_to(folder).as_posix(), "size_bytes": path.stat().st_size, "sha256": sha256_of(path)}


def _compress(plain: Path, archive: Path) -> None:
    if shutil.which("xz"):
        with archive.open("wb") as target:
            command = ["xz", f"-{XZ_PRESET}", "-T0", "--block-size=64MiB", "--stdout", str(plain)]
            subprocess.run(command, check=True, stdout=target)
        return
    with plain.open("rb") as source, lzma.open(archive, "wb", preset=XZ_PRESET) as target:
        shutil.copyfileobj(source, target, 1024 * 1024)
