"""HTTP for signed documents and their files: plain GETs that say nothing of who asks.

Heavy: import it inside functions. What comes back is believed only after its signature or checksum was verified, so a redirect
may lead to any host; but never from https to http.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import httpx2

from localai_app import errors
from localai_app.errors import AppError
from localai_app.hub.failures import TransferError, certificate_refusal
from localai_app.hub.http_failures import chunks_of, is_unheard, reason_of
from localai_app.release.addresses import host_of, is_allowed

_CONNECT_TIMEOUT_S = 10.0
_MAX_REDIRECTS = 6
_HEADERS = {"User-Agent": "localai-app", "Accept": "*/*", "Accept-Encoding": "identity"}
"""All that is sent beside the address: no version, no identifier, no language, no cookies."""


@dataclass(frozen=True, slots=True)
class SourceAnswer:
    """Status, headers and body of the last answer of a chain of redirects, and the host that sent it."""

    status: int
    headers: Mapping[str, str]
    host: str
    chunks: Iterator[bytes]


@contextmanager
def open_source(url: str, *, byte_range: str, proxy: str, read_timeout_s: float) -> Iterator[SourceAnswer]:
    """GET an address; `byte_range` is the value of the Range header, or empty.

    TransferError for failures of the network, also while the body is read. AppError STAYS_OFFLINE, SOURCE_BAD_ANSWER for
    redirects that lead nowhere safe, CERTIFICATE_REFUSED, PROXY_INVALID, CERTIFICATES_UNREADABLE.
    """
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE"):
        raise AppError(errors.STAYS_OFFLINE, host=host_of(url))
    headers = {**_HEADERS, **({"Range": byte_range} if byte_range else {})}
    with _client(proxy, read_timeout_s) as client:
        try:
            target = httpx2.URL(_checked(url, url))
            for _ in range(_MAX_REDIRECTS):
                with client.stream("GET", target, headers=headers) as response:
                    if not response.has_redirect_location:
                        yield SourceAnswer(response.status_code, response.headers, target.host, chunks_of(response))
                        return
                    target = _redirect_target(target, response.headers["location"])
        except httpx2.HTTPError as error:
            refusal = certificate_refusal(error, target.host)
            raise refusal or TransferError(reason_of(error), final=_final_of(error, target.host)) from error
        except httpx2.InvalidURL as error:
            reason = "it leads to a place that is none"
            raise AppError(errors.SOURCE_BAD_ANSWER, host=host_of(url), reason=reason, detail=repr(error)) from error
    raise AppError(errors.SOURCE_BAD_ANSWER, host=host_of(url), reason="it redirects in a circle")


def _client(proxy: str, read_timeout_s: float) -> httpx2.Client:
    try:
        return httpx2.Client(
            event_hooks={"request": [_say_nothing_more]}, follow_redirects=False, proxy=proxy or None,
            timeout=httpx2.Timeout(read_timeout_s, connect=_CONNECT_TIMEOUT_S))
    except OSError as error:
        raise AppError(
            errors.CERTIFICATES_UNREADABLE, reason=error.strerror or str(error), detail=repr(error)) from error
    except (ValueError, ImportError, httpx2.InvalidURL) as error:
        raise AppError(errors.PROXY_INVALID, detail=type(error).__name__) from error


def _say_nothing_more(request: httpx2.Request) -> None:
    for name in ("Authorization", "Cookie"):
        request.headers.pop(name, None)


def _redirect_target(source: httpx2.URL, location: str) -> httpx2.URL:
    try:
        target = source.join(location)
    except (httpx2.InvalidURL, ValueError) as error:
        raise AppError(
            errors.SOURCE_BAD_ANSWER, host=source.host, reason="it redirects to a place that is none",
            detail=repr(error)) from error
    _checked(str(target.copy_with(fragment=None)), str(source))
    if source.scheme == "https" and target.scheme != "https":
        raise AppError(errors.SOURCE_BAD_ANSWER, host=source.host, reason="it redirects to an unsafe place")
    return target.copy_with(fragment=None)


def _checked(url: str, asked: str) -> str:
    if not is_allowed(url):
        raise AppError(errors.SOURCE_BAD_ANSWER, host=host_of(asked), reason="it leads to an unsafe place")
    return url


def _final_of(error: httpx2.HTTPError, host: str) -> AppError | None:
    return AppError(errors.SOURCE_UNREACHABLE, host=host, detail=repr(error)) if is_unheard(error) else None
