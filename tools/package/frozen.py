"""Runs PyInstaller and reads from its tables where each file and module of its folder came from."""

from __future__ import annotations

import ast
import importlib.util
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tools.dev.console import StepError, run_logged
from tools.dev.environment import LOGS, ROOT, clean_environment
from tools.package import platform_files, trust_file, windows_runtime
from tools.package.notices import Bundled

NAME = "localai-app"
CONTENTS = "_internal"
DATE_S = 1_704_067_200
"""The time that every file of a bundle bears (2024-01-01), so that equal sources give equal files."""


@dataclass(frozen=True)
class Frozen:
    """What PyInstaller made."""

    folder: Path
    bundled: Bundled


def freeze(scratch: Path) -> Frozen:
    """Freeze the program as packaging/localai.spec says, below a scratch folder."""
    platform_files.prepare(ROOT / "build")
    env = clean_environment() | {
        # The order of sets is in the compiled code.
        "PYTHONHASHSEED": "0",
        "SOURCE_DATE_EPOCH": str(DATE_S),
        "PYTHONPATH": os.pathsep.join((str(ROOT / "src"), str(ROOT))),
        "PYINSTALLER_CONFIG_DIR": str(scratch / "config"),
    }
    command = [
        sys.executable, "-m", "PyInstaller", str(ROOT / "packaging" / "localai.spec"), "--noconfirm",
        "--distpath", str(scratch / "dist"), "--workpath", str(scratch / "work")]
    run_logged(command, LOGS / "pyinstaller.log", cwd=scratch, env=env)
    made = scratch / "dist" / NAME
    if not made.is_dir():
        raise StepError(f"PyInstaller made no bundle; what it said is in {LOGS / 'pyinstaller.log'}.")
    return Frozen(made, bundled_in(made, scratch / "work" / "localai", windows_runtime.place(made)))


def bundled_in(made: Path, work: Path, beside: Mapping[str, Path]) -> Bundled:
    """Where each file and module of a bundle came from; `beside`: what was put beside the program since.

    `work` has PyInstaller's tables. StepError for a file that they do not name.
    """
    # On Windows the tables have the separators of Windows.
    collected = {name.replace("\\", "/"): Path(source) for name, source, _kind in _table(work / "COLLECT-00.toc")}
    # A release brings the keys that it trusts from elsewhere; they are our own all the same.
    collected |= {name: trust_file.EMPTY for name in collected if trust_file.is_trust_file(name)}
    # Python's modules that are needed before all others lie in an archive of their own.
    collected["base_library.zip"] = Path(ast.__file__)
    files: dict[str, Path] = {}
    for path in sorted(made.rglob("*")):
        if path.is_symlink():
            if not path.exists():
                raise StepError(f"The link {path.relative_to(made)} of the bundle leads to nothing: see tools/package/trim.py.")
        elif path.is_file() and path.is_relative_to(made / CONTENTS):
            inside = path.relative_to(made / CONTENTS).as_posix()
            if inside not in collected:
                raise StepError(f"PyInstaller's tables do not tell where {inside} of the bundle came from.")
            files[path.relative_to(made).as_posix()] = collected[inside]
        elif path.is_file():
            files[path.name] = beside.get(path.name) or _bootloader()
    modules = {name: Path(source) for name, source, _kind in _table(work / "PYZ-00.toc") if source not in ("", "-")}
    return Bundled(files, modules)


def _bootloader() -> Path:
    """A file of PyInstaller, for its bootloader: the executable."""
    spec = importlib.util.find_spec("PyInstaller")
    if spec is None or spec.origin is None:
        raise StepError("PyInstaller is not installed in this environment.")
    return Path(spec.origin)


def _table(path: Path) -> list[tuple[str, str, str]]:
    """The entries of one of PyInstaller's tables: name, source, kind."""
    found: list[tuple[str, str, str]] = []
    waiting = [ast.literal_eval(path.read_text(encoding="utf-8"))]
    while waiting:
        value = waiting.pop()
        if isinstance(value, tuple) and len(value) == 3 and all(isinstance(part, str) for part in value):
            found.append(value)
        elif isinstance(value, (tuple, list)):
            waiting += value
    return found
