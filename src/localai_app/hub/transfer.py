"""One attempt to get the rest of a file: one request, its answer checked, its bytes appended only where they fit."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from localai_app import errors
from localai_app.errors import AppError
from localai_app.hub.background_reader import BackgroundReader
from localai_app.hub.client import HubClient
from localai_app.hub.failures import RETRY_STATUSES, TransferError, bad_answer, retry_after_s
from localai_app.hub.headers import content_range, whole_number
from localai_app.hub.model import RepoFile
from localai_app.hub.part import PartFile
from localai_app.progress import CancelToken
from localai_app.units import GIB

if TYPE_CHECKING:
    from localai_app.hub.connection import FileAnswer

MAX_REQUEST_BYTES = 32 * GIB
"""The Hub's second host refuses whole files above 50 GB, but not ranges of them."""
_MAGIC = b"GGUF"
_CRAWL_BYTES_PER_S = 64
_SLEEP_SLICE_S = 0.2
_CONNECT_ALLOWANCE_S = 10.0


@dataclass(frozen=True, slots=True)
class Source:
    """What to get, and from where."""

    client: HubClient
    repo_id: str
    commit: str
    file: RepoFile

    @property
    def name(self) -> str:
        """The file's name without folders."""
        return self.file.path.rsplit("/", 1)[-1]


class Attempt:
    """One request for the bytes that a part still lacks."""

    def __init__(
        self, source: Source, part: PartFile, *, cancel: CancelToken, stall_s: float,
        limit_bytes_per_s: Callable[[], int], on_bytes: Callable[[], None],
    ) -> None:
        self._source = source
        self._part = part
        self._cancel = cancel
        self._stall_s = stall_s
        self._limit_bytes_per_s = limit_bytes_per_s
        self._on_bytes = on_bytes

    def run(self) -> None:
        """Append bytes until the answer ends or the file is complete. TransferError for what may work next time."""
        start, size = self._part.length, self._source.file.size_bytes
        end = min(size, start + MAX_REQUEST_BYTES)
        byte_range = "" if (start, end) == (0, size) else f"bytes={start}-{'' if end == size else end - 1}"
        with BackgroundReader(lambda: self._produce(byte_range), f"download-{self._source.name}") as reader:
            answer = reader.next_item(self._cancel, self._stall_s + _CONNECT_ALLOWANCE_S)
            if answer is None or isinstance(answer, bytes):
                raise TransferError("there was no answer")
            begins_anew = self._check(answer, start)
            self._append_all(reader, end, begins_anew=begins_anew)

    def _produce(self, byte_range: str) -> Iterator[FileAnswer | bytes]:
        """Runs in the reader's thread: the answer first, then its body."""
        source = self._source
        with source.client.open_file(source.repo_id, source.commit, source.file.path, byte_range, self._stall_s) as answer:
            yield answer
            if answer.status in (200, 206):
                yield from answer.chunks

    def _check(self, answer: FileAnswer, start: int) -> bool:
        """Whether the body is the whole file (true) or the asked-for range (false); raises if it is neither."""
        if answer.status >= 400:
            raise self._refusal(answer, start)
        self._check_identity(answer.hub_headers)
        host, size = self._source.client.host, self._source.file.size_bytes
        if answer.headers.get("content-encoding", "identity").lower() != "identity":
            raise TransferError("the server compressed the file", final=bad_answer(host, "a compressed file"))
        if "html" in answer.headers.get("content-type", "").lower():
            raise bad_answer(host, "a web page instead of a file, perhaps the login page of this network")
        length = whole_number(answer.headers.get("content-length"))
        if answer.status == 200:
            if length not in (None, size):
                raise bad_answer(host, "the file has another size than its list of files says", f"{length} instead of {size}")
            return True
        found = content_range(answer.headers) if answer.status == 206 else None
        if found is None:
            final = bad_answer(host, f"status {answer.status} for a file")
            raise TransferError("the server sent an unusable answer", final=final)
        first, last, total = found
        if total != size:
            raise bad_answer(host, "the file has another size than its list of files says", f"{total} instead of {size}")
        if first != start or not first <= last < total or length not in (None, last - first + 1):
            raise TransferError(
                "the server sent another part of the file",
                final=bad_answer(host, "another part of the file than was asked for", f"bytes {first}-{last}/{total}"))
        return False

    def _check_identity(self, headers: Mapping[str, str]) -> None:
        """Compare what the Hub says of the file now with what its list of files said."""
        source = self._source
        commit, etag = headers.get("x-repo-commit"), headers.get("x-linked-etag")
        stated = etag.removeprefix("W/").strip('"').lower() if etag is not None else None
        if commit is not None and commit != source.commit:
            raise AppError(errors.FILE_CHANGED, name=source.name, detail=f"commit {commit[:60]!r}")
        if stated is not None and source.file.sha256 is not None and stated != source.file.sha256:
            raise AppError(errors.FILE_CHANGED, name=source.name, detail=f"checksum {stated[:80]!r}")
        linked = headers.get("x-linked-size")
        if linked is not None and whole_number(linked) != source.file.size_bytes:
            raise bad_answer(
                source.client.host, "the file has another size than its list of files says",
                f"{linked[:40]!r} instead of {source.file.size_bytes}")

    def _refusal(self, answer: FileAnswer, start: int) -> Exception:
        """What to make of a status of 400 or more."""
        final = self._source.client.refusal(answer, self._source.repo_id)
        if answer.status == 416:
            stated = whole_number(answer.headers.get("content-range", "").removeprefix("bytes */"))
            size = self._source.file.size_bytes
            if stated is not None and stated != size:
                return bad_answer(
                    self._source.client.host, "the file has another size than its list of files says", f"{stated} for {size}")
            if start > 0:
                self._part.restart()
            return TransferError("the server refused to go on", final=final)
        if answer.status in (401, 403, 404) and not answer.is_from_hub:
            return TransferError("the address of the file had expired", final=final, is_free=True)
        if answer.status in RETRY_STATUSES:
            return TransferError(
                f"the server answered with status {answer.status}", final=final, wait_s=retry_after_s(answer.headers))
        return final

    def _append_all(self, reader: BackgroundReader[FileAnswer | bytes], end: int, *, begins_anew: bool) -> None:
        pace = _Pace(self._limit_bytes_per_s, self._cancel, self._stall_s)
        size = self._source.file.size_bytes
        head = b""
        must_check = begins_anew or self._part.length == 0
        while must_check or self._part.length < end:
            item = reader.next_item(self._cancel, self._stall_s + _CONNECT_ALLOWANCE_S)
            if item is None:
                raise TransferError("the connection was closed early")
            if not isinstance(item, bytes):
                continue
            chunk = head + item
            if must_check:
                if len(chunk) < min(len(_MAGIC), size):
                    head = chunk
                    continue
                self._check_magic(chunk)
                # Only now, when it is clear that a file begins, may it replace what is there.
                if self._part.length:
                    self._part.restart()
                must_check, head = False, b""
                end = size
            self._part.append(chunk[: size - self._part.length])
            self._on_bytes()
            pace.after(len(item))

    def _check_magic(self, chunk: bytes) -> None:
        if self._source.file.path.lower().endswith(".gguf") and not chunk.startswith(_MAGIC[: self._source.file.size_bytes]):
            raise bad_answer(self._source.client.host, "something else instead of a GGUF file", repr(chunk[:40]))


