"""How the Hub server answers for a file: ranges, preconditions, and every way of getting them wrong."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator
from dataclasses import dataclass

from tests.helpers.hub_server_content import HubFile
from tests.helpers.hub_server_faults import offset_of

_HTML = b"<!DOCTYPE html><html><body>Please log in to continue</body></html>"


@dataclass
class FileAnswer:
    """Status, headers and what to send; `start` and `end` are offsets in the file."""

    file: HubFile
    status: int
    headers: dict[str, str]
    start: int = 0
    end: int = 0
    replacement: bytes | None = None
    corrupt_at: int | None = None
    ends_early: bool = False
    stalls: bool = False
    bytes_per_s: int = 0

    def chunks(self) -> Iterator[bytes]:
        """The body, spoiled if so asked."""
        if self.replacement is not None:
            yield self.replacement
            return
        offset = self.start
        for chunk in self.file.read(self.start, self.end):
            spoiled = chunk
            if self.corrupt_at is not None and offset <= self.corrupt_at < offset + len(chunk):
                index = self.corrupt_at - offset
                spoiled = chunk[:index] + bytes([chunk[index] ^ 0xFF]) + chunk[index + 1 :]
            yield spoiled
            offset += len(chunk)


def plan_file_answer(
    file: HubFile, range_header: str | None, if_range: str | None, etag: str, faults: dict[str, str]
) -> FileAnswer:
    """What to answer to a GET or HEAD of a file."""
    if "html" in faults:
        return _replaced(file, _HTML, {"Content-Type": "text/html; charset=utf-8"})
    wanted = None if "ignore_range" in faults else _parse_range(range_header, file.size)
    if if_range is not None and if_range != etag:
        wanted = None
    headers = {"Content-Type": "application/octet-stream", "Accept-Ranges": "bytes", "ETag": etag}
    if wanted == (-1, -1) or "refuse_range" in faults:
        return FileAnswer(file, 416, {"Content-Range": f"bytes */{file.size}", "Content-Length": "0"})
    start, end = wanted or (0, file.size)
    status = 206 if wanted else 200
    if "gzip" in faults:
        body = gzip.compress(b"".join(file.read(start, end)))
        return _replaced(file, body, {**headers, "Content-Encoding": "gzip"}, status)
    headers["Content-Length"] = str(end - start)
    if status == 206:
        headers["Content-Range"] = _content_range(start, end, file.size, faults)
    return _spoil(FileAnswer(file, status, headers, start, end), faults)


def _replaced(file: HubFile, body: bytes, headers: dict[str, str], status: int = 200) -> FileAnswer:
    return FileAnswer(file, status, {**headers, "Content-Length": str(len(body))}, replacement=body)


def _content_range(start: int, end: int, size: int, faults: dict[str, str]) -> str:
    shift = 7 if "wrong_content_range" in faults else 0
    total = size + 5 if "wrong_total" in faults else size
    return f"bytes {start + shift}-{end - 1 + shift}/{total}"


def _spoil(answer: FileAnswer, faults: dict[str, str]) -> FileAnswer:
    size = answer.file.size
    answer.status = int(faults.get("wrong_status", answer.status))
    answer.bytes_per_s = int(faults.get("slow") or 0)
    if "corrupt" in faults:
        answer.corrupt_at = offset_of(faults["corrupt"] or "0.5", size)
    if "missing_length" in faults:
        del answer.headers["Content-Length"]
    for name in ("drop", "stall"):
        if name in faults:
            answer.end = max(answer.start, min(answer.end, offset_of(faults[name] or "0", size)))
            answer.ends_early = True
            answer.stalls = name == "stall"
    return answer


def _parse_range(header: str | None, size: int) -> tuple[int, int] | None:
    """(start, end) of a single range, end excluded; None without one; (-1, -1) for one that cannot be satisfied."""
    match = re.fullmatch(r"bytes=(\d*)-(\d*)", header or "")
    if match is None or match.groups() == ("", ""):
        return None
    first, last = match.groups()
    start = int(first) if first else max(0, size - int(last))
    end = min(int(last) + 1, size) if first and last else size
    return (start, end) if start < size and start < end else (-1, -1)
