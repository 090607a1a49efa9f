"""What was accepted before, so that an old document cannot pass for the newest one, and a clock set back revives nothing."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from localai_app.release.fields import Number, Time
from localai_app.whole_file import write_whole

log = logging.getLogger(__name__)

_MAX_FILE_BYTES = 64 * 1024
_LOCK_PATIENCE_S = 5.0
_START = datetime(1970, 1, 1, tzinfo=UTC)


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """The highest number accepted of one kind of document, and the latest time at which one was."""

    number: Number
    time: Time


class SeenNumbers:
    """The memory, one JSON file that is shared by every process of the profile; several threads may use it.

    The time that is kept is always earlier than the end of a document that was signed, so a clock that runs far ahead cannot
    spoil the memory for longer than that document lasts.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def highest(self, payload_type: str) -> int:
        """The highest number that was accepted of this kind; 0 before the first."""
        seen = self._read().get(payload_type)
        return 0 if seen is None else seen.number

    def latest_time(self) -> datetime:
        """The latest time that is known to have passed."""
        return max((seen.time for seen in self._read().values()), default=_START)

    def remember(self, payload_type: str, number: int, time: datetime) -> None:
        """Keep a number and a time if they are higher than what is kept. A disk that refuses is logged and costs only that."""
        from filelock import FileLock

        lock = FileLock(self._path.with_suffix(".lock"), timeout=_LOCK_PATIENCE_S, is_singleton=False)
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with lock:
                self._raise_to(payload_type, number, time)
        except OSError as error:
            log.info("what was accepted cannot be remembered: %s", error)

    def _raise_to(self, payload_type: str, number: int, time: datetime) -> None:
        kept = self._read()
        old = kept.get(payload_type)
        new = Seen(number=number, time=time.astimezone(UTC))
        if old is not None:
            new = Seen(number=max(old.number, number), time=max(old.time, new.time))
        if new != old:
            write_whole(self._path, msgspec.json.encode({**kept, payload_type: new}))

    def _read(self) -> dict[str, Seen]:
        try:
            with self._path.open("rb") as file:
                return msgspec.json.decode(file.read(_MAX_FILE_BYTES), type=dict[str, Seen])
        except FileNotFoundError:
            return {}
        except (OSError, msgspec.MsgspecError, ValueError) as error:
            log.info("what was accepted before cannot be read: %s", error)
            return {}
