"""The state of a model while answers begin and end at one time."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from localai_app.engine.protocol import GenerationStats
from localai_app.services.engine_tracker import EngineTracker
from localai_app.services.events import EventBus
from localai_app.services.views import EngineState, EngineStatus
from tests.helpers.engine_bench import Sink


def test_an_answer_that_begins_while_another_one_ends_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    tracker = EngineTracker(EventBus(), EngineState(EngineStatus.READY, "model"))
    assert tracker.begin_answer(1, Sink(), lambda: None)
    change = tracker.change

    def another_thread_is_quicker(
        generation: int, to: Callable[[EngineState], EngineState],
    ) -> EngineState | None:
        assert tracker.begin_answer(2, Sink(), lambda: None)
        return change(generation, to)

    monkeypatch.setattr(tracker, "change", another_thread_is_quicker)
    assert tracker.end_answer(0, 1, GenerationStats()) is not None
    assert tracker.state.status is EngineStatus.ANSWERING
    monkeypatch.undo()
    assert tracker.end_answer(0, 2, GenerationStats()) is not None
    assert tracker.state.status is EngineStatus.READY
