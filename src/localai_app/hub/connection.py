"""The HTTP connection to one Hub: the only code that sends a token, and it sends it to that Hub's origin only.

Heavy: import it inside functions. It uses httpx2, which huggingface_hub itself is built on.
"""

from __future__ import annotations

import logging
import time
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache
from typing import Any

import httpx2
from huggingface_hub import constants, set_client_factory

from localai_app import errors
from localai_app.errors import AppError
from localai_app.hub.failures import TransferError, bad_answer, certificate_refusal, status_error
from localai_app.hub.http_failures import chunks_of, is_unheard, reason_of
from localai_app.units import MB

CONNECT_TIMEOUT_S = 5.0
ANSWER_TIMEOUT_S = 15.0
MAX_ANSWER_S = 60.0
"""All of one answer of the API, so that one that trickles in does not hold a caller for ever."""
MAX_ANSWER_BYTES = 32 * MB
MAX_REQUESTS_PER_CALL = 60
_MAX_REDIRECTS = 8
_USER_AGENT_PRODUCT = "localai-app"

_SendFunction = Callable[[httpx2.Request], httpx2.Response]
_current_send: ContextVar[_SendFunction | None] = ContextVar("hub_current_send", default=None)


@dataclass(frozen=True, slots=True)
class FileAnswer:
    """An answer to a request for a file: its status and headers, what the Hub itself said of the file, and the body."""

    status: int
    headers: Mapping[str, str]
    hub_headers: Mapping[str, str]
    """Headers of the first answer, which comes from the Hub even where the body comes from another host."""
    is_from_hub: bool
    chunks: Iterator[bytes]


class HubConnection:
    """Clients for one endpoint, token and proxy. Safe to use from several threads. Closed when it is no longer in use."""

    def __init__(self, endpoint: str, token: str, proxy: str) -> None:
        self._origin = _origin(httpx2.URL(endpoint))
        self._token = token
        self.host = self._origin[1]
        self._api = self._make_client(proxy, follow_redirects=True)
        self._files = self._make_client(proxy, follow_redirects=False)
        self.close = weakref.finalize(self, _close, self._api, self._files)
        # They log whole addresses, and those of the second host are signed: who has one may read the file.
        for name in ("httpx2", "httpcore2"):
            logging.getLogger(name).setLevel(logging.WARNING)

    def _make_client(self, proxy: str, *, follow_redirects: bool) -> httpx2.Client:
        hooks: dict[str, list[Callable[..., None]]] = {"request": [_request_guard(self.host, self._origin, self._token)]}
        if follow_redirects:
            hooks["response"] = [_answer_guard(self.host)]
        try:
            return httpx2.Client(
                event_hooks=hooks, follow_redirects=follow_redirects, max_redirects=_MAX_REDIRECTS, proxy=proxy or None,
                timeout=httpx2.Timeout(ANSWER_TIMEOUT_S, connect=CONNECT_TIMEOUT_S))
        except OSError as error:
            raise AppError(
                errors.CERTIFICATES_UNREADABLE, reason=error.strerror or str(error), detail=repr(error)) from error
        except (ValueError, ImportError, httpx2.InvalidURL) as error:
            raise AppError(errors.PROXY_INVALID, detail=type(error).__name__) from error

    @contextmanager
    def api_calls(self, repo_id: str = "") -> Iterator[None]:
        """Inside the block, what this thread calls of huggingface_hub goes through this connection, with its limits.

        Every failure of the network or the Hub is an AppError, at once: huggingface_hub's own retries, which sleep for as
        long as a server asks, never begin.
        """
        _route_huggingface_hub()
        n_requests = 0

        def send(request: httpx2.Request) -> httpx2.Response:
            nonlocal n_requests
            n_requests += 1
            if n_requests > MAX_REQUESTS_PER_CALL:
                raise bad_answer(self.host, "its list does not end")
            return self._send_api(request, repo_id)

        token = _current_send.set(send)
        try:
            yield
        finally:
            _current_send.reset(token)

    def _send_api(self, request: httpx2.Request, repo_id: str) -> httpx2.Response:
        self._require_online()
        timeout = httpx2.Timeout(ANSWER_TIMEOUT_S, connect=CONNECT_TIMEOUT_S)
        request.extensions = {**request.extensions, "timeout": timeout.as_dict()}
        try:
            response = self._api.send(request)
        except (httpx2.TooManyRedirects, httpx2.UnsupportedProtocol, httpx2.InvalidURL) as error:
            raise bad_answer(self.host, "it redirects in a circle or to a place that is none", repr(error)) from error
        except httpx2.HTTPError as error:
            refusal = certificate_refusal(error, request.url.host)
            raise refusal or AppError(errors.HUB_UNREACHABLE, host=self.host, detail=repr(error)) from error
        if response.status_code >= 400:
            raise status_error(
                response.status_code, response.headers, host=self.host, repo_id=repo_id, has_token=bool(self._token))
        if "html" in response.headers.get("content-type", "").lower():
            raise bad_answer(self.host, "a web page, perhaps the login page of this network")
        return response

    @contextmanager
    def open_file(self, url: str, byte_range: str, read_timeout_s: float) -> Iterator[FileAnswer]:
        """GET a file, following redirects by hand; the token stays behind when another host takes over.

        `byte_range` is the value of the Range header or empty. Raises TransferError for failures of the network (also while
        the body is read) and AppError for redirects that lead nowhere safe and certificates that are not trusted.
        """
        self._require_online()
        timeout = httpx2.Timeout(read_timeout_s, connect=CONNECT_TIMEOUT_S)
        headers = {"Range": byte_range} if byte_range else {}
        hub_headers: Mapping[str, str] | None = None
        target = httpx2.URL(url)
        try:
            for _ in range(_MAX_REDIRECTS):
                with self._files.stream("GET", target, headers=headers, timeout=timeout) as response:
                    if hub_headers is None or _origin(target) == self._origin:
                        hub_headers = response.headers
                    if not response.has_redirect_location:
                        yield FileAnswer(
                            response.status_code, response.headers, hub_headers, _origin(target) == self._origin,
                            chunks_of(response))
                        return
                    target = self._redirect_target(target, response.headers["location"])
        except httpx2.HTTPError as error:
            refusal = certificate_refusal(error, target.host)
            raise refusal or TransferError(reason_of(error), final=self._final_of(error)) from error
        raise bad_answer(self.host, "it redirects in a circle")

    def _require_online(self) -> None:
        if constants.is_offline_mode():
            raise AppError(errors.HUB_UNREACHABLE, host=self.host, detail="HF_HUB_OFFLINE is set")

    def _redirect_target(self, source: httpx2.URL, location: str) -> httpx2.URL:
        try:
            target = source.join(location)
        except (httpx2.InvalidURL, ValueError) as error:
            raise bad_answer(self.host, "it redirects to a place that is none", repr(error)) from error
        if target.scheme not in ("http", "https") or not target.host or (source.scheme == "https" and target.scheme == "http"):
            raise bad_answer(self.host, "it redirects to an unsafe place", f"scheme {target.scheme!r}")
        return target

    def _final_of(self, error: httpx2.HTTPError) -> AppError | None:
        return AppError(errors.HUB_UNREACHABLE, host=self.host, detail=repr(error)) if is_unheard(error) else None


