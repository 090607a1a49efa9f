"""Short cuts for tests that download from the Hub server: a model, a patient-for-nothing download, and where it lands."""

from __future__ import annotations

import hashlib
import random
from dataclasses import replace
from pathlib import Path

from localai_app.hub.client import HubClient
from localai_app.hub.download import DownloadOptions, FileRequest, download_file
from localai_app.hub.layout import target_path
from localai_app.hub.model import RepoFile
from localai_app.progress import CancelToken, Progress
from tests.helpers.hub_server import HubServer, RepoFixture

REPO = "tiny/model-GGUF"
NAME = "model-Q4_K_M.gguf"
MODEL = b"GGUF" + random.Random(7).randbytes(1_000_000)
SHA256 = hashlib.sha256(MODEL).hexdigest()
QUICK = DownloadOptions(
    stall_s=0.6, max_failures=4, first_pause_s=0.01, max_pause_s=0.05, max_asked_pause_s=3.0, sync_every_bytes=100_000,
    space_floor_bytes=0)


def tiny_server(data: bytes = MODEL, *, gated: bool = False) -> HubServer:
    """A server with one repository of one file."""
    return HubServer({REPO: RepoFixture({NAME: data}, gated=gated)})


def request_for(server: HubServer, folder: Path, data: bytes = MODEL) -> FileRequest:
    """The file as the server's list of files states it."""
    file = RepoFile(path=NAME, size_bytes=len(data), sha256=hashlib.sha256(data).hexdigest())
    return FileRequest(REPO, server.commit(REPO), file, target_path(folder, REPO, NAME))


class Recorder:
    """Collects progress; can cancel at a number of bytes."""

    def __init__(self, *, cancel_at: int | None = None) -> None:
        self.seen: list[Progress] = []
        self.verified: list[Progress] = []
        self.cancel = CancelToken()
        self._cancel_at = cancel_at

    def __call__(self, progress: Progress) -> None:
        self.seen.append(progress)
        if self._cancel_at is not None and progress.done >= self._cancel_at:
            self.cancel.cancel()


def download(
    server: HubServer, folder: Path, *, recorder: Recorder | None = None, token: str | None = None, data: bytes = MODEL,
    options: DownloadOptions = QUICK, request: FileRequest | None = None,
) -> Path:
    """Download the file and return where it is."""
    recorder = recorder or Recorder()
    wanted = request or request_for(server, folder, data)
    client = HubClient(server.endpoint, token=token)
    try:
        download_file(
            client, wanted, on_progress=recorder, cancel=recorder.cancel, on_verifying=recorder.verified.append,
            options=options)
    finally:
        client.close()
    return wanted.target


def with_options(**changes: float) -> DownloadOptions:
    """The quick options with some changed."""
    return replace(QUICK, **changes)  # type: ignore[arg-type]


def files_below(folder: Path) -> list[str]:
    """Every file below a folder, as relative paths."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
