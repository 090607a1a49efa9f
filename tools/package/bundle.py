"""The application bundle: one folder with Python, Qt, Local AI and its engine that runs where none of them is installed.

PyInstaller freezes the program as packaging/localai.spec says. Then what is only for debuggers is stripped, the engine is put
in `engine/` beside the program, where it looks for builds of llama.cpp, and THIRD_PARTY.txt tells whose work is in it.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from tools.dev.console import StepError
from tools.dev.environment import ROOT
from tools.package import engine, glibc, inputs, macos_app, trust_file
from tools.package.frozen import CONTENTS, DATE_S, NAME, freeze
from tools.package.notices import INDEX_NAME, TEXT_NAME, write_notices

ENGINE_FOLDER = "engine"
CODE = (
    "bundle", "component", "frozen", "glibc", "inputs", "macos_app", "notices", "origins", "platform_files", "trim",
    "trust_file", "windows_resources", "windows_runtime")
"""Modules of this package that make the bundle; those that compile the engine decide nothing but the engine."""
SOURCES = (
    "src", "resources", "LICENSE", "requirements/package.txt", "requirements/engine.txt", "packaging/entry.py",
    "packaging/localai.spec", "packaging/licenses", "packaging/macos", "packaging/windows/app.manifest",
    *(f"tools/package/{name}.py" for name in CODE))
"""What decides the bundle, beside the engine and the Python that it is made with."""
_NEVER_STRIPPED = ("PySide6", "shiboken6", "numpy.libs", "numpy")
"""Wheels that come without debugging data, and whose libraries were changed after linking, which strip may not survive."""


def missing() -> str:
    """What this computer lacks for a bundle; empty where it can be made."""
    if importlib.util.find_spec("PyInstaller") is None:
        return "PyInstaller is not installed in this environment; `python3 dev.py package` makes one that has it."
    if sys.platform.startswith("linux"):
        absent = [name for name in ("objdump", "strip") if shutil.which(name) is None]
        if absent:
            return f"It needs {' and '.join(absent)} (package binutils)."
    return engine.missing()


def build() -> Path:
    """`dist/localai-app`, made from the sources as they are unless it is there already; StepError in words."""
    return build_with(engine.build())


def build_with(engine_folder: Path) -> Path:
    """The same with a given engine: a folder that contains engine.json and is named after its `engine_id`."""
    target = ROOT / "dist" / NAME
    with inputs.locked(ROOT / "dist" / f"{NAME}.lock"):
        print(f"  {trust_file.words_about(trust_file.trust_file())}", file=sys.stderr, flush=True)
        key = key_of(engine_folder)
        key_file = ROOT / "dist" / f"{NAME}.key"
        if target.is_dir() and key_file.is_file() and key_file.read_text(encoding="utf-8") == key:
            return target
        key_file.unlink(missing_ok=True)
        with tempfile.TemporaryDirectory(prefix="bundle-", dir=ROOT / "dist") as folder:
            frozen = freeze(Path(folder))
            made = frozen.folder
            _strip(made)
            engine_place = f"{ENGINE_FOLDER}/{engine_folder.name}"
            shutil.copytree(engine_folder, made / engine_place, symlinks=True)
            write_notices(made, frozen.bundled, engine_place, made / CONTENTS)
            if sys.platform.startswith("linux"):
                glibc.check_floor(made)
            _date(made)
            if sys.platform == "darwin":
                _place_app(made.with_name(macos_app.NAME), engine_folder, made)
            if target.exists():
                shutil.rmtree(target)
            made.rename(target)
        if key_of(engine_folder) == key:
            # Otherwise something was edited meanwhile, and the next call makes it anew.
            key_file.write_text(key, encoding="utf-8")
    return target


def key_of(engine_folder: Path) -> str:
    """A text that changes with everything that decides the bundle."""
    sources = [ROOT / name for name in SOURCES]
    made_of = inputs.key_of([engine_folder]), inputs.key_of([trust_file.trust_file()])
    return inputs.key_of(sources, *made_of, *_python_facts())


def _place_app(app: Path, engine_folder: Path, folder: Path) -> None:
    """`dist/Local AI.app`, which PyInstaller made beside the folder, with what the folder got since."""
    macos_app.complete(app, engine_folder, folder / TEXT_NAME, folder / CONTENTS / INDEX_NAME)
    target = ROOT / "dist" / macos_app.NAME
    if target.exists():
        shutil.rmtree(target)
    app.rename(target)


def _python_facts() -> tuple[str, ...]:
    return sys.version, sys.base_prefix, sys.platform


def _strip(bundle: Path) -> None:
    """Take symbols that only debuggers read from Python's own libraries and from extensions: 30 MB of them."""
    if not sys.platform.startswith("linux"):
        return
    libraries = [path for path in _libraries(bundle / CONTENTS) if not path.is_symlink()]
    for path in libraries:
        if path.relative_to(bundle / CONTENTS).parts[0] in _NEVER_STRIPPED:
            continue
        path.chmod(0o755)
        done = subprocess.run(["strip", "--strip-unneeded", str(path)], capture_output=True, text=True, check=False)
        if done.returncode:
            raise StepError(f"strip failed for {path.name}: {done.stderr.strip()}")


def _libraries(folder: Path) -> Iterable[Path]:
    return sorted(path for path in folder.rglob("*.so*") if path.is_file())


def _date(bundle: Path) -> None:
    """Give all files one time and plain permissions, whatever the building computer's were."""
    for path in sorted(bundle.rglob("*"), reverse=True):
        if path.is_symlink():
            continue
        if sys.platform != "win32":
            path.chmod(0o755 if path.is_dir() or os.access(path, os.X_OK) else 0o644)
        os.utime(path, (DATE_S, DATE_S))
    os.utime(bundle, (DATE_S, DATE_S))
