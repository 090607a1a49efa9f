"""Reads Windows programs and libraries: for which processor they are, and whether every function that they import exists.

A library is looked for as Windows and Python do: beside the one that needs it, beside the program, in Python's folder, and in
the folders that packages add. What is in none of them has to be part of Windows (tools/package/windows_functions.py).
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tools.package.pe_image import Image
from tools.package.windows_functions import SystemFunctions

SUFFIXES = (".exe", ".dll", ".pyd")
ADDED_FOLDERS = ("PySide6", "shiboken6", "numpy.libs")
"""Folders that packages name to Windows with os.add_dll_directory."""
BACKENDS_FOLDER = "backends"
API_SET = re.compile(r"(api|ext)-ms-win-[a-z0-9-]+-l\d+-\d+-\d+\.dll")
SYSTEM_LIBRARIES = frozenset(f"{name}.dll" for name in (
    "advapi32", "authz", "bcrypt", "bcryptprimitives", "cfgmgr32", "comctl32", "comdlg32", "crypt32", "d3d11", "d3d12", "d3d9",
    "dbghelp", "dnsapi", "dwmapi", "dwrite", "dxgi", "gdi32", "imm32", "iphlpapi", "kernel32", "mpr", "msvcrt",
    "ncrypt", "netapi32", "normaliz", "ntdll", "ole32", "oleaut32", "pdh", "powrprof", "propsys", "psapi", "rpcrt4", "secur32",
    "setupapi", "shcore", "shell32", "shlwapi", "synchronization", "ucrtbase", "uiautomationcore", "user32", "userenv",
    "uxtheme", "version", "winhttp", "winmm", "wintrust", "wldap32", "ws2_32", "wtsapi32"))
"""Libraries of every Windows 10 since version 1809."""
LIBRARIES_SINCE = {"icuuc.dll": "Windows 10, version 1703"}
"""Libraries of Windows that came later, with the version that brought them."""
OPTIONAL = frozenset({"vulkan-1.dll"})
"""What a graphics driver installs: without it the back end does not load, and the others are used (docs/engine-builds.md)."""


@dataclass(frozen=True)
class Program:
    """One program or library."""

    path: Path
    machine: str
    imports: Mapping[str, frozenset[str]]
    """Functions by the library they come from, its name in lower case; `#12` for one that is imported by number."""
    exports: frozenset[str]


@dataclass(frozen=True)
class Report:
    """What was found in a tree."""

    programs: tuple[Program, ...]
    problems: tuple[str, ...]
    system_libraries: frozenset[str]
    """Libraries of Windows that are used."""
    unchecked: frozenset[str]
    """Those of them whose functions nobody lists."""


def is_program(path: Path) -> bool:
    """Whether it is for Windows to load."""
    return path.suffix.lower() in SUFFIXES


def read(path: Path) -> Program:
    """ValueError for what is no program."""
    try:
        image = Image(path.read_bytes())
        return Program(path, image.machine, image.imports(), image.exports())
    except (struct.error, IndexError, UnicodeDecodeError, ValueError) as error:
        raise ValueError(f"{path.name} is no program for Windows: {error}") from error


def check_tree(
    tree: Path, system: SystemFunctions | None = None, *, machine: str = "x64", beside: Sequence[str] = ("", "python"),
) -> Report:
    """Every program below a folder; `beside`: the folders of it that are searched for any of them.

    Without `system`, functions of Windows' own libraries are left unchecked.
    """
    programs = {path: read(path) for path in sorted(tree.rglob("*")) if path.is_file() and is_program(path)}
    folders = {path.parent for path in programs}
    shared = [tree / name for name in beside] + sorted(folder for folder in folders if folder.name in ADDED_FOLDERS)
    problems: list[str] = []
    used: set[str] = set()
    unchecked: set[str] = set()
    for path, program in programs.items():
        where = path.relative_to(tree).as_posix()
        if program.machine != machine:
            problems.append(f"{where} is for {program.machine} and not for {machine}")
        # llama_cpp names the engine's folder to Windows, and has its libraries loaded, before it loads a back end.
        near = (path.parent, path.parent.parent) if path.parent.name == BACKENDS_FOLDER else (path.parent,)
        for library, functions in sorted(program.imports.items()):
            found = next((one for folder in (*near, *shared) if (one := _in_folder(programs, folder, library))), None)
            absent: list[str] | None = []
            if found is not None:
                absent = sorted(functions - found.exports)
            elif library in SYSTEM_LIBRARIES or library in LIBRARIES_SINCE or API_SET.fullmatch(library):
                used.add(library)
                absent = system.absent(library, functions) if system is not None else None
            elif library not in OPTIONAL:
                problems.append(f"{where} needs {library}, which is nowhere")
            if absent is None:
                unchecked.add(library)
            elif absent:
                problems.append(f"{where} needs {absent[0]} of {library}, which has no such function")
    return Report(tuple(programs.values()), tuple(problems), frozenset(used), frozenset(unchecked))


def _in_folder(programs: Mapping[Path, Program], folder: Path, library: str) -> Program | None:
    return next((program for path, program in programs.items() if path.parent == folder and path.name.lower() == library), None)
