"""Signs what Local AI's own build made for Windows: the programs and the engine's libraries.

Python, Qt and Microsoft's libraries keep the signatures of their makers. setup.exe and the uninstaller are signed by NSIS
(packaging/windows/setup.nsi). The command comes from LOCALAI_SIGN_COMMAND; the path of a file is appended to it.
"""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path

from tools.dev.console import StepError
from tools.package import engine_checksums, pe

VARIABLE = "LOCALAI_SIGN_COMMAND"
_MANIFEST = "engine.json"


def sign_tree(tree: Path, command: str) -> list[Path]:
    """Sign the programs beside each other in `tree` and the engine's libraries, and write their new checksums down."""
    engines = sorted(tree.glob(f"engine/*/{_MANIFEST}"))
    files = sorted(path for path in tree.iterdir() if path.suffix == ".exe")
    for manifest in engines:
        files += sorted(path for path in manifest.parent.rglob("*") if path.is_file() and pe.is_program(path))
    for path in files:
        _sign(path, command)
    for manifest in engines:
        engine_checksums.renew(manifest)
    return files


def _sign(path: Path, command: str) -> None:
    words = [word.strip('"') for word in shlex.split(command, posix=os.name != "nt")]
    done = subprocess.run([*words, str(path)], capture_output=True, text=True, errors="replace", check=False)
    if done.returncode:
        raise StepError(f"{path.name} could not be signed: {(done.stderr.strip() or done.stdout.strip())[-300:]}")
