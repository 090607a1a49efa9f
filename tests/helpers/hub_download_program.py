"""A download in a process of its own, for tests that kill it or take its disk away.

`python -m tests.helpers.hub_download_program ENDPOINT COMMIT FOLDER SIZE SHA256 [--file-limit N] [--user N] [--stall S]`
prints `progress N` lines, and at the end `done` or the code of the error.
"""

from __future__ import annotations

import argparse
import os
from dataclasses import replace
from pathlib import Path

from localai_app.errors import AppError
from localai_app.hub.client import HubClient
from localai_app.hub.download import FileRequest, download_file
from localai_app.hub.layout import target_path
from localai_app.hub.model import RepoFile
from localai_app.progress import CancelToken
from tests.helpers.hub_downloads import NAME, QUICK, REPO


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("endpoint")
    parser.add_argument("commit")
    parser.add_argument("folder", type=Path)
    parser.add_argument("size", type=int)
    parser.add_argument("sha256")
    parser.add_argument("--file-limit", type=int, default=0, help="largest file that this process may write, in bytes")
    parser.add_argument("--user", type=int, default=0, help="give up root for this user id")
    parser.add_argument("--stall", type=float, default=QUICK.stall_s)
    options = parser.parse_args()
    if options.file_limit:
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (options.file_limit, options.file_limit))
    if options.user:
        # The other user may not be able to read what this one's Python is made of.
        import filelock  # noqa: F401

        os.setgid(options.user)
        os.setuid(options.user)
    file = RepoFile(path=NAME, size_bytes=options.size, sha256=options.sha256)
    request = FileRequest(REPO, options.commit, file, target_path(options.folder, REPO, NAME))
    try:
        download_file(
            HubClient(options.endpoint), request, on_progress=lambda progress: print("progress", progress.done, flush=True),
            cancel=CancelToken(), options=replace(QUICK, stall_s=options.stall))
    except AppError as error:
        print(error.code, flush=True)
        return 1
    print("done", flush=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
