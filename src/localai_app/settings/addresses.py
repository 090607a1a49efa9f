"""Addresses of computers that lend their devices: HOST:PORT, as llama.cpp's RPC takes them."""

from __future__ import annotations

import re

MOST_ADDRESSES = 16
"""`GGML_RPC_MAX_SERVERS` of ggml-rpc.h."""
_HOST = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)(\.(?!-)[A-Za-z0-9-]{1,63}(?<!-))*")
_ANY_HOST = "0.0.0.0"


def parse_address(text: str) -> tuple[str, int] | None:
    """Host and port of `HOST:PORT`; None for anything else. IPv6 addresses are none: llama.cpp cannot use them."""
    host, _colon, port = text.strip().rpartition(":")
    if len(host) > 253 or not _HOST.fullmatch(host) or not re.fullmatch(r"[0-9]{1,5}", port) or not 0 < int(port) < 65_536:
        return None
    return host.lower(), int(port)


def parse_addresses(text: str) -> tuple[str, ...] | None:
    """The addresses of a list with commas or spaces, each once and in its order; None where one is wrong or too many."""
    words = re.split(r"[\s,;]+", text.strip())
    found = [parse_address(word) for word in words if word]
    if None in found or len(found) > MOST_ADDRESSES:
        return None
    return tuple(dict.fromkeys(f"{pair[0]}:{pair[1]}" for pair in found if pair is not None))


def is_this_computer(address: str) -> bool:
    """Whether an address can be reached from this computer alone."""
    parsed = parse_address(address)
    if parsed is None:
        return False
    host = parsed[0]
    return host == "localhost" or bool(re.fullmatch(r"127(\.\d{1,3}){3}", host))


def address_to_ask(listening: str) -> str:
    """Where this computer reaches a server of its own that listens at an address."""
    parsed = parse_address(listening)
    return f"127.0.0.1:{parsed[1]}" if parsed is not None and parsed[0] == _ANY_HOST else listening
