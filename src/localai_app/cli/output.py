"""What commands print: one JSON document or words on stdout; progress and errors in words on stderr."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence

import msgspec

from localai_app.errors import AppError
from localai_app.progress import Progress
from localai_app.units import format_file_size


class Output:
    """The two streams of one command. `is_json`: stdout carries one JSON document and nothing else."""

    def __init__(self, *, is_json: bool) -> None:
        self.is_json = is_json
        self._progress_width = 0

    def document(self, value: object) -> None:
        """Print the one JSON document (any msgspec-encodable value); nothing in words mode."""
        if self.is_json:
            text = msgspec.json.format(msgspec.json.encode(value), indent=2).decode()
            print(text, flush=True)

    def words(self, line: str = "") -> None:
        """Print a line for people; nothing in JSON mode."""
        if not self.is_json:
            print(line, flush=True)

    def piece(self, text: str) -> None:
        """Print part of a line at once (a streaming answer); nothing in JSON mode."""
        if not self.is_json:
            print(text, end="", flush=True)

    def table(self, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """Print aligned columns; nothing in JSON mode."""
        lines = [header, *rows]
        widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
        for line in lines:
            self.words("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())

    def say(self, line: str) -> None:
        """Tell on stderr what goes on."""
        self.end_progress()
        print(line, file=sys.stderr, flush=True)

    def progress(self, progress: Progress, suffix: str = "") -> None:
        """Show progress in bytes on stderr: one line that is overwritten on a terminal, nothing elsewhere."""
        if not sys.stderr.isatty():
            return
        line = f"{format_file_size(progress.done)} of {format_file_size(progress.total)} ({progress.fraction:.0%}){suffix}"
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
        if self.is_json:
            self.document({**(extra or {}), "error": {"code": error.code, "message": error.message, "action": error.action}})
        else:
            print(f"{error.message}\n{error.action}", file=sys.stderr, flush=True)