class _RoutedClient(httpx2.Client):
    """huggingface_hub's shared client: requests go where the calling thread's `api_calls` block says."""

    def send(self, request: httpx2.Request, **options: Any) -> httpx2.Response:
        send = _current_send.get()
        return super().send(request, **options) if send is None else send(request)


@cache
def _route_huggingface_hub() -> None:
    # The user agent would otherwise name installed packages, and fetch a list of coding agents to look for.
    constants.HF_HUB_DISABLE_TELEMETRY = True
    set_client_factory(lambda: _RoutedClient(follow_redirects=True, timeout=ANSWER_TIMEOUT_S))


def _origin(url: httpx2.URL) -> tuple[str, str, int]:
    return url.scheme, url.host, url.port or {"http": 80, "https": 443}.get(url.scheme, 0)


def _close(*clients: httpx2.Client) -> None:
    for client in clients:
        client.close()


def _request_guard(host: str, origin: tuple[str, str, int], token: str) -> Callable[[httpx2.Request], None]:
    """Runs before each request, redirected ones included: the only place that sets an Authorization header."""

    def guard(request: httpx2.Request) -> None:
        try:
            request.url.host.encode("idna")
        except ValueError as error:  # Of what no name can be, with which the look-up would end.
            raise bad_answer(host, "it redirects to a place that is none", repr(error)) from error
        request.headers.pop("Authorization", None)
        request.headers.pop("Cookie", None)
        if token and _origin(request.url) == origin:
            request.headers["Authorization"] = f"Bearer {token}"
        # Bodies as they are: compressed ones could be far larger than what was announced.
        request.headers["Accept-Encoding"] = "identity"
        if "user-agent" not in request.headers or "httpx" in request.headers["user-agent"]:
            request.headers["User-Agent"] = _USER_AGENT_PRODUCT

    return guard


def _answer_guard(host: str) -> Callable[[httpx2.Response], None]:
    """Runs before the body of an API answer is read: compressed and endless ones are refused."""

    def guard(response: httpx2.Response) -> None:
        encoding = response.headers.get("content-encoding", "identity").lower()
        announced = response.headers.get("content-length", "0")
        if encoding != "identity":
            raise bad_answer(host, "it is compressed, which was not asked for")
        if announced.isascii() and announced.isdigit() and int(announced[:20]) > MAX_ANSWER_BYTES:
            raise bad_answer(host, "it is far too long")
        if isinstance(response.stream, httpx2.SyncByteStream):
            response.stream = _BoundedStream(response.stream, host)

    return guard


class _BoundedStream(httpx2.SyncByteStream):
    """A body that may only be so long, in bytes and in time."""

    def __init__(self, stream: httpx2.SyncByteStream, host: str) -> None:
        self._stream = stream
        self._host = host
        self._ends_s = time.monotonic() + MAX_ANSWER_S

    def __iter__(self) -> Iterator[bytes]:
        n_bytes = 0
        for chunk in self._stream:
            n_bytes += len(chunk)
            if n_bytes > MAX_ANSWER_BYTES or time.monotonic() > self._ends_s:
                raise bad_answer(self._host, "it is far too long")
            yield chunk

    def close(self) -> None:
        self._stream.close()
