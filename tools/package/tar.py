"""The portable archive for any Linux: dist/localai-app-<version>-linux-<processor>.tar.xz, unpacked and started in place."""

from __future__ import annotations

import shutil
import subprocess
import tarfile
from pathlib import Path

from tools.dev.console import StepError
from tools.package import bundle, linux_files
from tools.package.linux_files import PROGRAM

REGISTER = "register.sh"
BLOCK_BYTES = 24 * 1024**2
"""xz compresses blocks of this size each for itself, so that the outcome does not depend on the number of cores."""


def missing() -> str:
    """What this computer lacks for it."""
    return linux_files.missing_for("xz xz-utils")


def file_name() -> str:
    """What the archive is called, by version and processor."""
    return f"{PROGRAM}-{linux_files.release()[0]}-linux-{linux_files.processor()}.tar.xz"


def build() -> Path:
    """Make it from the application bundle, or take the one made before from the same files."""
    folder = bundle.build()

    def make(target: Path) -> None:
        tree = target.parent / PROGRAM
        write_tree(folder, tree)
        write_tar(tree, target.with_suffix(""))
        compress(target.with_suffix(""))

    return linux_files.kept(file_name(), folder, make)


def write_tree(folder: Path, tree: Path) -> None:
    """The folder that people unpack: the bundle as it is, the files for menus in `share`, and the script for these."""
    shutil.copytree(folder, tree, symlinks=True)
    linux_files.write_share(tree / "share")
    shutil.copy(linux_files.SOURCES / REGISTER, tree / REGISTER)
    linux_files.settle(tree)


def write_tar(tree: Path, target: Path) -> None:
    """A tar archive of a tree under its own name: in the order of names, owned by root, with the dates of the files."""

    def owned_by_root(member: tarfile.TarInfo) -> tarfile.TarInfo:
        member.uid = member.gid = 0
        member.uname = member.gname = "root"
        return member

    with tarfile.open(target, "w", format=tarfile.GNU_FORMAT) as archive:
        archive.add(tree, tree.name, recursive=False, filter=owned_by_root)
        for path in sorted(tree.rglob("*")):
            archive.add(path, path.relative_to(tree.parent), recursive=False, filter=owned_by_root)


def compress(archive: Path) -> None:
    """Replace an archive by its compressed form."""
    command = ["xz", "-2", "--threads=2", f"--block-size={BLOCK_BYTES}", str(archive)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise StepError(f"xz failed: {done.stderr.strip()}")
