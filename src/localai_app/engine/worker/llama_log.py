"""llama.cpp's log: warnings and errors go to stderr in bounded form, the last errors explain a failed load."""

from __future__ import annotations

import collections
import sys
from typing import Any

_LEVEL_WARN, _LEVEL_ERROR, _LEVEL_CONTINUE = 3, 4, 5
"""`enum ggml_log_level` of ggml.h; the copy of it in llama-cpp-python is of another version."""
_MAX_LINE_CHARS = 400
_MAX_LINES = 2000
_KEPT_ERRORS = 20
_MAX_CAPTURED_LINES = 20_000


class LlamaLog:
    """Receives every message of llama.cpp; lives as long as the process, because the library keeps the callback."""

    def __init__(self, library: Any) -> None:
        self._errors: collections.deque[str] = collections.deque(maxlen=_KEPT_ERRORS)
        self._last_level = 0
        self._captured: list[str] | None = None
        self._written = 0
        self._callback = library.llama_log_callback(self._receive)
        library.llama_log_set(self._callback, None)

    def clear(self) -> None:
        """Forget the errors so far: another load begins."""
        self._errors.clear()

    @property
    def errors(self) -> tuple[str, ...]:
        """The last errors, oldest first."""
        return tuple(self._errors)

    def start_capture(self) -> None:
        """Keep every line from now on, information included, and write none to stderr, until `end_capture`."""
        self._captured = []

    def end_capture(self) -> list[str]:
        """The lines since `start_capture`, at most 20,000."""
        lines, self._captured = self._captured or [], None
        return lines

    def _receive(self, level: int, text: bytes, _user_data: object) -> None:
        level = self._last_level if level == _LEVEL_CONTINUE else level
        self._last_level = level
        if self._captured is not None:
            self._capture(level, text)
            return
        if level not in (_LEVEL_WARN, _LEVEL_ERROR):
            return
        line = text.decode("utf-8", "replace").strip()[:_MAX_LINE_CHARS]
        if not line:
            return
        if level == _LEVEL_ERROR:
            self._errors.append(line)
        if self._written < _MAX_LINES:
            self._written += 1
            print(line, file=sys.stderr, flush=True)

    def _capture(self, level: int, text: bytes) -> None:
        line = text.decode("utf-8", "replace").strip()[:_MAX_LINE_CHARS]
        if level == _LEVEL_ERROR and line:
            self._errors.append(line)
        if self._captured is not None and len(self._captured) < _MAX_CAPTURED_LINES:
            self._captured.append(line)
