"""The thread in which workers are stopped and started."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from localai_app.services.engine_control import EngineControl
from localai_app.services.events import EventBus


def test_a_step_that_fails_is_told_and_the_next_one_is_made(expect_log: Callable[[str], None]) -> None:
    plan: Any = None
    control, done = EngineControl(EventBus(), plan, None, None), []

    def step() -> None:
        raise ValueError("a bug")

    expect_log("ERROR .*engine_control: a step of the engine's control failed")
    control.submit(step)
    control.submit(lambda: done.append("next"))
    control.close()
    assert done == ["next"]
