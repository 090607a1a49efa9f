"""What both ports of the Hub server share: repositories, faults, tokens, the request log, and the sockets themselves."""

from __future__ import annotations

import json
import socket
import sys
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.helpers.hub_server_content import Hashes, HubRepo, RepoFixture, make_repo
from tests.helpers.hub_server_faults import FaultBook


@dataclass
class RequestRecord:
    """One request as it arrived, and what it got. `host` is the Host header, `site` which of the two ports was asked."""

    site: str
    method: str
    path: str
    query: str
    host: str
    range: str | None
    authorization: str | None
    cookie: str | None
    headers: dict[str, str] = field(repr=False)
    status: int = 0
    bytes_sent: int = 0
    faults: dict[str, str] = field(default_factory=dict)
    finished: bool = False


class RequestLog:
    """Every request in memory, and in a file of JSON lines if wanted (one line when it starts, one when it ends)."""

    def __init__(self, file: Path | None) -> None:
        self._lock = threading.Lock()
        self._file = file
        self._records: list[RequestRecord] = []
        if file is not None:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch()

    def begin(self, record: RequestRecord) -> None:
        """Note a request that has just arrived."""
        with self._lock:
            self._records.append(record)
            self._write(record)

    def end(self, record: RequestRecord) -> None:
        """Note that its answer is out, or broken off."""
        with self._lock:
            record.finished = True
            self._write(record)

    def snapshot(self) -> list[RequestRecord]:
        """All requests so far, oldest first."""
        with self._lock:
            return list(self._records)

    def clear(self) -> None:
        """Forget the requests in memory; the file keeps them."""
        with self._lock:
            self._records.clear()

    def _write(self, record: RequestRecord) -> None:
        if self._file is not None:
            with self._file.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps(asdict(record)) + "\n")


class HubState:
    """Everything the handlers look at."""

    def __init__(self, repos: Mapping[str, RepoFixture], *, tokens: Mapping[str, bool], log: Path | None) -> None:
        self.faults = FaultBook()
        self.hashes = Hashes()
        self.log = RequestLog(log)
        self.tokens = tokens
        self.bytes_per_s = 0
        self.page_size = 1000
        self.closing = threading.Event()
        self.hub_url = ""
        self.cdn_url = ""
        self._current: dict[str, HubRepo] = {}
        self._by_commit: dict[tuple[str, str], HubRepo] = {}
        for repo_id, fixture in repos.items():
            self.publish(repo_id, fixture)

    def publish(self, repo_id: str, fixture: RepoFixture) -> str:
        """Add a repository, or a new commit to one: older commits stay reachable. Returns the commit."""
        repo = make_repo(repo_id, fixture)
        self._current[repo_id] = repo
        self._by_commit[repo_id, repo.commit] = repo
        return repo.commit

    def repos(self) -> list[HubRepo]:
        """Every repository at its newest commit."""
        return list(self._current.values())

    def find(self, repo_id: str, revision: str) -> HubRepo | None:
        """A repository at `main` or at a commit."""
        return self._current.get(repo_id) if revision == "main" else self._by_commit.get((repo_id, revision))

    def spelling(self, repo_id: str) -> str:
        """How the owner spells a repository's name that is given in any case of letters."""
        return next((known for known in self._current if known.lower() == repo_id.lower()), repo_id)

    def knows(self, repo_id: str) -> bool:
        """Whether there is such a repository at any revision."""
        return repo_id in self._current


class Site(ThreadingHTTPServer):
    """One listening port; closing it also closes the connections that are still open."""

    daemon_threads = False
    block_on_close = True

    def __init__(self, port: int, handler: type[BaseHTTPRequestHandler], state: HubState, name: str) -> None:
        self.state = state
        self.name = name
        self._connections: set[socket.socket] = set()
        self._connections_lock = threading.Lock()
        super().__init__(("127.0.0.1", port), handler)
        self._thread = threading.Thread(target=self.serve_forever, args=(0.05,), name=f"hub-server-{name}", daemon=True)

    @property
    def url(self) -> str:
        """Address without a trailing slash."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def start(self) -> None:
        """Serve in a thread of its own."""
        self._thread.start()

    def close(self) -> None:
        """Stop serving and wait until every handler is out."""
        self.shutdown()
        self._thread.join()
        with self._connections_lock:
            for connection in self._connections:
                _hang_up(connection)
        self.server_close()

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._connections_lock:
            self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._connections_lock:
            self._connections.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is nothing to report."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


def _hang_up(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return
