"""What a .deb has to depend on, from what the files in it ask of the system.

The names are asked of dpkg on the building computer. Debian and Ubuntu renamed some packages when time became 64 bits wide
(`libglib2.0-0` is `libglib2.0-0t64` in newer releases), so both names are given where that happened.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tools.dev.console import StepError
from tools.package.elf import ElfFile

T64_RENAMED = frozenset({
    "libasound2", "libatk-bridge2.0-0", "libatk1.0-0", "libatspi2.0-0", "libcups2", "libglib2.0-0", "libgtk-3-0", "libpng16-16",
    "libssl3",
})
"""Packages of Debian 12 that a newer release calls by this name with `t64` behind it, of those that a Qt program can come to need."""

SYMBOLS: dict[str, tuple[str, dict[str, str]]] = {
    "libc6": ("GLIBC", {}),
    # The release of GCC that brought each version: https://gcc.gnu.org/onlinedocs/libstdc++/manual/abi.html
    "libstdc++6": ("GLIBCXX", {
        "3.4.25": "8", "3.4.26": "9", "3.4.27": "9", "3.4.28": "9.3", "3.4.29": "11", "3.4.30": "12", "3.4.31": "13", "3.4.32": "13.2",
        "3.4.33": "14"}),
}
"""Packages whose oldest usable version follows from symbols: their prefix, and the package version where it is another number."""

FOUND_AT_RUN_TIME = (
    # Text is drawn with fonts of the system; certificates of the Hub are checked against those of the system.
    "fonts-dejavu-core | fonts-liberation | fonts-freefont-ttf | fonts-noto-core",
    "ca-certificates",
)
RECOMMENDED = (
    # Without them, the processor is used; links open in no browser.
    "libvulkan1", "xdg-utils", "desktop-file-utils", "shared-mime-info",
)
SUGGESTED = ("mesa-vulkan-drivers",)

_DPKG_LINE = re.compile(r"^(?P<package>[^,:\s]+)(?::\w+)?: (?P<path>/.*)$")


def missing_libraries(files: Sequence[ElfFile]) -> dict[str, list[ElfFile]]:
    """The libraries that files ask for and none of them is, each with who asks."""
    inside = {file.path.name for file in files} | {file.soname for file in files}
    wanted: dict[str, list[ElfFile]] = {}
    for file in files:
        for name in file.needed:
            if name not in inside:
                wanted.setdefault(name, []).append(file)
    return wanted


def depends_of(files: Sequence[ElfFile], optional: frozenset[str] = frozenset()) -> list[str]:
    """The `Depends` of a package of these files, in the order of the alphabet.

    `optional`: libraries that the program does without, which are only recommended.
    """
    wanted = {name: users for name, users in missing_libraries(files).items() if name not in optional}
    owners = packages_of(sorted(wanted))
    unknown = sorted(set(wanted) - set(owners))
    if unknown:
        users = ", ".join(file.path.name for file in wanted[unknown[0]][:3])
        raise StepError(f"No installed Debian package has {unknown[0]}, which {users} needs; install it to find out its name.")
    names = {owners[library] for library in wanted}
    return sorted(_relation(name, files) for name in names) + list(FOUND_AT_RUN_TIME)


def _relation(package: str, files: Sequence[ElfFile]) -> str:
    base = package.removesuffix("t64")
    if base in SYMBOLS:
        oldest = oldest_version(base, files)
        return f"{base} (>= {oldest})" if oldest else base
    return f"{base} | {base}t64" if base in T64_RENAMED else package


def oldest_version(package: str, files: Sequence[ElfFile]) -> str:
    """The oldest version of a package that has all symbols asked for; empty where none says so."""
    prefix, versions = SYMBOLS[package]
    found = [
        tuple(map(int, version.removeprefix(f"{prefix}_").split(".")))
        for file in files for names in file.versions.values() for version in names
        if re.fullmatch(rf"{prefix}_[0-9.]+", version)]
    if not found:
        return ""
    newest = ".".join(map(str, max(found)))
    return versions.get(newest, newest)


def packages_of(libraries: Sequence[str]) -> dict[str, str]:
    """The package of each library that dpkg knows in a folder where the system looks for libraries."""
    if not libraries:
        return {}
    patterns = [f"*/{library}" for library in libraries]
    done = subprocess.run(
        ["dpkg-query", "--search", *patterns], capture_output=True, text=True, check=False, env={"LC_ALL": "C", "PATH": "/usr/bin:/bin"})
    owners: dict[str, str] = {}
    for line in done.stdout.splitlines():
        found = _DPKG_LINE.match(line)
        if found is None:
            continue
        path = Path(found["path"])
        if _is_library_folder(path.parent) and owners.get(path.name, found["package"]) == found["package"]:
            owners[path.name] = found["package"]
    return owners


def _is_library_folder(folder: Path) -> bool:
    parts = folder.parts[1:]
    if parts[:1] == ("usr",):
        parts = parts[1:]
    return parts[:1] in {("lib",), ("lib64",)} and len(parts) <= 2 and (len(parts) == 1 or parts[1].endswith("-linux-gnu"))