class _Pace:
    """Keeps to the speed limit, and notices a server that only drips."""

    def __init__(self, limit_bytes_per_s: Callable[[], int], cancel: CancelToken, stall_s: float) -> None:
        self._limit_bytes_per_s = limit_bytes_per_s
        self._cancel = cancel
        self._stall_s = stall_s
        self._due_s = self._window_s = time.monotonic()
        self._window_bytes = 0

    def after(self, n_bytes: int) -> None:
        """Sleep as long as `n_bytes` may take at the limit; TransferError when next to nothing came during the stall time."""
        limit = self._limit_bytes_per_s()
        if limit > 0:
            self._due_s = max(self._due_s, time.monotonic() - _SLEEP_SLICE_S) + n_bytes / limit
            while (left_s := self._due_s - time.monotonic()) > 0 and limit > 0:
                if self._cancel.wait(min(left_s, _SLEEP_SLICE_S)):
                    self._cancel.raise_if_cancelled()
                limit = self._limit_bytes_per_s()
            self._window_s, self._window_bytes = time.monotonic(), 0
            return
        self._window_bytes += n_bytes
        elapsed_s = time.monotonic() - self._window_s
        if elapsed_s >= self._stall_s:
            if self._window_bytes < _CRAWL_BYTES_PER_S * elapsed_s:
                raise TransferError("nothing arrived for a while")
            self._window_s, self._window_bytes = time.monotonic(), 0
