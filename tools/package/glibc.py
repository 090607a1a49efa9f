"""Which glibc, which libstdc++ and which other libraries of the system the files of a folder need, read from the files."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools.dev.console import StepError

FLOORS = {"x86_64": (2, 35), "aarch64": (2, 39)}
"""The oldest glibc that the bundle has to run with, by machine: Ubuntu 22.04 (older than Debian 12's), and for ARM what
Qt's wheel asks for (`manylinux_2_39_aarch64`)."""
LIBSTDCXX_FLOORS = {"x86_64": (3, 4, 30), "aarch64": (3, 4, 33)}
"""GLIBCXX of the oldest systems by machine: Ubuntu 22.04 and Debian 12 (GCC 12), Ubuntu 24.04 and Debian 13 (GCC 14)."""

_ELF = b"\x7fELF"
_FAMILIES = ("GLIBC_", "GLIBCXX_")


@dataclass(frozen=True)
class ElfFacts:
    """What the loader needs for one file."""

    path: Path
    needed: tuple[str, ...]
    """Names of libraries (`DT_NEEDED`)."""
    glibc: tuple[int, ...] = ()
    """The newest version of a glibc symbol, (2, 34); empty where it uses none."""
    libstdcxx: tuple[int, ...] = ()


def elf_files(folder: Path) -> Iterator[Path]:
    """Every ELF file below a folder, whatever it is called; links are not followed."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_symlink():
            with path.open("rb") as file:
                if file.read(len(_ELF)) == _ELF:
                    yield path


def read_elf(path: Path) -> ElfFacts:
    """The facts of one ELF file."""
    from elftools.elf.dynamic import DynamicSection
    from elftools.elf.elffile import ELFFile
    from elftools.elf.gnuversions import GNUVerNeedSection

    needed: list[str] = []
    versions: dict[str, tuple[int, ...]] = {family: () for family in _FAMILIES}
    with path.open("rb") as file:
        for section in ELFFile(file).iter_sections():
            if isinstance(section, DynamicSection):
                needed += _needed_by(section)
            elif isinstance(section, GNUVerNeedSection):
                for _library, symbols in section.iter_versions():
                    for symbol in symbols:
                        _raise_to(versions, symbol.name)
    return ElfFacts(path, tuple(needed), versions["GLIBC_"], versions["GLIBCXX_"])


def _needed_by(section: Any) -> list[str]:
    return [tag.needed for tag in section.iter_tags() if tag.entry.d_tag == "DT_NEEDED"]


def _raise_to(versions: dict[str, tuple[int, ...]], name: str) -> None:
    for family in _FAMILIES:
        number = name.removeprefix(family)
        if number != name and number.replace(".", "").isdigit():
            versions[family] = max(versions[family], tuple(map(int, number.split("."))))


def check_floor(folder: Path) -> tuple[int, ...]:
    """The newest glibc that any file of a folder needs; StepError with the files that need a newer one than is allowed."""
    machine = platform.machine()
    floor = FLOORS.get(machine)
    facts = [read_elf(path) for path in elf_files(folder)]
    if floor is not None:
        problems = [
            f"{each.path.relative_to(folder)} needs {words}" for each in facts for words in _too_new(each, machine)]
        if problems:
            raise StepError(
                f"Files of the bundle need a newer system than {_text(floor)}: {'; '.join(problems)}. They come from this "
                "computer's own Python or system: make the bundle on the oldest system that it is for.")
    return max((each.glibc for each in facts), default=())


def outside_libraries(folder: Path) -> dict[str, set[str]]:
    """What the user's system has to bring: names of libraries that files need and the folder lacks, with those files' names."""
    facts = [read_elf(path) for path in elf_files(folder)]
    inside = {path.name for path in folder.rglob("*") if path.is_file() or path.is_symlink()}
    found: dict[str, set[str]] = {}
    for each in facts:
        for name in each.needed:
            if name not in inside:
                found.setdefault(name, set()).add(each.path.name)
    return found


def _too_new(facts: ElfFacts, machine: str) -> Iterator[str]:
    if facts.glibc > FLOORS[machine]:
        yield f"glibc {_text(facts.glibc)}"
    if facts.libstdcxx > LIBSTDCXX_FLOORS[machine]:
        yield f"libstdc++ {_text(facts.libstdcxx)}"


def _text(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))
