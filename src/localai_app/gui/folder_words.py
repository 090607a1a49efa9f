"""Folders as people read them: short, with their own folder left out."""

from __future__ import annotations

import os
from pathlib import Path


def folder_words(path: Path) -> str:
    """A path with the home folder as ~, except on Windows, where nobody writes it so. `Path.expanduser` takes it back."""
    home = Path.home()
    if os.name == "nt" or home == Path(home.anchor) or not path.is_relative_to(home):
        return str(path)
    return str(Path("~") / path.relative_to(home))
