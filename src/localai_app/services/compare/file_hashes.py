"""SHA-256 of model files, computed once for each version of a file and remembered in the store."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

from localai_app.errors import AppError
from localai_app.store.library import LibraryStore

_CHUNK_BYTES = 4 * 1024 * 1024


class FileHashes:
    """A file is known by path, size and time of its last change."""

    def __init__(self, facts: LibraryStore) -> None:
        self._facts = facts

    def known(self, path: Path) -> str | None:
        """What was computed before; None where nothing was, or the file has changed since."""
        name = _fact(path)
        with contextlib.suppress(AppError):
            return self._facts.get_fact(name) if name else None
        return None

    def of(self, path: Path, is_cancelled: Callable[[], bool] = lambda: False) -> str | None:
        """Hexadecimal, read from the file where it is not known (a second for each GB or two); None where that is not possible
        or `is_cancelled`.
        """
        known, name = self.known(path), _fact(path)
        if known is not None or not name:
            return known
        digest = hashlib.sha256()
        try:
            with path.open("rb") as file:
                while chunk := file.read(_CHUNK_BYTES):
                    if is_cancelled():
                        return None
                    digest.update(chunk)
        except OSError:
            return None
        if _fact(path) == name:
            # Not worth an error: it is computed again.
            with contextlib.suppress(AppError):
                self._facts.set_fact(name, digest.hexdigest())
        return digest.hexdigest()

    def of_all(self, paths: Sequence[Path], is_cancelled: Callable[[], bool] = lambda: False) -> tuple[str, ...]:
        """Those of a model's files, in order; empty where one of them cannot be had."""
        found = [self.of(path, is_cancelled) for path in paths]
        return tuple(one for one in found if one is not None) if None not in found else ()


def _fact(path: Path) -> str:
    """The name under which the store keeps it; empty where there is no such file."""
    try:
        file = path.stat()
    except OSError:
        return ""
    return f"sha256:{path}:{file.st_size}:{file.st_mtime_ns}"
