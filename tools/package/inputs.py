"""Whether something made earlier is still what its sources give: keys of folders, and a lock against two makers at once."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

_IGNORED = ("__pycache__",)


def key_of(paths: Iterable[Path], *facts: str) -> str:
    """A text that changes with the name and content of any file below `paths`, and with each of `facts`."""
    digest = hashlib.sha256()
    for fact in facts:
        digest.update(f"{fact}\0".encode())
    for path in paths:
        digest.update(f"{path.name}\0".encode())
        for file in _files(path):
            digest.update(f"{file.relative_to(path.parent).as_posix()}\0{file.stat().st_size}\0".encode())
            with file.open("rb") as stream:
                digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    return sorted(file for file in path.rglob("*") if file.is_file() and not set(_IGNORED) & set(file.parts))


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Only one process at a time is inside for this lock file; others wait."""
    from filelock import FileLock

    path.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(path):
        yield
