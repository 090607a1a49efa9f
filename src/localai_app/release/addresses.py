"""Which addresses documents and files may be fetched from."""

from __future__ import annotations

import ipaddress
from urllib.parse import urljoin, urlsplit

_MOST_CHARACTERS = 2000


def is_allowed(url: str) -> bool:
    """Whether an address may be asked: https, or plain http on this very computer; no user names, nothing invisible."""
    if len(url) > _MOST_CHARACTERS or not url.isascii() or not url.isprintable() or any(char in url for char in ' \\"<>'):
        return False
    try:
        parts = urlsplit(url)
        host, has_port = parts.hostname or "", parts.port is None or parts.port > 0
        host.encode("idna")  # ValueError for what no name can be, which a look-up would end with.
    except ValueError:
        return False
    if not host or not has_port or parts.username is not None or parts.password is not None or parts.fragment:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and _is_this_computer(host))


def absolute(base: str, url: str) -> str:
    """An address of a document, which may be relative to the document's own: mirrors then need no changed documents."""
    return urljoin(base, url)


def host_of(url: str) -> str:
    """The host, for messages; the address itself where it has none."""
    try:
        return urlsplit(url).hostname or url
    except ValueError:
        return url


def _is_this_computer(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
