"""The Hub as the program sees it: search, a repository at one commit, and parts of a file. All calls may take seconds."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar
from urllib.parse import urlsplit

from localai_app import errors
from localai_app.errors import AppError
from localai_app.hub.answers import repo_from_hub, search_hits
from localai_app.hub.failures import TransferError, bad_answer, status_error
from localai_app.hub.layout import check_path, shown_name
from localai_app.hub.model import Repo, SearchHit
from localai_app.hub.reference import is_repo_id
from localai_app.units import MIB

if TYPE_CHECKING:
    from huggingface_hub import HfApi

    from localai_app.hub.connection import FileAnswer, HubConnection

PUBLIC_ENDPOINT = "https://huggingface.co"
MAX_RANGE_BYTES = 64 * MIB
_READ_TIMEOUT_S = 15.0
_RANGE_ATTEMPTS = 3
_COMMIT = re.compile(r"[0-9a-f]{40}")
_LABEL = "[A-Za-z0-9_-]{1,63}"
_ENDPOINT = re.compile(rf"https?://(?:{_LABEL}(?:\.{_LABEL})*\.?|\[[0-9A-Fa-f:.]+\])(?::\d{{1,5}})?(?:/[^\s?#]*)?")
_SEARCH_FIELDS = ["downloads", "likes", "lastModified", "gated", "tags"]

T = TypeVar("T")


class HubClient:
    """A Hub at one address. Making one is free: nothing is imported or sent before the first call.

    `endpoint` empty means `HF_ENDPOINT`, else the public Hub. `token` None means the one that the user keeps for the Hub's own
    tools (`HF_TOKEN` or its token file), which is used for the public Hub and for no other address; a token given here goes
    to `endpoint`. `proxy` empty means the system's (`HTTPS_PROXY` and so on).
    """

    def __init__(self, endpoint: str = "", *, token: str | None = None, proxy: str = "") -> None:
        self.endpoint = (endpoint or os.environ.get("HF_ENDPOINT", "") or PUBLIC_ENDPOINT).strip().rstrip("/")
        self._given_token = token
        self._proxy = proxy.strip()
        self._lock = threading.Lock()
        self._open_connection: HubConnection | None = None

    @property
    def host(self) -> str:
        """The Hub's host, for messages."""
        try:
            return urlsplit(self.endpoint).hostname or self.endpoint
        except ValueError:
            return self.endpoint

    def search(self, words: str, limit: int = 30) -> tuple[SearchHit, ...]:
        """Repositories with GGUF files whose name matches all words, most downloaded first."""
        trimmed = " ".join(words.split())[:200]

        def ask() -> tuple[SearchHit, ...]:
            found = self._api.list_models(
                filter="gguf", search=trimmed or None, sort="downloads", limit=limit, expand=_SEARCH_FIELDS)  # type: ignore[arg-type]
            return search_hits(found)

        return self._call(ask)

    def repo(self, repo_id: str, revision: str = "main") -> Repo:
        """A repository, its variants and projectors, at the commit that `revision` now stands for.

        AppError REPO_UNKNOWN, REPO_GATED, HUB_UNREACHABLE, CERTIFICATE_REFUSED, HUB_RATE_LIMITED, HUB_REFUSED, HUB_BAD_ANSWER.
        """
        if not is_repo_id(repo_id):
            raise AppError(errors.REPO_UNKNOWN, repo=repo_id)

        def ask() -> Repo:
            info = self._api.model_info(repo_id, revision=revision)
            commit = info.sha
            if not isinstance(commit, str) or not _COMMIT.fullmatch(commit):
                raise bad_answer(self.host, "it does not name a commit")
            # The Hub finds a repository in any case of letters; on this disk it has one folder, named as its owner spells it.
            spelled = info.id if isinstance(info.id, str) and info.id.lower() == repo_id.lower() else repo_id
            files = self._api.list_repo_tree(spelled, revision=commit, recursive=True)
            return repo_from_hub(spelled, commit, info, files)

        return self._call(ask, repo_id)

    def read_range(self, repo_id: str, commit: str, path: str, offset: int, length: int) -> bytes:
        """`length` bytes of a file from `offset` on, fewer only where the file ends; at most 64 MiB."""
        if not 0 < length <= MAX_RANGE_BYTES or offset < 0:
            raise ValueError(f"{length} bytes from {offset} on")
        for attempt in range(1, _RANGE_ATTEMPTS + 1):
            try:
                with self.open_file(repo_id, commit, path, f"bytes={offset}-{offset + length - 1}", _READ_TIMEOUT_S) as answer:
                    return self._range_of(answer, repo_id, offset, length)
            except TransferError as error:
                if attempt == _RANGE_ATTEMPTS:
                    final = error.final or AppError(errors.HUB_UNREACHABLE, host=self.host, detail=error.reason)
                    raise final from error
        raise AssertionError("unreachable")

    def open_file(
        self, repo_id: str, commit: str, path: str, byte_range: str, read_timeout_s: float
    ) -> AbstractContextManager[FileAnswer]:
        """GET a file at a commit; see `HubConnection.open_file`."""
        check_path(path)
        if not is_repo_id(repo_id) or not _COMMIT.fullmatch(commit):
            raise AppError(errors.REPO_UNKNOWN, repo=repo_id)
        from huggingface_hub import hf_hub_url

        url = hf_hub_url(repo_id, path, revision=commit, endpoint=self.endpoint)
        return self._connection.open_file(url, byte_range, read_timeout_s)

    def refusal(self, answer: FileAnswer, repo_id: str) -> AppError:
        """The words for a status of 400 or more."""
        return status_error(
            answer.status, answer.headers, host=self.host, repo_id=repo_id if answer.is_from_hub else "",
            has_token=bool(self._token))

    def close(self) -> None:
        """Close connections that are kept open; the client must not be used any more."""
        with self._lock:
            if self._open_connection is not None:
                self._open_connection.close()

    def _range_of(self, answer: FileAnswer, repo_id: str, offset: int, length: int) -> bytes:
        if answer.status >= 400:
            raise self.refusal(answer, repo_id)
        skip = offset if answer.status == 200 else 0
        if answer.status == 206 and not answer.headers.get("content-range", "").startswith(f"bytes {offset}-"):
            raise bad_answer(self.host, "another part of the file than was asked for")
        if answer.status not in (200, 206) or answer.headers.get("content-encoding", "identity") != "identity":
            raise bad_answer(self.host, f"status {answer.status} for a file")
        if skip + length > MAX_RANGE_BYTES:
            raise bad_answer(self.host, "it cannot send a part of a file")
        data = bytearray()
        for chunk in answer.chunks:
            data += chunk
            if len(data) >= skip + length:
                break
        return bytes(data[skip : skip + length])

    def _call(self, ask: Callable[[], T], repo_id: str = "") -> T:
        with self._connection.api_calls(repo_id), _understood(self.host):
            return ask()

    @cached_property
    def _token(self) -> str:
        if self._given_token is not None:
            return self._given_token
        if self.endpoint != PUBLIC_ENDPOINT:
            return ""
        from huggingface_hub import get_token

        return get_token() or ""

    @cached_property
    def _api(self) -> HfApi:
        from huggingface_hub import HfApi

        from localai_app import __version__

        return HfApi(self.endpoint, token=False, library_name="localai-app", library_version=__version__)

    @property
    def _connection(self) -> HubConnection:
        from localai_app.hub.connection import HubConnection

        if not _ENDPOINT.fullmatch(self.endpoint):
            raise AppError(errors.HUB_ADDRESS_INVALID, address=shown_name(self.endpoint))
        with self._lock:
            if self._open_connection is None:
                self._open_connection = HubConnection(self.endpoint, self._token, self._proxy)
            return self._open_connection


@contextmanager
def _understood(host: str) -> Iterator[None]:
    """huggingface_hub reads answers without checking them: whatever it trips over was not an answer of a Hub."""
    try:
        yield
    except (TypeError, ValueError, KeyError, AttributeError, IndexError, RecursionError, OverflowError) as error:
        raise bad_answer(host, "its form is unknown", repr(error)) from error
