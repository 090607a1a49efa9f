"""llama.cpp's log: warnings and errors go to stderr in bounded form, the last errors explain a failed load."""

from __future__ import annotations

import collections
import sys
from collections.abc import Callable
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
        self._captures: list[collections.deque[str]] = []
        self.on_line: Callable[[str], None] | None = None
        """Called with every message, or part of one, as it comes; for work that tells of its progress only here."""
        self._n_quiet = 0
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

    def start_capture(self, *, is_quiet: bool = True) -> None:
        """Keep every line from now on, information included, until `end_capture`; captures may lie inside one another.

        `is_quiet`: while this one lasts and inside it, nothing is written to stderr.
        """
        self._captures.append(collections.deque(maxlen=_MAX_CAPTURED_LINES))
        self._n_quiet += is_quiet or self._n_quiet > 0

    def end_capture(self) -> list[str]:
        """The lines since the last `start_capture` that has no end yet; the last 20,000 at most."""
        self._n_quiet = max(0, self._n_quiet - 1)
        return list(self._captures.pop()) if self._captures else []

    def _receive(self, level: int, text: bytes, _user_data: object) -> None:
        level = self._last_level if level == _LEVEL_CONTINUE else level
        self._last_level = level
        is_trouble = level in (_LEVEL_WARN, _LEVEL_ERROR)
        if not self._captures and self.on_line is None and not is_trouble:
            return
        line = text.decode("utf-8", "replace").strip()[:_MAX_LINE_CHARS]
        if self.on_line is not None:
            self.on_line(line)
        for capture in self._captures:
            capture.append(line)
        if not line or not is_trouble:
            return
        if level == _LEVEL_ERROR:
            self._errors.append(line)
        if not self._n_quiet and self._written < _MAX_LINES:
            self._written += 1
            print(line, file=sys.stderr, flush=True)
