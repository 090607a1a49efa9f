"""What commands print: one JSON document or words on stdout; progress and errors in words on stderr."""

from __future__ import annotations

import contextlib
import os
import re
import sys
from collections.abc import Iterable, Sequence
from io import TextIOWrapper
from pathlib import Path
from typing import Any

import msgspec

from localai_app import errors
from localai_app.errors import AppError
from localai_app.progress import Progress
from localai_app.units import format_file_size

_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
"""Control characters besides line end and tab: a model, a Hub or a file name must not be able to steer a terminal."""


def prepare_streams() -> None:
    """Let both streams take any text: UTF-8 whatever the locale, and nowhere if they were closed before the start."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            # Kept open to the end, so that no other file gets its number and what is meant for the terminal with it.
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115
        elif isinstance(stream, TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="replace")


def plain(text: str) -> str:
    """Text for a terminal: control characters are replaced."""
    return _CONTROLS.sub("\ufffd", text)


class Output:
    """The two streams of one command. `is_json`: stdout carries one JSON document and nothing else."""

    def __init__(self, *, is_json: bool) -> None:
        self.is_json = is_json
        self._progress_width = 0

    def document(self, value: object) -> None:
        """Print the one JSON document (any msgspec-encodable value); nothing in words mode."""
        if self.is_json:
            try:
                encoded = msgspec.json.encode(value)
            except UnicodeEncodeError:
                encoded = msgspec.json.encode(_without_surrogates(msgspec.to_builtins(value)))
            _print(msgspec.json.format(encoded, indent=2).decode())

    def words(self, line: str = "") -> None:
        """Print a line for people; nothing in JSON mode."""
        if not self.is_json:
            _print(plain(line))

    def piece(self, text: str) -> None:
        """Print part of a line at once (a streaming answer); nothing in JSON mode."""
        if not self.is_json:
            _print(plain(text), end="")

    def table(self, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """Print aligned columns; nothing in JSON mode."""
        lines = [header, *rows]
        widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
        for line in lines:
            self.words("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())

    def say(self, line: str) -> None:
        """Tell on stderr what goes on."""
        self.end_progress()
        print(plain(line), file=sys.stderr, flush=True)

    def progress(self, progress: Progress, suffix: str = "") -> None:
        """Show progress in bytes on stderr: one line that is overwritten on a terminal, nothing elsewhere."""
        self.overwrite(
            f"{format_file_size(progress.done)} of {format_file_size(progress.total)} ({progress.fraction:.0%}){suffix}")

    def overwrite(self, line: str) -> None:
        """Show a line on stderr in place of the last one; nothing where that is no terminal."""
        if not sys.stderr.isatty():
            return
        print("\r" + line.ljust(self._progress_width), end="", file=sys.stderr, flush=True)
        self._progress_width = len(line)

    def end_progress(self) -> None:
        """Go to a new line after progress was shown."""
        if self._progress_width:
            print(file=sys.stderr)
            self._progress_width = 0

    def error(self, error: AppError, extra: dict[str, object] | None = None) -> None:
        """Report a failure: as JSON on stdout, or in words on stderr."""
        self.end_progress()
        if self.is_json and error.spec is not errors.OUTPUT_UNWRITABLE:
            self.document({**(extra or {}), "error": {"code": error.code, "message": error.message, "action": error.action}})
        else:
            print(plain(f"{error.message}\n{error.action}"), file=sys.stderr, flush=True)


def _print(text: str, end: str = "\n") -> None:
    """To stdout at once. AppError OUTPUT_UNWRITABLE; whoever stopped reading is the command line library's business."""
    try:
        print(text, end=end, flush=True)
    except BrokenPipeError:
        raise
    except OSError as error:
        # What is still in the stream's buffer would be tried again at the end, and fail with noise.
        with contextlib.suppress(OSError), Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), sys.stdout.fileno())
        raise AppError(errors.OUTPUT_UNWRITABLE, reason=(error.strerror or str(error)).lower()) from error


def _without_surrogates(value: Any) -> Any:
    """Names of files that are no text have no form in JSON: what cannot be written becomes a question mark."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {_without_surrogates(key): _without_surrogates(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_surrogates(item) for item in value]
    return value
