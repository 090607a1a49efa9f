"""Whether the disk has room, asked before a download and on the way."""

from __future__ import annotations

import math
import shutil
from pathlib import Path

from localai_app import errors
from localai_app.errors import AppError
from localai_app.units import GB, format_file_size

MARGIN = 0.02
"""Share on top of what is needed, for the file system's own bookkeeping."""
FLOOR_BYTES = GB
"""What must be left for the rest of the system."""


def free_bytes(folder: Path) -> int:
    """Bytes that this user may still write where `folder` is, or will be made. AppError FOLDER_MISSING without any parent."""
    for place in (folder, *folder.parents):
        try:
            return shutil.disk_usage(place).free
        except FileNotFoundError:
            continue
        except OSError as error:
            raise AppError(errors.FOLDER_MISSING, folder=folder, detail=str(error)) from error
    raise AppError(errors.FOLDER_MISSING, folder=folder)


def require_space(folder: Path, needed_bytes: int, *, floor_bytes: int = FLOOR_BYTES) -> None:
    """Raise AppError NO_SPACE unless `needed_bytes`, 2% more and `floor_bytes` are free; nothing is needed for nothing."""
    if needed_bytes <= 0:
        return
    free = free_bytes(folder)
    wanted = math.ceil(needed_bytes * (1 + MARGIN)) + floor_bytes
    if free < wanted:
        spare = f" (with {format_file_size(floor_bytes)} to spare)" if floor_bytes else ""
        raise AppError(
            errors.NO_SPACE, folder=folder, needed=format_file_size(wanted) + spare, free=format_file_size(free),
            detail=f"{needed_bytes} bytes needed, {MARGIN:.0%} margin, {floor_bytes} to be left over, {free} free")
