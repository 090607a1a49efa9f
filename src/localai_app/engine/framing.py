"""Lines of the protocol: cut out of a byte stream within limits, encoded and decoded."""

from __future__ import annotations

import msgspec

from localai_app.engine.protocol import MAX_LINE_BYTES, Command, Event


class ProtocolError(Exception):
    """The peer sent something that is not a message; the connection is of no more use."""


class LineSplitter:
    """Collects bytes and hands out whole lines; holds at most one unfinished line of `limit_bytes`."""

    def __init__(self, limit_bytes: int = MAX_LINE_BYTES) -> None:
        self._limit_bytes = limit_bytes
        self._parts: list[bytes] = []
        self._held_bytes = 0

    @property
    def held_bytes(self) -> int:
        """Bytes of the line that has not ended yet."""
        return self._held_bytes

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that `data` completes, without their ends; ProtocolError for a line over the limit."""
        if b"\n" not in data:
            self._hold(data)
            return []
        first, *others = data.split(b"\n")
        self._hold(first)
        lines = [b"".join(self._parts), *others[:-1]]
        if any(len(line) > self._limit_bytes for line in others):
            raise ProtocolError(f"a line is longer than {self._limit_bytes} bytes")
        self._parts, self._held_bytes = [others[-1]], len(others[-1])
        return lines

    def _hold(self, data: bytes) -> None:
        self._held_bytes += len(data)
        if self._held_bytes > self._limit_bytes:
            self._parts, self._held_bytes = [], 0
            raise ProtocolError(f"a line is longer than {self._limit_bytes} bytes")
        self._parts.append(data)


_ENCODER = msgspec.json.Encoder()
_EVENT_DECODER: msgspec.json.Decoder[Event] = msgspec.json.Decoder(Event)
_COMMAND_DECODER: msgspec.json.Decoder[Command] = msgspec.json.Decoder(Command)


def encode_line(message: Command | Event) -> bytes:
    """One message as one line; ProtocolError if it is longer than a line may be."""
    try:
        line = _ENCODER.encode(message)
    except UnicodeEncodeError:
        line = _ENCODER.encode(_without_surrogates(message))
    if len(line) > MAX_LINE_BYTES:
        raise ProtocolError(f"a message of {len(line)} bytes is longer than {MAX_LINE_BYTES} bytes")
    return line + b"\n"


def decode_event(line: bytes) -> Event:
    """The event of one line; ProtocolError for anything else."""
    try:
        return _EVENT_DECODER.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ProtocolError(f"not an event ({error}): {line[:80]!r}") from error


def decode_command(line: bytes) -> Command:
    """The command of one line; ProtocolError for anything else."""
    try:
        return _COMMAND_DECODER.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ProtocolError(f"not a command ({error}): {line[:80]!r}") from error


def _without_surrogates(message: Command | Event) -> Command | Event:
    """Lone surrogates (a paste gone wrong) have no UTF-8 form: they become question marks."""

    def cleaned(value: object) -> object:
        if isinstance(value, str):
            return value.encode("utf-8", "replace").decode()
        if isinstance(value, dict):
            return {cleaned(key): cleaned(item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [cleaned(item) for item in value]
        return value

    plain = cleaned(msgspec.to_builtins(message))
    return msgspec.convert(plain, type=type(message))
