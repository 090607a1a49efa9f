"""The package for Debian, Ubuntu and their relatives: dist/localai-app_<version>_<architecture>.deb."""

from __future__ import annotations

import fnmatch
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tools.dev.console import StepError
from tools.dev.environment import ROOT
from tools.package import bundle, linux_files
from tools.package.debian_depends import RECOMMENDED, SUGGESTED, depends_of
from tools.package.glibc import elf_files, read_elf
from tools.package.linux_files import PROGRAM

LIBRARY_FOLDER = Path("usr/lib") / PROGRAM
LEFT_TO_THE_SYSTEM = ("libxcb-*.so.*", "libxkbcommon*.so.*")
"""Libraries that the bundle has for desktops without them; here they are dependencies, and the system keeps them up to date."""
OPTIONAL_LIBRARIES = frozenset({"libvulkan.so.1"})
"""The Vulkan back end is passed over where this one is not installed."""

CONTROL = """\
Package: {package}
Version: {version}
Architecture: {architecture}
Maintainer: {maintainer}
Installed-Size: {installed_kib}
Depends: {depends}
Recommends: {recommends}
Suggests: {suggests}
Section: science
Priority: optional
Description: run language models on your own computer
 Local AI finds out which language models this computer can run, says so
 before anything is downloaded, fetches a model so that no byte is lost, and
 chats with it, with the speed of every answer. It comes with llama.cpp for
 all processors and, through Vulkan, for graphics cards of all makers.
 .
 Everything runs on this computer: after the download of a model no internet
 connection is needed.
"""


def missing() -> str:
    """What this computer lacks for it."""
    return linux_files.missing_for("dpkg-deb dpkg")


def file_name() -> str:
    """What the package is called, by version and architecture."""
    return f"{PROGRAM}_{linux_files.release()[0]}_{linux_files.machine()}.deb"


def build() -> Path:
    """Make it from the application bundle, or take the one made before from the same files."""
    folder = bundle.build()

    def make(target: Path) -> None:
        tree = target.parent / "tree"
        write_tree(folder, tree)
        pack(tree, target)

    return linux_files.kept(file_name(), folder, make)


def write_tree(folder: Path, tree: Path) -> None:
    """Everything that is installed, and DEBIAN/control, from the application bundle in `folder`."""
    library = tree / LIBRARY_FOLDER
    shutil.copytree(folder, library, symlinks=True, ignore=left_out(folder))
    (tree / "usr" / "bin").mkdir()
    (tree / "usr" / "bin" / PROGRAM).symlink_to(Path("..") / "lib" / PROGRAM / PROGRAM)
    linux_files.write_share(tree / "usr" / "share")
    linux_files.write_debian_docs(tree / "usr" / "share")
    sizes = [path.lstat().st_size for path in tree.rglob("*") if path.is_file() and not path.is_symlink()]
    depends = depends_of([read_elf(path) for path in elf_files(library)], OPTIONAL_LIBRARIES)
    control = CONTROL.format(
        package=PROGRAM, version=linux_files.release()[0], architecture=linux_files.machine(),
        maintainer=linux_files.maintainer(), installed_kib=sum(-(-size // 1024) for size in sizes),
        depends=", ".join(depends), recommends=", ".join(RECOMMENDED), suggests=", ".join(SUGGESTED))
    (tree / "DEBIAN").mkdir()
    (tree / "DEBIAN" / "control").write_text(control, encoding="utf-8")
    (tree / "DEBIAN" / "md5sums").write_text(_md5sums(tree), encoding="utf-8")
    linux_files.settle(tree)


def pack(tree: Path, target: Path, *, compression: Sequence[str] = ("-Zxz", "-z2")) -> None:
    """Make the package of a tree: the same tree gives the same bytes, on any number of cores."""
    _, epoch_s = linux_files.release()
    environment = {
        "PATH": os.environ.get("PATH", ""), "LC_ALL": "C", "SOURCE_DATE_EPOCH": str(epoch_s),
        # As a variable, because dpkg of Ubuntu 22.04 (1.21.1) has no such option.
        "DPKG_DEB_THREADS_MAX": "2"}
    command = ["dpkg-deb", "--root-owner-group", *compression, "--build", str(tree), str(target)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=ROOT)
    if done.returncode:
        raise StepError(f"dpkg-deb failed: {done.stderr.strip()}")


def left_out(folder: Path) -> _Ignore:
    """For copytree: the libraries of the bundle that this package depends on instead."""
    return _Ignore(folder)


class _Ignore:
    """Which names of a folder are not copied."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __call__(self, place: str, names: list[str]) -> set[str]:
        if self._folder / "engine" in [Path(place), *Path(place).parents]:
            return set()
        return {name for name in names if any(fnmatch.fnmatchcase(name, pattern) for pattern in LEFT_TO_THE_SYSTEM)}


def _md5sums(tree: Path) -> str:
    import hashlib

    lines = []
    for path in sorted((tree / "usr").rglob("*")):
        if path.is_file() and not path.is_symlink():
            with path.open("rb") as file:
                lines.append(f"{hashlib.file_digest(file, 'md5').hexdigest()}  {path.relative_to(tree).as_posix()}\n")
    return "".join(lines)
