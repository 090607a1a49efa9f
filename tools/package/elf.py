"""What an ELF file asks of the system: libraries by name, and the versions of their symbols."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ELF_MAGIC = b"\x7fELF"


@dataclass(frozen=True)
class ElfFile:
    """One program, library or extension. `versions` maps a library to the symbol versions that are asked of it."""

    path: Path
    soname: str
    needed: tuple[str, ...]
    versions: dict[str, frozenset[str]] = field(default_factory=dict)


def elf_files(folder: Path) -> list[ElfFile]:
    """Every ELF file below a folder, by path; links are passed over."""
    return [read_elf(path) for path in sorted(folder.rglob("*")) if is_elf(path)]


def is_elf(path: Path) -> bool:
    """Whether it is an ELF file, and no link to one."""
    if path.is_symlink() or not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(4) == ELF_MAGIC


def read_elf(path: Path) -> ElfFile:
    """What stands in the dynamic section of a file."""
    from elftools.elf.elffile import ELFFile

    with path.open("rb") as file:
        parsed = ELFFile(file)
        needed: list[str] = []
        soname = ""
        for tag in _dynamic_tags(parsed):
            if tag.entry.d_tag == "DT_NEEDED":
                needed.append(str(tag.needed))
            elif tag.entry.d_tag == "DT_SONAME":
                soname = str(tag.soname)
        return ElfFile(path, soname, tuple(needed), _versions(parsed))


def _dynamic_tags(parsed: Any) -> Iterator[Any]:
    section = parsed.get_section_by_name(".dynamic")
    if section is not None:
        yield from section.iter_tags()


def _versions(parsed: Any) -> dict[str, frozenset[str]]:
    section = parsed.get_section_by_name(".gnu.version_r")
    if section is None:
        return {}
    return {str(library.name): frozenset(str(one.name) for one in wanted) for library, wanted in section.iter_versions()}
