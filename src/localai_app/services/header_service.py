"""Headers of models: of files on this disk, and of files on the Hub, read by ranges before anything is downloaded."""

from __future__ import annotations

import threading
from pathlib import Path

from localai_app import errors
from localai_app.errors import AppError
from localai_app.gguf.header import GgufHeader
from localai_app.gguf.reader import read_header, read_header_file
from localai_app.hub.model import Repo, RepoFile, Variant
from localai_app.services.hub_service import HubService
from localai_app.services.library_service import missing_parts
from localai_app.services.views import InstalledModel


class HeaderService:
    """Reads headers, all parts of a model in order. Those from the Hub are kept per commit and path."""

    def __init__(self, hub: HubService) -> None:
        self._hub = hub
        self._lock = threading.Lock()
        self._remote_headers: dict[tuple[str, str], GgufHeader] = {}

    def of_installed(self, model: InstalledModel) -> list[GgufHeader]:
        """The headers of a model on this disk; AppError if one is refused or a part is missing."""
        missing = missing_parts(model.paths)
        if missing:
            expected = len(model.paths) + len(missing)
            raise AppError(errors.MODEL_PARTS_MISSING, name=model.name, expected=expected, missing=", ".join(missing[:3]))
        return [read_header_file(path) for path in model.paths]

    def of_remote(self, repo: Repo, variant: Variant) -> list[GgufHeader]:
        """The headers of a variant on the Hub; the second time without the network. AppError if one cannot be read."""
        headers = []
        for file in variant.files:
            cache_key = (repo.commit, file.path)
            with self._lock:
                header = self._remote_headers.get(cache_key)
            if header is None:
                header = self._read_remote(repo, file)
                with self._lock:
                    self._remote_headers[cache_key] = header
            headers.append(header)
        return headers

    def _read_remote(self, repo: Repo, file: RepoFile) -> GgufHeader:
        client = self._hub.client()

        def read_range(offset: int, length: int) -> bytes:
            return client.read_range(repo.repo_id, repo.commit, file.path, offset, length)

        return read_header(read_range, file.size_bytes, Path(file.path).name)
