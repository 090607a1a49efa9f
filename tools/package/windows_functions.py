"""Which functions Windows' own libraries have, as MinGW's definition files list them, which the package ziglang brings.

They are read from a recent Windows, and do not say in which version a function came: one that is newer than the oldest
Windows that the program runs on is not found here.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterable
from pathlib import Path

import ordlookup

from tools.dev.console import StepError
from tools.dev.environment import cache_dir, clean_environment

_API_SET = re.compile(r"(?P<name>(?:api|ext)-ms-win-[a-z0-9-]+-l\d+-\d+)-(?P<minor>\d+)")
_ARGUMENTS = re.compile(r"@\d+$")
_LISTED_AS = {"icuuc": "icu"}
"""icu.dll unites icuuc.dll and icuin.dll, under the same names."""
_NUMBERED = {
    "d3d12": {101: "D3D12CreateDevice", 102: "D3D12GetDebugInterface"},
    "shell32": {6: "SHDefExtractIconW", 727: "SHGetImageList"},
    "uxtheme": {47: "DrawThemeBackgroundEx"},
}
"""Functions that Microsoft's import libraries ask for by number. The definition files have no numbers, ordlookup not these."""

_UNLISTED = {
    # MinGW has its own, to fit its wctob; in Windows it is since Windows 10, as the whole Universal C Runtime.
    "api-ms-win-crt-convert-l1-1-0": frozenset({"btowc"}),
}
"""Functions that are there, though MinGW's files leave them out."""


class SystemFunctions:
    """Answers for Windows on x64."""

    def __init__(self, zig: Path) -> None:
        self._zig = zig
        self._known: dict[str, frozenset[str] | None] = {}
        self._folder = zig.parent / "lib" / "libc" / "mingw"

    def of(self, library: str) -> frozenset[str] | None:
        """The functions of a library (`kernel32.dll`), or of a set of them (`api-ms-win-…`); None if there is no list."""
        name = library.lower().removesuffix(".dll")
        if name not in self._known:
            source = self._definition(_LISTED_AS.get(name, name))
            more = _UNLISTED.get(name, frozenset())
            self._known[name] = exported(self._text(source)) | more if source is not None else None
        return self._known[name]

    def absent(self, library: str, functions: Iterable[str]) -> list[str] | None:
        """Which of these functions, or numbers like `#12`, the library lacks; None if there is no list of it."""
        listed = self.of(library)
        if listed is None:
            return None
        return sorted(each for each in functions if self._named(library, each) not in listed)

    def _named(self, library: str, function: str) -> str:
        """The name of what is imported by number; the number itself where nobody knows it."""
        if not function.startswith("#"):
            return function
        number = int(function[1:])
        own = _NUMBERED.get(library.lower().removesuffix(".dll"), {}).get(number)
        known = own.encode() if own else ordlookup.ordLookup(library.lower().encode(), number)
        return known.decode() if known else function

    def _definition(self, name: str) -> Path | None:
        for folder in ("lib-common", "lib64"):
            for ending in (".def", ".def.in"):
                path = self._folder / folder / f"{name}{ending}"
                if path.is_file():
                    return path
        # Windows looks for a set by its name without the last number, which only tells how many functions it has.
        asked = _API_SET.fullmatch(name)
        if asked is None or asked["minor"] == "0":
            return None
        return self._definition(f"{asked['name']}-{int(asked['minor']) - 1}")

    def _text(self, path: Path) -> str:
        if path.suffix == ".def":
            return path.read_text(encoding="utf-8")
        cache = os.fspath(cache_dir() / "zig")
        # Microsoft's `long double` is a `double`; for MinGW's own, the files leave out what takes one.
        command = [
            str(self._zig), "cc", "-E", "-P", "-w", "-x", "c", "-target", "x86_64-windows-gnu", "-D__SIZEOF_LONG_DOUBLE__=8",
            "-I", str(self._folder / "def-include"), "-I", str(path.parent), str(path), "-o", "-"]
        done = subprocess.run(
            command, capture_output=True, text=True, check=False,
            env=clean_environment() | {"ZIG_GLOBAL_CACHE_DIR": cache, "ZIG_LOCAL_CACHE_DIR": cache})
        if done.returncode:
            raise StepError(f"{path.name} cannot be read: {done.stderr.strip()[-300:]}")
        return done.stdout


def exported(definition: str) -> frozenset[str]:
    """The names behind EXPORTS in a definition file, as the library itself has them."""
    found: set[str] = set()
    is_inside = False
    for line in definition.splitlines():
        entry = line.partition(";")[0].strip()
        if entry.split()[:1] in (["LIBRARY"], ["EXPORTS"], ["NAME"]):
            is_inside = entry.startswith("EXPORTS")
        elif is_inside and entry:
            found.add(_exported_name(entry))
    return frozenset(found)


def _exported_name(entry: str) -> str:
    """Of `name`, `name@8` (what x86 appends), `name @12`, `name DATA` or `alias == name`."""
    alias, _, name = entry.partition("==")
    return _ARGUMENTS.sub("", (name or alias).split()[0].strip('"'))
