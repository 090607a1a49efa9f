"""Asks whether llama.cpp's RPC server answers at an address, before a worker is given it.

ggml ends its process where a server does not answer, and waits for ever where one serves another program, because a server
has one client at a time. So each start asks first, with the protocol's own greeting (`RPC_CMD_HELLO` of ggml-rpc.cpp), which
changes nothing at the server.
"""

from __future__ import annotations

import socket
import struct
from enum import StrEnum

from localai_app.settings.addresses import parse_address

_HELLO = 14
_CAPABILITIES_BYTES = 24
_VERSION = (7, 0)
"""`RPC_PROTO_MAJOR_VERSION` and the latest minor version that this llama.cpp takes."""
TIMEOUT_S = 0.7


class Answer(StrEnum):
    """What came of asking."""

    READY = "ready"
    ABSENT = "absent"
    """Nobody listens, or the computer cannot be reached."""
    BUSY = "busy"
    """Somebody listens and does not answer: it serves another program."""
    FOREIGN = "foreign"
    """Another kind of server, or another version of llama.cpp."""


ANSWER_WORDS = {
    Answer.READY: "ready",
    Answer.ABSENT: "does not answer",
    Answer.BUSY: "in use by another program, or too slow to answer",
    Answer.FOREIGN: "runs another version of llama.cpp, or something else",
}
"""Each answer as the end of a sentence about a computer."""


def greet(address: str, timeout_s: float = TIMEOUT_S) -> Answer:
    """Ask one server; takes at most about `timeout_s` twice."""
    parsed = parse_address(address)
    if parsed is None:
        return Answer.ABSENT
    try:
        connection = socket.create_connection(parsed, timeout_s)
    except OSError:
        return Answer.ABSENT
    with connection:
        try:
            connection.sendall(struct.pack("<BQ", _HELLO, _CAPABILITIES_BYTES) + bytes(_CAPABILITIES_BYTES))
            size, major, minor = struct.unpack("<QBB", _read(connection, 10))
        except TimeoutError:
            return Answer.BUSY
        except (OSError, EOFError):
            return Answer.FOREIGN
    is_known = size == 4 + _CAPABILITIES_BYTES and major == _VERSION[0] and minor <= _VERSION[1]
    return Answer.READY if is_known else Answer.FOREIGN


def _read(connection: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        part = connection.recv(count - len(data))
        if not part:
            raise EOFError
        data += part
    return data
