"""A Hub on loopback that the real huggingface_hub client accepts: search, model info, tree, ranges, a second host, faults.

In a test:

    with HubServer({"owner/model-GGUF": RepoFixture({"model-Q4_K_M.gguf": data})}) as server:
        server.fail("*/model-Q4_K_M.gguf", "drop@0.5", times=1)
        ... HubClient(server.endpoint) ...
        assert [record.range for record in server.requests if record.site == "cdn"] == [None, "bytes=500-"]

By hand: `python -m tests.helpers.hub_server --repo owner/model-GGUF=FILE [--repo ...] --port 0 --log FILE`, which prints
one line of JSON with its endpoint and serves until it is interrupted. It imports nothing of the app.
"""

from __future__ import annotations

import argparse
import json
import signal
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

from tests.helpers.hub_server_content import RepoFixture
from tests.helpers.hub_server_handlers import CdnHandler, HubHandler
from tests.helpers.hub_server_state import HubState, RequestRecord, Site

__all__ = ["GOOD_TOKEN", "UNGRANTED_TOKEN", "HubServer", "RepoFixture", "RequestRecord"]

GOOD_TOKEN = "hf_goodtokengoodtoken"
UNGRANTED_TOKEN = "hf_ungrantedungranted"


class HubServer:
    """Two ports on loopback: the Hub, and the second host that it sends clients to for large files.

    `tokens` maps each valid token to whether its owner has access to gated and private repositories.
    """

    def __init__(
        self,
        repos: Mapping[str, RepoFixture],
        *,
        port: int = 0,
        log: Path | None = None,
        bytes_per_s: int = 0,
        tokens: Mapping[str, bool] | None = None,
    ) -> None:
        self._state = HubState(repos, tokens=tokens or {GOOD_TOKEN: True, UNGRANTED_TOKEN: False}, log=log)
        self._state.bytes_per_s = bytes_per_s
        self._hub = Site(port, HubHandler, self._state, "hub")
        self._cdn = Site(0, CdnHandler, self._state, "cdn")
        self._state.hub_url, self._state.cdn_url = self._hub.url, self._cdn.url

    def __enter__(self) -> HubServer:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def start(self) -> None:
        """Serve on both ports."""
        self._hub.start()
        self._cdn.start()

    def close(self) -> None:
        """Break off what is being sent and close both ports."""
        self._state.closing.set()
        self._hub.close()
        self._cdn.close()

    @property
    def endpoint(self) -> str:
        """The Hub's address, for HF_ENDPOINT and our own setting."""
        return self._hub.url

    @property
    def cdn_endpoint(self) -> str:
        """The second host's address."""
        return self._cdn.url

    @property
    def requests(self) -> list[RequestRecord]:
        """Every request so far, oldest first (control requests included)."""
        return self._state.log.snapshot()

    def body_requests(self) -> list[RequestRecord]:
        """Requests for the bytes of large files that reached the second host, oldest first."""
        return [record for record in self.requests if record.site == "cdn" and record.method == "GET"]

    def forget_requests(self) -> None:
        """Start the list of requests anew."""
        self._state.log.clear()

    def fail(self, path_glob: str, script: str, *, times: int | None = 1, method: str = "*") -> None:
        """Spoil the next `times` (None: all) requests whose path matches; see `hub_server_faults` for scripts."""
        self._state.faults.add(path_glob, script, times=times, method=method)

    def clear_faults(self) -> None:
        """Behave from now on."""
        self._state.faults.clear()

    def publish(self, repo_id: str, fixture: RepoFixture) -> str:
        """Add a repository or a new commit to one; returns the commit."""
        return self._state.publish(repo_id, fixture)

    def commit(self, repo_id: str) -> str:
        """The newest commit of a repository."""
        repo = self._state.find(repo_id, "main")
        if repo is None:
            raise KeyError(repo_id)
        return repo.commit

    @property
    def bytes_per_s(self) -> int:
        """Speed limit of each body; 0 means none."""
        return self._state.bytes_per_s

    @bytes_per_s.setter
    def bytes_per_s(self, value: int) -> None:
        self._state.bytes_per_s = value

    @property
    def page_size(self) -> int:
        """Rows per page of a search or a tree, at most."""
        return self._state.page_size

    @page_size.setter
    def page_size(self, value: int) -> None:
        self._state.page_size = value


def _fixtures(arguments: Sequence[str]) -> dict[str, RepoFixture]:
    files: dict[str, dict[str, Path | bytes]] = {}
    for argument in arguments:
        repo_id, _, name = argument.partition("=")
        path = Path(name).resolve(strict=True)
        files.setdefault(repo_id, {})[path.name] = path
    return {repo_id: RepoFixture(members, downloads=1000, likes=10) for repo_id, members in files.items()}


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until SIGINT or SIGTERM."""
    parser = argparse.ArgumentParser(description="A Hub on loopback, for demonstrations and tests.")
    parser.add_argument("--repo", action="append", default=[], metavar="OWNER/NAME=FILE", help="may be given several times")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--log", type=Path, help="append every request to this file as JSON lines")
    parser.add_argument("--bytes-per-s", type=int, default=0, help="speed limit of each file")
    parser.add_argument("--fail", action="append", default=[], metavar="GLOB=SCRIPT", help="spoil the next matching request")
    options = parser.parse_args(argv)
    server = HubServer(_fixtures(options.repo), port=options.port, log=options.log, bytes_per_s=options.bytes_per_s)
    for fault in options.fail:
        path_glob, _, script = fault.partition("=")
        server.fail(path_glob, script)
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    with server:
        print(json.dumps({"endpoint": server.endpoint, "cdn": server.cdn_endpoint}), flush=True)
        stopped.wait()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
