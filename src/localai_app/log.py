"""The log file: rotating, small, and without secrets."""

from __future__ import annotations

import logging
import re
from logging.handlers import RotatingFileHandler

from localai_app.paths import AppPaths

MAX_FILE_BYTES = 1_000_000
OLD_FILES = 4
"""Besides the current one: five files of 1 MB in all."""

FORMAT = "%(asctime)s %(levelname)s %(process)d %(threadName)s %(name)s: %(message)s"
HIDDEN = "[hidden]"

_SECRETS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"hf_[A-Za-z0-9]{6,}"), HIDDEN),
    (re.compile(r"(authorization[\"']?\s*[:=]\s*[\"']?)(?:(?:bearer|basic)\s+)?[^\s\"',;]+", re.IGNORECASE), rf"\g<1>{HIDDEN}"),
    (re.compile(r"\b(bearer\s+)[A-Za-z0-9._~+/=-]{8,}", re.IGNORECASE), rf"\g<1>{HIDDEN}"),
    (re.compile(r"(\b[a-z][a-z0-9+.-]*://)[^\s/@:]*:[^\s/@]+@", re.IGNORECASE), rf"\g<1>{HIDDEN}@"),
    (re.compile(
        r"([?&](?:[a-z-]*(?:signature|credential|token|key-pair-id|policy|secret|api-?key))=)[^\s&\"']+", re.IGNORECASE),
     rf"\g<1>{HIDDEN}"),
)


def redact(text: str) -> str:
    """Text without Hub tokens, authorization headers, passwords in addresses and signatures of signed links."""
    for pattern, replacement in _SECRETS:
        text = pattern.sub(replacement, text)
    return text


class RedactingFormatter(logging.Formatter):
    """Formats a record and removes secrets from all of it, the traceback included."""

    def format(self, record: logging.LogRecord) -> str:
        """One record as text for the file."""
        return redact(super().format(record))


class LogFileHandler(RotatingFileHandler):
    """A rotating file that gives up quietly: a full disk or a lost folder must not disturb the program."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the name is logging's
        """Drop the record."""


def setup_logging(paths: AppPaths, *, verbose: bool = False) -> None:
    """Send the program's own records from INFO (DEBUG if `verbose`), and warnings of libraries, to the log file.

    Nothing is ever written to the terminal. Calling it again replaces the file. If the folder cannot be written to,
    the program runs without a log.
    """
    root = logging.getLogger()
    for handler in [handler for handler in root.handlers if isinstance(handler, LogFileHandler)]:
        root.removeHandler(handler)
        handler.close()
    logging.getLogger("localai_app").setLevel(logging.DEBUG if verbose else logging.INFO)
    root.setLevel(logging.WARNING)
    try:
        paths.logs.mkdir(parents=True, exist_ok=True)
        handler = LogFileHandler(paths.log_file, maxBytes=MAX_FILE_BYTES, backupCount=OLD_FILES, encoding="utf-8")
    except OSError:
        # Without any handler, Python would print warnings to the terminal.
        root.addHandler(logging.NullHandler())
        return
    handler.setFormatter(RedactingFormatter(FORMAT))
    root.addHandler(handler)
    logging.captureWarnings(True)
