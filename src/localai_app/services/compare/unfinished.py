"""Model files that are being made here: named to be recognised, and locked so that what a killed process left goes."""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from localai_app import errors
from localai_app.errors import AppError

log = logging.getLogger(__name__)

_PART, _LOCK = ".part", ".lock"
_MADE_HERE = re.compile(r"\.(.+-from-[A-Z0-9_]+-[A-Z0-9_]+\.gguf)\.part(?:\.lock)?")
"""The target's name in that of its part or lock."""


@contextmanager
def being_made(target: Path) -> Iterator[Path]:
    """The file to write before it gets the target's name, for this process alone; what is left of it at the end goes.

    AppError LOSS_BUSY where another process makes the same file, FOLDER_READ_ONLY where nothing can be written; the target's
    folder has to be there.
    """
    from filelock import FileLock, Timeout

    part, lock_file = _part_of(target), _lock_of(target)
    lock = FileLock(lock_file, timeout=0, thread_local=False)
    try:
        lock.acquire()
    except Timeout:
        raise AppError(errors.LOSS_BUSY, what="another window or command of Local AI makes this file") from None
    except OSError as error:
        raise AppError(errors.FOLDER_READ_ONLY, folder=target.parent, detail=str(error)) from error
    try:
        yield part
    finally:
        # The lock file goes while it is held, so that nobody waits for a file without a name.
        for path in (part, lock_file):
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
        lock.release()


def sweep_unfinished(folder: Path) -> None:
    """Take away, in all of a models folder, what processes left that were killed while they made a file."""
    with contextlib.suppress(OSError):
        left = {path.with_name(match[1]) for path in folder.rglob(f".*{_PART}*") if (match := _MADE_HERE.fullmatch(path.name))}
        for target in left:
            try:
                with being_made(target):
                    log.info("taken away: what a killed process left of %s", target)
            except AppError as error:
                log.info("%s is left as it is: %s", target, error)


def _part_of(target: Path) -> Path:
    return target.with_name(f".{target.name}{_PART}")


def _lock_of(target: Path) -> Path:
    return target.with_name(f".{target.name}{_PART}{_LOCK}")
