"""An HTTP proxy on loopback that passes requests on, and remembers which addresses it was asked for."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from urllib.parse import urlsplit

CHUNK_BYTES = 64 * 1024
HOP_HEADERS = {"connection", "keep-alive", "proxy-connection", "proxy-authenticate", "proxy-authorization", "te", "trailer",
               "transfer-encoding", "upgrade"}


class ForwardProxy:
    """`names` says where the hosts are that only this proxy knows: `{"hub.invalid": "127.0.0.1:5000"}`."""

    def __init__(self, names: Mapping[str, str]) -> None:
        self.addresses: list[str] = []
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                """Pass a request on."""
                proxy.addresses.append(self.path)
                _pass_on(self, names)

            do_HEAD = do_GET  # noqa: N815

            def log_message(self, format: str, *arguments: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})

    @property
    def url(self) -> str:
        """Its own address."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> ForwardProxy:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def _pass_on(request: BaseHTTPRequestHandler, names: Mapping[str, str]) -> None:
    """Ask the server that the address names, and send its answer back as it comes."""
    parts = urlsplit(request.path)
    connection = http.client.HTTPConnection(names.get(parts.hostname or "", parts.netloc), timeout=30)
    try:
        headers = {name: value for name, value in request.headers.items() if name.lower() not in HOP_HEADERS}
        path = f"{parts.path}?{parts.query}" if parts.query else parts.path
        connection.request(request.command, path, headers=headers)
        answer = connection.getresponse()
        request.send_response_only(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in HOP_HEADERS:
                request.send_header(name, value)
        request.send_header("Connection", "close")
        request.end_headers()
        while chunk := answer.read1(CHUNK_BYTES):
            request.wfile.write(chunk)
    except OSError:
        pass
    finally:
        request.close_connection = True
        connection.close()
