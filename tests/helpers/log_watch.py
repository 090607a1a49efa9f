"""Notices warnings and errors in the log that a test did not announce."""

from __future__ import annotations

import logging
import re


class LogWatch(logging.Handler):
    """Collects records from WARNING on; see the fixture `expect_log`."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._messages: list[str] = []
        self._expected: list[str] = []

    def expect(self, pattern: str) -> None:
        """Allow every record that `pattern` is found in, and require at least one."""
        self._expected.append(pattern)

    def emit(self, record: logging.LogRecord) -> None:
        """Called by logging, from any thread."""
        self._messages.append(f"{record.levelname} {record.name}: {record.getMessage()}")

    def problems(self) -> list[str]:
        """One line for each record that was not expected and each expectation that was not met."""
        unexpected = [
            f"unexpected log record: {message}" for message in self._messages
            if not any(re.search(pattern, message) for pattern in self._expected)
        ]
        missing = [
            f"no log record matched {pattern!r}" for pattern in self._expected
            if not any(re.search(pattern, message) for message in self._messages)
        ]
        return unexpected + missing
