"""The chats that one worker holds in its cache: brought back from disk when they are asked, and saved when it ends."""

from __future__ import annotations

import itertools
import logging
import queue
import time

from localai_app.engine import protocol
from localai_app.engine.client import EngineClient
from localai_app.services.prompt_states import PromptStates

log = logging.getLogger(__name__)

SAVE_LIMIT_S = 2.0
"""So long a model's end, and that of the program, may wait for the states of its chats."""
_LOOK_S = 0.1


class WorkerChats:
    """Follows what a worker is asked. `begin`, `note_asked` and `save` each from one thread at a time."""

    def __init__(self, model_key: str, states: PromptStates | None, ids: itertools.count[int]) -> None:
        self._model_key = model_key
        self._states = states
        self._ids = ids
        self._asked: dict[str, None] = {}
        self._last_id = 0
        self._saved: queue.SimpleQueue[protocol.StateSaved] = queue.SimpleQueue()

    def begin(self) -> None:
        """A new worker starts: it holds nothing."""
        self._asked.clear()

    def note_asked(self, client: EngineClient, command: protocol.Command) -> None:
        """Before a worker is asked for an answer: the first time, it is told to take the chat's state from disk."""
        if self._states is None or not isinstance(command, protocol.Chat) or not command.conversation:
            return
        chat = command.conversation
        self._last_id = command.id
        self._states.note_asked(chat)
        is_new = chat not in self._asked
        self._asked.pop(chat, None)
        self._asked[chat] = None
        path = self._states.find(self._model_key, chat) if is_new else None
        if path is not None:
            client.send(protocol.RestoreState(id=next(self._ids), conversation=chat, path=str(path)))

    def note(self, event: protocol.Event) -> None:
        """Look out for what `save` waits for: the worker has written a state, or has none to write."""
        if isinstance(event, protocol.StateSaved):
            self._saved.put(event)

    def save(self, client: EngineClient) -> None:
        """Have the chats of a worker that is about to end saved, the one asked last first, as long as the time allows."""
        states, chats = self._states, list(reversed(self._asked))
        self._asked.clear()
        if states is None or not chats:
            return
        end_s = time.monotonic() + SAVE_LIMIT_S
        # Whoever ends a worker does not wait for its answer.
        client.send(protocol.Stop(id=self._last_id))
        for chat in chats:
            path = states.place_for(self._model_key, chat)
            if path is None:
                continue
            request_id = next(self._ids)
            client.send(protocol.SaveState(id=request_id, conversation=chat, path=str(path)))
            if not self._wait_for(request_id, client, end_s):
                log.info("not all chats were saved within %s s", SAVE_LIMIT_S)
                break
        states.trim()

    def _wait_for(self, request_id: int, client: EngineClient, end_s: float) -> bool:
        while client.is_running and time.monotonic() < end_s:
            try:
                if self._saved.get(timeout=_LOOK_S).id == request_id:
                    return True
            except queue.Empty:
                continue
        return False
