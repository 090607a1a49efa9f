"""Files that are whole on disk or not there: written beside their place, then renamed."""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from pathlib import Path

_IS_WINDOWS = os.name == "nt"
_PATIENCE_S = 0.5
_PAUSE_S = 0.02


def write_whole(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Replace a file so that after a crash either the old or the new content is there; OSError where the disk refuses.

    `mode` are the permissions where the system has them; without one only the owner can read it. The folder must exist.
    """
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:32]}.", suffix=".tmp")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(mode)
        put_in_place(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    sync_folder(path.parent)


def put_in_place(new: Path, path: Path) -> None:
    """Rename a file over another one; OSError where the disk refuses.

    Windows refuses while anybody reads one of the two, a virus scanner or another process of this program: there it is tried
    again for half a second.
    """
    ends_s = time.monotonic() + _PATIENCE_S
    while True:
        try:
            new.replace(path)
        except PermissionError:
            if not _IS_WINDOWS or time.monotonic() >= ends_s:
                raise
            time.sleep(_PAUSE_S)
        else:
            return


def sync_folder(folder: Path) -> None:
    """Make a rename in it last through a power failure, where the system lets a folder be opened."""
    if os.name != "posix":
        return
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
