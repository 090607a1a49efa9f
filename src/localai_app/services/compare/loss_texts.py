"""Texts to measure losses on: the one that the program brings, and files of the user."""

from __future__ import annotations

from pathlib import Path

from localai_app import errors
from localai_app.compare.loss import TextSource
from localai_app.errors import AppError
from localai_app.hub.layout import shown_name
from localai_app.paths import resources_dir

MAX_TEXT_BYTES = 3 * 1024**2
"""What is read of a file: more than any measurement takes, and less than a line of the protocol holds."""
BUNDLED_FILE = "mixed-english.txt"
BUNDLED_NAME = "Mixed English (built in)"


def bundled_text() -> TextSource:
    """The text that comes with the program; where it is from stands in the file beside it."""
    text = (resources_dir() / "texts" / BUNDLED_FILE).read_text(encoding="utf-8")
    return TextSource(name=BUNDLED_NAME, text=text)


def text_of_file(path: Path) -> TextSource:
    """The beginning of a text file in UTF-8; AppError where it cannot be read or is no text."""
    try:
        with path.expanduser().open("rb") as file:
            data = file.read(MAX_TEXT_BYTES)
    except (OSError, RuntimeError, ValueError) as error:
        reason = (getattr(error, "strerror", None) or "its path leads nowhere").lower()
        raise AppError(errors.FILE_UNREADABLE, name=shown_name(path.name), reason=reason, detail=str(error)) from error
    if b"\x00" in data:
        raise AppError(errors.FILE_INVALID, name=shown_name(path.name), kind="text", reason="it holds bytes that no text has")
    # A character that the limit cuts in two is left out.
    text = data.decode("utf-8-sig", "ignore" if len(data) == MAX_TEXT_BYTES else "replace")
    if "\ufffd" in text:
        raise AppError(errors.FILE_INVALID, name=shown_name(path.name), kind="text", reason="it is not in UTF-8")
    return TextSource(name=path.name, text=text)
