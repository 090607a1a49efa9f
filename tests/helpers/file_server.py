"""A web server on this computer that serves bytes, with the faults that networks have."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Served:
    """What one address answers."""

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    ranges: bool = True
    cut_after: list[int] = field(default_factory=list)
    """For each request in turn: how many bytes of the body are sent before the connection is closed."""
    drip_s: float = 0.0
    """Pause after each 1 kB."""
    content_length: int | None = None


@dataclass(frozen=True)
class SeenRequest:
    """One request as it arrived."""

    path: str
    headers: dict[str, str]


class FileServer:
    """Addresses and what they answer; `requests` are all that came."""

    def __init__(self) -> None:
        self.served: dict[str, Served] = {}
        self.requests: list[SeenRequest] = []
        self.is_closing = threading.Event()
        handler = type("Handler", (_Handler,), {"owner": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = False
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="file-server")
        self._thread.start()

    @property
    def url(self) -> str:
        """The address of the root, without a slash at its end."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def serve(self, path: str, body: bytes, **options: Any) -> str:
        """Answer `path` with these bytes; its address."""
        self.served[path] = Served(body, **options)
        return self.url + path

    def close(self) -> None:
        """End it, and every answer that is still being sent."""
        self.is_closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Handler(BaseHTTPRequestHandler):
    owner: FileServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.owner.requests.append(SeenRequest(self.path, {name.lower(): value for name, value in self.headers.items()}))
        served = self.owner.served.get(self.path)
        self.close_connection = True
        if served is None:
            self.send_error(404)
            return
        start = self._start(served)
        body = served.body[start:]
        status = 206 if start and served.status == 200 else served.status
        self.send_response(status)
        for name, value in served.headers.items():
            self.send_header(name, value)
        if status == 206:
            self.send_header("Content-Range", f"bytes {start}-{len(served.body) - 1}/{len(served.body)}")
        length = len(body) if served.content_length is None else served.content_length
        self.send_header("Content-Length", str(length))
        self.send_header("Connection", "close")
        self.end_headers()
        self._send(served, body[: served.cut_after.pop(0)] if served.cut_after else body)

    def _send(self, served: Served, body: bytes) -> None:
        step = 1000 if served.drip_s else max(1, len(body))
        try:
            for begin in range(0, len(body), step):
                self.wfile.write(body[begin : begin + step])
                if served.drip_s and self.owner.is_closing.wait(served.drip_s):
                    return
        except OSError:
            return

    def _start(self, served: Served) -> int:
        asked = self.headers.get("Range", "")
        return int(asked.removeprefix("bytes=").rstrip("-")) if asked and served.ranges else 0

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextmanager
def file_server() -> Iterator[FileServer]:
    """A server for one test."""
    server = FileServer()
    try:
        yield server
    finally:
        server.close()


def wait_for(condition: Callable[[], bool], timeout_s: float = 10.0) -> None:
    """Wait until a condition holds."""
    ends_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < ends_s, "waited in vain"
        time.sleep(0.01)
