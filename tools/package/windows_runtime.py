"""Microsoft's C and C++ libraries beside the program, for computers that no other program has brought them to.

What Microsoft's compiler makes asks for them, so also the engine. PyInstaller leaves those of Qt's wheels in Qt's own folder,
where a worker, which loads no Qt, does not look; the folder of the program is searched for every library.
"""

from __future__ import annotations

import importlib.util
import re
import shutil
import sys
from pathlib import Path

from tools.dev.console import StepError

RUNTIMES = ("msvcp140.dll", "msvcp140_1.dll", "msvcp140_2.dll", "vcruntime140.dll", "vcruntime140_1.dll")
WHEEL = "shiboken6"
"""The package that brings all of them."""
_NAME = re.compile(r"(msvcp|vcruntime|concrt|vccorlib)140[-\w]*\.dll", re.IGNORECASE)


def is_runtime(name: str) -> bool:
    """Whether a file is one of Microsoft's runtime libraries, by its name."""
    return _NAME.fullmatch(name) is not None


def place(folder: Path, system: str = sys.platform) -> dict[str, Path]:
    """Copy them into the folder of the program on Windows: each by its name, with the file that it was copied from."""
    if system != "win32":
        return {}
    spec = importlib.util.find_spec(WHEEL)
    sources = [Path(place) for place in (spec.submodule_search_locations or ())] if spec is not None else []
    placed: dict[str, Path] = {}
    for name in RUNTIMES:
        found = next((source / name for source in sources if (source / name).is_file()), None)
        if found is None:
            raise StepError(f"The package {WHEEL} lacks {name}, without which the engine would not start on every computer.")
        shutil.copyfile(found, folder / name)
        placed[name] = found
    return placed
