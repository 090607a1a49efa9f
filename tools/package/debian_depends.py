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
from tools.package.glibc import ElfFacts

T64_RENAMED = frozenset({
    "libasound2", "libatk-bridge2.0-0", "libatk1.0-0", "libatspi2.0-0", "libcups2", "libglib2.0-0", "libgtk-3-0", "libpng16-16",
    "libssl3",
})
"""Packages of Debian 12 that newer releases call by this name with `t64` behind it, of those that a Qt program can need."""

GCC_OF_LIBSTDCXX = {
    (3, 4, 25): "8", (3, 4, 26): "9", (3, 4, 28): "9.3", (3, 4, 29): "11", (3, 4, 30): "12", (3, 4, 31): "13",
    (3, 4, 32): "13.2", (3, 4, 33): "14",
}
"""The release of GCC, which is the package's version, that brought each version of libstdc++'s symbols.

https://gcc.gnu.org/onlinedocs/libstdc++/manual/abi.html"""

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


def missing_libraries(files: Sequence[ElfFacts]) -> dict[str, list[ElfFacts]]:
    """The libraries that files ask for and none of them is, each with who asks."""
    inside = {file.path.name for file in files}
    wanted: dict[str, list[ElfFacts]] = {}
    for file in files:
        for name in file.needed:
            if name not in inside:
                wanted.setdefault(name, []).append(file)
    return wanted


def depends_of(files: Sequence[ElfFacts], optional: frozenset[str] = frozenset()) -> list[str]:
    """The `Depends` of a package of these files, in the order of the alphabet.

    `optional`: libraries that the program does without, which are only recommended.
    """
    wanted = {name: users for name, users in missing_libraries(files).items() if name not in optional}
    owners = packages_of(sorted(wanted))
    unknown = sorted(set(wanted) - set(owners))
    if unknown:
        users = ", ".join(file.path.name for file in wanted[unknown[0]][:3])
        raise StepError(f"No installed Debian package has {unknown[0]}, which {users} needs; install it to find out its name.")
    return sorted(_relation(package, files) for package in set(owners.values())) + list(FOUND_AT_RUN_TIME)


def _relation(package: str, files: Sequence[ElfFacts]) -> str:
    """One entry, with the oldest version that has all symbols asked for, or with both names."""
    glibc = max((file.glibc for file in files), default=())
    libstdcxx = max((file.libstdcxx for file in files), default=())
    if package == "libc6" and glibc:
        return f"{package} (>= {'.'.join(map(str, glibc))})"
    if package == "libstdc++6" and libstdcxx:
        gcc = next((version for symbols, version in sorted(GCC_OF_LIBSTDCXX.items()) if symbols >= libstdcxx), "")
        if not gcc:
            raise StepError(f"Nobody knows here which GCC has GLIBCXX_{'.'.join(map(str, libstdcxx))}: tell GCC_OF_LIBSTDCXX.")
        return f"{package} (>= {gcc})"
    base = package.removesuffix("t64")
    return f"{base} | {base}t64" if base in T64_RENAMED else package


def packages_of(libraries: Sequence[str]) -> dict[str, str]:
    """The package of each library that dpkg knows in a folder where the system looks for libraries."""
    if not libraries:
        return {}
    patterns = [f"*/{library}" for library in libraries]
    environment = {"LC_ALL": "C", "PATH": "/usr/bin:/bin"}
    command = ["dpkg-query", "--search", *patterns]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
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
