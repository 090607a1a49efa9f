"""States of chats on disk: how a long chat is gone on with after its model was unloaded, without being read again.

A file for each chat and model, in the cache folder. The oldest go where the setting's space is not enough, those of a deleted
chat with it. Whether a file still belongs to its model is for the worker to see.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

from localai_app.services.events import ConversationDeleted, Event, EventBus

_SUFFIX = ".state"
_ABANDONED_S = 60.0
"""A file that is being written is older than this only if its worker was ended."""


class PromptStates:
    """The files of one folder. Safe from any thread; a disk that fails costs a chat's state and nothing else."""

    def __init__(self, events: EventBus, folder: Path, limit_bytes: Callable[[], int]) -> None:
        """`limit_bytes`: the space that all files together may take now; 0 keeps none."""
        self._folder = folder
        self._limit_bytes = limit_bytes
        self._lock = threading.Lock()
        self._deleted: set[str] = set()
        events.subscribe(self._on_event)

    def find(self, model_key: str, conversation: str) -> Path | None:
        """The file of a chat with a model, if there is one; it counts as used now."""
        path = self._path(model_key, conversation)
        try:
            os.utime(path)
        except OSError:
            return None
        return path

    def place_for(self, model_key: str, conversation: str) -> Path | None:
        """Where to write the state of a chat; None where it is not to be kept."""
        with self._lock:
            is_deleted = conversation in self._deleted
        return None if is_deleted or self._limit_bytes() <= 0 else self._path(model_key, conversation)

    def note_asked(self, conversation: str) -> None:
        """The chat is there, also if it was deleted before."""
        with self._lock:
            self._deleted.discard(conversation)

    def forget(self, conversation: str) -> None:
        """Remove what is kept of a chat, and keep nothing more of it."""
        with self._lock:
            self._deleted.add(conversation)
        for path in self._files(f"{conversation}-*"):
            _remove(path)

    def trim(self) -> None:
        """Remove the files used longest ago until the others find room."""
        files = []
        for path in self._files("*"):
            with contextlib.suppress(OSError):
                facts = path.stat()
                files.append((facts.st_mtime, facts.st_size, path))
        room = self._limit_bytes()
        for used_s, size, path in sorted(files, reverse=True):
            if path.suffix != _SUFFIX and time.time() - used_s > _ABANDONED_S:
                _remove(path)
                continue
            room -= size
            if room < 0:
                _remove(path)

    def _on_event(self, event: Event) -> None:
        if isinstance(event, ConversationDeleted):
            self.forget(str(event.conversation_id))

    def _path(self, model_key: str, conversation: str) -> Path:
        return self._folder / f"{conversation}-{hashlib.sha256(model_key.encode()).hexdigest()[:16]}{_SUFFIX}"

    def _files(self, pattern: str) -> list[Path]:
        with contextlib.suppress(OSError):
            return list(self._folder.glob(pattern))
        return []


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink()
