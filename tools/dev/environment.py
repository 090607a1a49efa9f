"""Environments: made, filled from the lock files, and stamped when they are complete."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from tools.dev import stamp
from tools.dev.console import StepError, run_logged

ROOT = Path(__file__).resolve().parents[2]
LOGS = ROOT / ".cache" / "log"
REQUIREMENTS = ROOT / "requirements"
QT_PACKAGES = frozenset({"pyside6-essentials", "shiboken6", "qtawesome", "qtpy", "pytest-qt"})

UNWANTED_VARIABLES = (
    "CMAKE_ARGS", "FORCE_CMAKE", "SOURCE_DATE_EPOCH", "PYTHONHOME", "PYTHONPATH", "PYTHONSTARTUP", "VIRTUAL_ENV",
    "PIP_REQUIRE_VIRTUALENV", "PIP_USER", "PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_CONSTRAINT", "PIP_NO_BINARY",
    "PIP_ONLY_BINARY", "PIP_REQUIREMENT", "PIP_NO_DEPS", "PIP_PRE", "PIP_DRY_RUN",
)
"""Variables that would change what is installed or how llama.cpp is compiled.

SOURCE_DATE_EPOCH turns a build of ggml into one without AVX (ggml/CMakeLists.txt)."""


def cache_dir() -> Path:
    """Where compiled engines and model files are kept: LOCALAI_BUILD_CACHE, else .cache in the checkout."""
    chosen = os.environ.get("LOCALAI_BUILD_CACHE", "")
    return Path(chosen).expanduser().absolute() if chosen else ROOT / ".cache"


def clean_environment() -> dict[str, str]:
    """The variables for pip and compilers: the developer's own, less those that change the outcome silently."""
    env = {
        name: value for name, value in os.environ.items()
        if name not in UNWANTED_VARIABLES and not name.startswith(("SKBUILD", "SCIKIT_BUILD"))
    }
    return env | {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1", "PYTHONNOUSERSITE": "1", "PYTHONUTF8": "1"}


def make_venv(folder: Path, log_name: str) -> Path:
    """An environment with pip in `folder`, kept if it is sound; its interpreter."""
    python = stamp.venv_python(folder.parent, folder.name)
    if _works(python):
        return python
    if folder.exists():
        if not (folder / "pyvenv.cfg").exists():
            raise StepError(f"{folder} is not a Python environment: move it away, then try again.")
        shutil.rmtree(folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    run_logged([sys.executable, "-m", "venv", str(folder)], LOGS / f"{log_name}.log", cwd=ROOT, env=clean_environment())
    return python


def _works(python: Path) -> bool:
    if not python.exists():
        return False
    check = "import pip, sys; sys.exit(not (3, 11) <= sys.version_info[:2])"
    return subprocess.run([python, "-c", check], check=False, capture_output=True, env=clean_environment()).returncode == 0


def pip(python: Path, log_name: str, *arguments: str, env: dict[str, str] | None = None) -> None:
    """Run pip of an environment with its output in a log; `StepError` in words."""
    command = [str(python), "-m", "pip", *arguments]
    run_logged(command, LOGS / f"{log_name}.log", cwd=ROOT, env=env or clean_environment())


def install_locked(python: Path, *locks: Path, log_name: str) -> None:
    """Install exactly what lock files name, each file checked against its hashes; no dependency is resolved."""
    files = [argument for lock in locks for argument in ("-r", str(lock))]
    pip(python, log_name, "install", "--require-hashes", "--no-deps", "--progress-bar", "off", *files)


def install_app(python: Path, log_name: str) -> None:
    """Install the program from this checkout, so that an edit takes effect at the next start."""
    pip(python, log_name, "install", "--no-deps", "--no-build-isolation", "--no-index", "--editable", str(ROOT))


def lock_blocks(lock: Path) -> dict[str, str]:
    """The pins of a lock file: `name==version ; marker` as key, the whole entry with its hashes as value."""
    blocks: dict[str, str] = {}
    name = ""
    for line in lock.read_text(encoding="utf-8").splitlines(keepends=True):
        if line.startswith("#") or not line.strip():
            continue
        if not line[0].isspace():
            name = line.rstrip(" \\\n")
            blocks[name] = ""
        blocks[name] += line
    return blocks


def lock_without_qt(lock: Path) -> Path:
    """A copy of a lock file without Qt and what needs it, for the environment that proves the core free of Qt."""
    target = ROOT / ".cache" / "requirements" / f"{lock.stem}-without-qt.txt"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text_without_qt(lock), encoding="utf-8")
    return target


def text_without_qt(lock: Path) -> str:
    """The entries of a lock file that are neither Qt nor need it."""
    return "".join(block for name, block in lock_blocks(lock).items() if name.split("==")[0] not in QT_PACKAGES)
