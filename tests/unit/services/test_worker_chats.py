"""What a worker is told of the chats that it holds: what to take from disk, and what to save before it ends."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from localai_app.engine.protocol import Chat, ChatMessage, Command, Complete, RestoreState, SaveState, StateSaved, Stop
from localai_app.services import worker_chats
from localai_app.services.events import EventBus
from localai_app.services.prompt_states import PromptStates
from localai_app.services.worker_chats import WorkerChats


class ToldClient:
    """Takes commands as a client does, and has `answer` called for each."""

    def __init__(self, answer: Callable[[Command], None]) -> None:
        self.told: list[Command] = []
        self.is_running = True
        self._answer = answer

    def send(self, command: Command) -> None:
        self.told.append(command)
        self._answer(command)


@pytest.fixture
def states(tmp_path: Path) -> PromptStates:
    return PromptStates(EventBus(), tmp_path, lambda: 10**9)


def ask(chats: WorkerChats, client: Any, *conversations: str) -> None:
    for number, conversation in enumerate(conversations):
        chats.note_asked(client, Chat(
            id=100 + number, messages=(ChatMessage(role="user", content="?"),), conversation=conversation))


def test_a_state_is_taken_from_disk_once_and_chats_are_saved_last_used_first(states: PromptStates) -> None:
    chats = WorkerChats("model", states, itertools.count(1))

    def write(command: Command) -> None:
        if isinstance(command, SaveState):
            Path(command.path).write_bytes(b"state")
            chats.note(StateSaved(id=command.id, n_bytes=5))

    client = ToldClient(write)
    ask(chats, client, "1", "2", "1", "")
    chats.note_asked(client, Complete(id=9, prompt="x"))  # type: ignore[arg-type]
    assert client.told == [], "nothing lies on the disk"
    chats.save(client)  # type: ignore[arg-type]
    assert isinstance(client.told[0], Stop)
    assert [command.conversation for command in client.told if isinstance(command, SaveState)] == ["1", "2"]

    chats.begin()
    client.told.clear()
    ask(chats, client, "2", "2", "3")
    (restore,) = client.told
    assert isinstance(restore, RestoreState)
    assert Path(restore.path) == states.place_for("model", "2")


def test_a_silent_or_dead_worker_delays_the_end_only_so_long(states: PromptStates, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_chats, "SAVE_LIMIT_S", 0.3)
    for is_running, most_s in ((True, 1.5), (False, 0.2)):
        chats = WorkerChats("model", states, itertools.count(1))
        client = ToldClient(lambda _command: None)
        ask(chats, client, "1", "2", "3")
        client.is_running = is_running
        started_s = time.monotonic()
        chats.save(client)  # type: ignore[arg-type]
        assert time.monotonic() - started_s < most_s
        assert sum(isinstance(command, SaveState) for command in client.told) == 1
