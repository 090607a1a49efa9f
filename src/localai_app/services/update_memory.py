"""What is kept of updates between two starts: when was asked, what came, and what the user does not want to hear of."""

from __future__ import annotations

import logging
import threading
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from localai_app.release.fields import Time
from localai_app.whole_file import write_whole

log = logging.getLogger(__name__)

_MAX_FILE_BYTES = 64 * 1024
_MAX_ENVELOPE_BYTES = 4 * 1024 * 1024


class Remembered(msgspec.Struct, frozen=True, kw_only=True):
    """`asked` is when the server last answered, or last should have."""

    asked: Time | None = None
    skipped_version: str = ""


class UpdateMemory:
    """Two small files: a record, and the list of releases as it was signed, which is verified again whenever it is read."""

    def __init__(self, record: Path, envelope: Path) -> None:
        self._lock = threading.Lock()
        self._record = record
        self._envelope = envelope

    def read(self) -> Remembered:
        """What is known; nothing where there is no record, or where it makes no sense."""
        try:
            with self._record.open("rb") as file:
                return msgspec.json.decode(file.read(_MAX_FILE_BYTES), type=Remembered)
        except FileNotFoundError:
            return Remembered()
        except (OSError, msgspec.MsgspecError) as error:
            log.info("what is known of updates cannot be read: %s", error)
            return Remembered()

    def write(self, remembered: Remembered) -> None:
        """Keep it; a disk that refuses costs one question more."""
        _write(self._record, msgspec.json.encode(remembered))

    def pause_s(self, interval_s: float) -> float:
        """Seconds until somebody may be asked again, 0 or less for now; a time in the future, of a wrong clock, is none."""
        asked = self.read().asked
        if asked is None:
            return 0.0
        left_s = interval_s - (datetime.now(UTC) - asked.astimezone(UTC)).total_seconds()
        return left_s if left_s <= interval_s else 0.0

    def note_asked(self) -> None:
        """Somebody was asked just now."""
        with self._lock:
            self.write(msgspec.structs.replace(self.read(), asked=datetime.now(UTC)))

    def skip(self, version: str) -> None:
        """The user does not want to hear of a version."""
        with self._lock:
            self.write(msgspec.structs.replace(self.read(), skipped_version=version))

    def envelope(self) -> bytes:
        """The list of releases that came last; empty where there is none."""
        try:
            with self._envelope.open("rb") as file:
                return file.read(_MAX_ENVELOPE_BYTES)
        except OSError:
            return b""

    def keep_envelope(self, data: bytes) -> None:
        """Keep a list for the next start."""
        _write(self._envelope, data)


def _write(path: Path, data: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, data)
    except OSError as error:
        log.info("%s cannot be kept: %s", path.name, error)
