"""What httpx2 says of a connection, as whoever fetches files wants to know it. Heavy: import it inside functions."""

from __future__ import annotations

from collections.abc import Iterator

import httpx2

from localai_app.hub.failures import TransferError


def is_unheard(error: httpx2.HTTPError) -> bool:
    """Whether nobody answered at all, so that the reason lies on the way and not at the server."""
    return isinstance(error, (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.ProxyError))


def reason_of(error: httpx2.HTTPError) -> str:
    """Why a connection failed, a clause for people."""
    if isinstance(error, (httpx2.ConnectError, httpx2.ConnectTimeout)):
        return "no connection could be made"
    if isinstance(error, httpx2.ProxyError):
        return "the proxy refused the connection"
    if isinstance(error, httpx2.TimeoutException):
        return "nothing arrived for a while"
    return "the connection was lost"


def chunks_of(response: httpx2.Response) -> Iterator[bytes]:
    """The body as it was sent; TransferError where that ends too early."""
    try:
        yield from response.iter_raw()
    except httpx2.HTTPError as error:
        raise TransferError(reason_of(error)) from error
