"""The packages of the Windows installer that is tested on Linux: the wheels that the lock file pins, less what is not used."""

from __future__ import annotations

import fnmatch
import importlib.metadata
import shutil
import sys
import zipfile
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from tools.dev.console import StepError
from tools.dev.environment import REQUIREMENTS, ROOT, lock_blocks
from tools.package import trim
from tools.package.windows_python import VERSION, run_pip
from tools.package.windows_runtime import RUNTIMES, WHEEL

LOCK = REQUIREMENTS / "lock.txt"
_DOTTED = ".".join(map(str, VERSION))
RELEASE = f"{_DOTTED}.9"
_TARGET = {
    "sys_platform": "win32", "platform_system": "Windows", "os_name": "nt", "platform_machine": "AMD64",
    "python_version": _DOTTED, "python_full_version": RELEASE, "implementation_name": "cpython",
    "implementation_version": RELEASE, "platform_python_implementation": "CPython", "platform_release": "",
    "platform_version": "",
}
"""What the markers of a lock file ask for."""
_NOT_SHIPPED = frozenset({"hf-xet", "diskcache", "pycparser"})
"""Left out of the bundle on every system too (trim.EXCLUDED_MODULES)."""
BINDINGS = "llama-cpp-python"
"""Copied from this environment, because its wheel brings libraries of this system."""
_KEPT_OF_QT = (
    "__init__.py", "_config.py", "_git_pyside_version.py", "support/*", "pyside6.abi3.dll", "QtCore.pyd", "QtGui.pyd",
    "QtWidgets.pyd", "QtNetwork.pyd", "Qt6*.dll", "plugins/*",
)
_DROPPED = (
    "*.pyi", "*/py.typed", "*.lib", "*.a", "*.h", "*.pxd", "*.pyx", "*.c", "*/tests/*", "*/testing/*", "*/_examples/*",
    "*/include/*", "*.dist-info/RECORD", "*.dist-info/WHEEL", "*.dist-info/INSTALLER", "*.dist-info/entry_points.txt",
    "*.dist-info/top_level.txt", "*.dist-info/sboms/*", "*.data/*", "*/conftest.py", "shiboken6/*140*.dll",
    "numpy/_core/lib/*", "*.exe",
)


def requirements() -> str:
    """The pins of the lock file that count on Windows, as a requirements file with their hashes."""
    from packaging.markers import Marker

    chosen: list[str] = []
    for pin, block in lock_blocks(LOCK).items():
        name, _, marker = pin.partition(" ; ")
        if name.split("==")[0] in _NOT_SHIPPED:
            continue
        if not marker or Marker(marker).evaluate(_TARGET):
            chosen.append(block.replace(f" ; {marker}", "", 1) if marker else block)
    return "".join(chosen)


def download(folder: Path) -> None:
    """The wheels for Windows x64 into a folder, each checked against the hashes of the lock file."""
    folder.mkdir(parents=True, exist_ok=True)
    wanted = folder / "requirements.txt"
    wanted.write_text(requirements(), encoding="utf-8")
    tag = "".join(map(str, VERSION))
    run_pip(Path(sys.executable), [
        "--require-hashes", "--no-deps", "--only-binary=:all:", "--platform", "win_amd64", "--python-version", tag,
        "--implementation", "cp", "-r", str(wanted), "--dest", str(folder)])
    wanted.unlink()


def lay_out(wheels: Path, program: Path, target: Path) -> None:
    """What is used of the wheels, of llama_cpp and of Local AI in `target`; Microsoft's libraries in `program`."""
    target.mkdir(parents=True)
    for wheel in sorted(wheels.glob("*.whl")):
        _unpack(wheel, target)
        if wheel.name.startswith(WHEEL):
            with zipfile.ZipFile(wheel) as archive:
                for name in RUNTIMES:
                    (program / name).write_bytes(archive.read(f"{WHEEL}/{name}"))
    _copy_bindings(target)
    shutil.copytree(ROOT / "src" / "localai_app", target / "localai_app", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "resources", target / "localai_app" / "resources")
    shutil.copyfile(ROOT / "packaging" / "windows" / "localai_start.py", target / "localai_start.py")


def is_shipped(name: str) -> bool:
    """Whether a file of a wheel goes into the installer."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or name.endswith("/"):
        return False
    if _matches(name, _DROPPED) or not trim.keeps_data(name) or not trim.keeps_binary(name, name):
        return False
    if path.parts[0] == "PySide6" and not _matches("/".join(path.parts[1:]), _KEPT_OF_QT):
        return False
    if path.parts[:2] == ("qtawesome", "fonts"):
        return path.name.startswith("phosphor-")
    module = ".".join(path.with_suffix("").parts)
    return not any(module == dropped or module.startswith(f"{dropped}.") for dropped in trim.EXCLUDED_MODULES)


def _unpack(wheel: Path, target: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            if not is_shipped(name):
                continue
            path = target / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(archive.read(name))


def _copy_bindings(target: Path) -> None:
    """llama_cpp is Python alone: the libraries that lie beside it here are not for Windows."""
    try:
        files = importlib.metadata.files(BINDINGS) or []
    except importlib.metadata.PackageNotFoundError as error:
        raise StepError(f"{BINDINGS} is not installed in this environment.") from error
    copied = 0
    for file in files:
        is_module = file.parts[0] == "llama_cpp" and file.suffix == ".py" and "server" not in file.parts
        is_fact = file.parts[0].endswith(".dist-info") and (file.name == "METADATA" or "licenses" in file.parts)
        if is_module or is_fact:
            path = target / file
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(str(file.locate()), path)
            copied += is_module
    if not copied:
        raise StepError(f"{BINDINGS} has no modules in this environment.")


def _matches(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)
