"""Where the states of chats lie, and which of them go."""

from __future__ import annotations

import os
import time
from pathlib import Path

from localai_app.services.events import ConversationDeleted, EventBus
from localai_app.services.prompt_states import PromptStates


def write(path: Path | None, size: int, age_s: float) -> Path:
    assert path is not None
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(size))
    os.utime(path, (time.time() - age_s, time.time() - age_s))
    return path


def test_each_chat_and_model_has_a_file(tmp_path: Path) -> None:
    states = PromptStates(EventBus(), tmp_path / "states", lambda: 1000)
    places = {states.place_for(model, chat) for model in ("a/b:Q4", "c") for chat in ("1", "12")}
    assert len(places) == 4
    assert states.find("c", "1") is None
    place = write(states.place_for("c", "1"), 10, 1000)
    assert states.find("c", "1") == place
    assert time.time() - place.stat().st_mtime < 100, "it counts as used now"


def test_the_files_used_longest_ago_go_first(tmp_path: Path) -> None:
    limit = 100
    states = PromptStates(EventBus(), tmp_path, lambda: limit)
    old, newer, newest = (write(states.place_for("m", str(chat)), 50, 90.0 - chat) for chat in (1, 2, 3))
    half_written = write(tmp_path / "4-m.state.part", 1, 61)
    in_writing = write(tmp_path / "5-m.state.part", 0, 1)
    states.trim()
    assert not old.exists()
    assert not half_written.exists()
    assert newer.exists()
    assert newest.exists()
    assert in_writing.exists()
    limit = 0
    states.trim()
    assert not newest.exists()
    assert states.place_for("m", "3") is None


def test_a_deleted_chat_leaves_nothing_and_is_not_written_again(tmp_path: Path) -> None:
    bus = EventBus()
    states = PromptStates(bus, tmp_path, lambda: 1000)
    of_two_models = [write(states.place_for(model, "7"), 1, 1) for model in ("a", "b")]
    other = write(states.place_for("a", "77"), 1, 1)
    bus.publish(ConversationDeleted(7))
    assert not any(path.exists() for path in of_two_models)
    assert other.exists()
    assert states.place_for("a", "7") is None
    states.note_asked("7")
    assert states.place_for("a", "7") == of_two_models[0]
