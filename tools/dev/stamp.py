"""Whether an environment is up to date, decided in a millisecond. Runs on Python 3.8."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

VENV = ".venv"
INPUTS = (
    "pyproject.toml", "requirements/lock.txt", "requirements/build.txt", "requirements/engine.txt",
    "requirements/engine-build.txt", "tools/dev/engine.py", "tools/dev/engine_parts.cmake", "tools/dev/environment.py",
)
FURTHER_INPUTS = {"test": ("requirements/test.txt",), "package": ("requirements/package.txt",)}


def venv_python(root: Path, venv: str = VENV) -> Path:
    """The interpreter inside an environment."""
    if os.name == "nt":
        return root / venv / "Scripts" / "python.exe"
    return root / venv / "bin" / "python"


def stamp_file(root: Path, name: str = "run", venv: str = VENV) -> Path:
    """Where the fingerprint of a finished installation is kept."""
    return root / venv / f"localai-{name}.stamp"


def fingerprint(root: Path, name: str = "run", venv: str = VENV) -> str:
    """A hash of everything that the environment was made from: locks, build choices, interpreter and place."""
    digest = hashlib.sha256()
    for path in (*INPUTS, *FURTHER_INPUTS.get(name, ()), f"{venv}/pyvenv.cfg"):
        try:
            content = (root / path).read_bytes()
        except OSError:
            content = b"missing"
        digest.update(path.encode() + b"\0" + content + b"\0")
    for part in (str(root), os.environ.get("LOCALAI_CUDA", ""), shutil.which("nvcc") or ""):
        digest.update(os.fsencode(part) + b"\0")
    return digest.hexdigest()


def is_ready(root: Path, name: str = "run", venv: str = VENV) -> bool:
    """Whether the environment is there and was made from just these inputs."""
    try:
        recorded = stamp_file(root, name, venv).read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return False
    return recorded == fingerprint(root, name, venv) and venv_python(root, venv).exists()


def write(root: Path, name: str = "run", venv: str = VENV) -> None:
    """Record that the environment is finished."""
    stamp_file(root, name, venv).write_text(fingerprint(root, name, venv) + "\n", encoding="ascii")
