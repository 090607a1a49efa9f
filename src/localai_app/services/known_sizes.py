"""Sizes of variants as the Hub published them, kept in the cache folder for the catalog of the next start."""

from __future__ import annotations

import logging
import threading
from pathlib import Path

import msgspec

from localai_app.hub.model import Repo

log = logging.getLogger(__name__)

MAX_REPOS = 500
MAX_FILE_BYTES = 4_000_000


class KnownSizes:
    """Bytes by repository (in small letters) and label. A file that cannot be read or written costs another question."""

    def __init__(self, cache_dir: Path) -> None:
        self._path = cache_dir / "sizes.json"
        self._lock = threading.Lock()
        self._sizes = self._read()

    def all(self) -> dict[str, dict[str, int]]:
        """Everything that is known."""
        with self._lock:
            return dict(self._sizes)

    def note(self, repo: Repo) -> bool:
        """Keep the sizes of a repository's variants; whether that is news."""
        sizes = {variant.label: variant.size_bytes for variant in repo.variants}
        with self._lock:
            before = self._sizes.pop(repo.repo_id.lower(), None)
            self._sizes[repo.repo_id.lower()] = sizes
            while len(self._sizes) > MAX_REPOS:
                del self._sizes[next(iter(self._sizes))]
            if before == sizes:
                return False
            self._write()
        return True

    def _read(self) -> dict[str, dict[str, int]]:
        try:
            with self._path.open("rb") as file:
                known = msgspec.json.decode(file.read(MAX_FILE_BYTES), type=dict[str, dict[str, int]])
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
            return {}
        return known if all(size > 0 for sizes in known.values() for size in sizes.values()) else {}

    def _write(self) -> None:
        partial = self._path.with_suffix(".part")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            partial.write_bytes(msgspec.json.encode(self._sizes))
            partial.replace(self._path)
        except OSError as error:
            log.info("sizes from the Hub could not be kept: %s", error)
