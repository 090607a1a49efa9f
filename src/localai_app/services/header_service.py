"""Headers of models: of files on this disk, and of files on the Hub, read by ranges before anything is downloaded."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, ThreadPoolExecutor, wait
from pathlib import Path

from localai_app import errors
from localai_app.errors import AppError
from localai_app.gguf.header import GgufHeader
from localai_app.gguf.reader import ReadRange, read_header, read_header_file
from localai_app.gguf.sister import HeaderTemplate, SisterRange, template_of
from localai_app.hub.background_reader import BackgroundReader
from localai_app.hub.client import HubClient
from localai_app.hub.failures import TransferError
from localai_app.hub.model import Repo, RepoFile, Variant
from localai_app.progress import Cancelled, CancelToken
from localai_app.services.header_cache import HeaderCache, HeaderKey
from localai_app.services.hub_service import HubService
from localai_app.services.library_service import missing_parts
from localai_app.services.projectors import belongs_to, projector_beside, projector_of_repo
from localai_app.services.views import InstalledModel

log = logging.getLogger(__name__)

MAX_READERS = 4
"""Headers that are read from the Hub at the same time, over all callers."""
LOOK_S = 0.5
READ_LIMIT_S = 180.0
"""For one header: at most 32 steps of 2 MB."""


class HeaderService:
    """Reads headers, all parts of a model in order. Those from the Hub are kept per repository, commit and path."""

    def __init__(self, hub: HubService, cache_dir: Path) -> None:
        self._hub = hub
        self._cache = HeaderCache(cache_dir / "headers")
        self._readers = ThreadPoolExecutor(MAX_READERS, thread_name_prefix="header")
        self._closing = CancelToken()

    def close(self) -> None:
        """Give up what is being read."""
        self._closing.cancel()
        self._readers.shutdown(wait=True, cancel_futures=True)

    def of_installed(self, model: InstalledModel) -> list[GgufHeader]:
        """The headers of a model on this disk, and last that of a projector beside it.

        AppError if a part is refused or missing.
        """
        missing = missing_parts(model.paths)
        if missing:
            expected = len(model.paths) + len(missing)
            raise AppError(errors.MODEL_PARTS_MISSING, name=model.name, expected=expected, missing=", ".join(missing[:3]))
        headers = [read_header_file(path) for path in model.paths]
        projector = projector_beside(model.paths[0], headers[0])
        return headers if projector is None else [*headers, projector]

    def of_remote(self, repo: Repo, variant: Variant) -> list[GgufHeader]:
        """The headers of a variant on the Hub; the second time without the network. AppError if one cannot be read."""
        return self._of_files(repo, variant.files)

    def of_projector(self, repo: Repo, model: GgufHeader) -> GgufHeader | None:
        """The header of the image or audio part that a repository has for its models.

        None where it has none, or one that cannot be used: the models do without it.
        """
        file = projector_of_repo(repo)
        if file is None:
            return None
        try:
            (header,) = self._of_files(repo, (file,))
        except AppError as error:
            log.info("the projector of %s is not known: %s", repo.repo_id, error.message)
            return None
        return header if belongs_to(header, model) else None

    def of_each(
        self, repo: Repo, variants: tuple[Variant, ...], cancel: CancelToken,
    ) -> Iterator[tuple[Variant, list[GgufHeader] | AppError]]:
        """The headers of several variants, each as soon as it is there: one that cannot be read does not spoil the others.

        Raises `Cancelled` soon after `cancel` was set; what was not begun is not asked for any more.
        """
        shelf, left = _Shelf(), list(variants)
        waiting: dict[str, tuple[Variant, list[Future[GgufHeader]]]] = {}
        try:
            while left or waiting:
                # One is read whole; what it says of the vocabulary need not be fetched again with the others.
                while left and (shelf.is_filled or not waiting):
                    variant = left.pop(0)
                    waiting[variant.label] = variant, self._start(repo, variant.files, cancel, shelf)
                done = [label for label, (_variant, parts) in waiting.items() if all(part.done() for part in parts)]
                for label in done:
                    variant, parts = waiting.pop(label)
                    yield variant, _headers_or_error(parts)
                cancel.raise_if_cancelled()
                if not done:
                    running = [part for _variant, parts in waiting.values() for part in parts if not part.done()]
                    # One that is given up before it began wakes nobody up.
                    wait(running, LOOK_S, FIRST_COMPLETED)
        finally:
            for _variant, parts in waiting.values():
                for part in parts:
                    part.cancel()

    def _of_files(self, repo: Repo, files: tuple[RepoFile, ...]) -> list[GgufHeader]:
        try:
            return _together(self._start(repo, files, self._closing, _Shelf()))
        except (Cancelled, CancelledError) as error:
            host = self._hub.client().host
            raise AppError(errors.HUB_UNREACHABLE, host=host, detail="the program is closing") from error

    def _start(
        self, repo: Repo, files: tuple[RepoFile, ...], cancel: CancelToken, shelf: _Shelf,
    ) -> list[Future[GgufHeader]]:
        return [self._start_file(repo, file, cancel, shelf) for file in files]

    def _start_file(self, repo: Repo, file: RepoFile, cancel: CancelToken, shelf: _Shelf) -> Future[GgufHeader]:
        key = HeaderKey(repo.repo_id, repo.commit, file.path, file.size_bytes)
        kept = self._cache.find(key)
        if kept is not None:
            future: Future[GgufHeader] = Future()
            future.set_result(kept)
            return future
        try:
            return self._readers.submit(self._read_remote, self._hub.client(), key, cancel, shelf)
        except RuntimeError as error:  # closed
            raise Cancelled from error

    def _read_remote(self, client: HubClient, key: HeaderKey, cancel: CancelToken, shelf: _Shelf) -> GgufHeader:
        def read_range(offset: int, length: int) -> bytes:
            self._raise_if_unwanted(cancel)
            return client.read_range(key.repo_id, key.commit, key.path, offset, length)

        def produce() -> Iterator[GgufHeader]:
            yield shelf.read_header(read_range, key.size_bytes, Path(key.path).name)

        self._raise_if_unwanted(cancel)
        with BackgroundReader(produce, "header-range") as reader:
            try:
                header = reader.next_item(_Either(cancel, self._closing), READ_LIMIT_S)
            except TransferError as error:
                raise AppError(errors.HUB_UNREACHABLE, host=client.host, detail=error.reason) from error
        assert header is not None
        self._cache.add(key, header)
        return header

    def _raise_if_unwanted(self, cancel: CancelToken) -> None:
        cancel.raise_if_cancelled()
        self._closing.raise_if_cancelled()


class _Shelf:
    """Keeps the first header that was read whole, so that its sisters can be read in part."""

    def __init__(self) -> None:
        self.is_filled = False
        self._template: HeaderTemplate | None = None

    def read_header(self, read_range: ReadRange, file_size: int, name: str) -> GgufHeader:
        """A header in as few bytes as it takes; AppError as `gguf.reader.read_header`."""
        template = self._template
        if template is not None:
            with contextlib.suppress(AppError):
                return read_header(SisterRange(read_range, file_size, template).read, file_size, name)
        raw = bytearray()

        def read_and_keep(offset: int, length: int) -> bytes:
            piece = read_range(offset, length)
            raw[offset:] = piece
            return piece

        header = read_header(read_and_keep, file_size, name)
        if not self.is_filled and header.metadata.get("split.no", 0) == 0:
            self._template = template_of(header, bytes(raw))
            self.is_filled = True
        return header


class _Either(CancelToken):
    """Set as soon as one of two tokens is."""

    def __init__(self, one: CancelToken, other: CancelToken) -> None:
        super().__init__()
        self._tokens = (one, other)

    def raise_if_cancelled(self) -> None:
        for token in self._tokens:
            token.raise_if_cancelled()


def _together(parts: list[Future[GgufHeader]]) -> list[GgufHeader]:
    """All headers, or the first failure; the rest is not asked for any more."""
    try:
        return [part.result() for part in parts]
    finally:
        for part in parts:
            part.cancel()


def _headers_or_error(parts: list[Future[GgufHeader]]) -> list[GgufHeader] | AppError:
    try:
        return _together(parts)
    except AppError as error:
        return error
