"""The live graph: what is collected, what is drawn, and that nothing is drawn while it is not seen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest
from PySide6.QtWidgets import QWidget

from localai_app.gui.bridge import Bridge
from localai_app.gui.performance.live_card import LiveCard
from localai_app.gui.theme import ThemeState
from localai_app.services.app_services import AppServices
from localai_app.services.events import EngineChanged, EventBus, MemoryMeasured
from localai_app.services.live_history import KEPT_S, LiveHistory
from localai_app.services.views import EngineState, EngineStatus
from tests.gui.models.models_stage import REPORT, eventually, nameless, show_computer

Show = Callable[..., QWidget]
GIB = 1024**3
READING = MemoryMeasured(REPORT.memory, REPORT.gpus, 3 * GIB)


@dataclass
class Engine:
    state: EngineState = field(default_factory=lambda: EngineState(EngineStatus.READY))


def test_readings_keep_the_last_minutes_and_count_tokens() -> None:
    events, engine, clock = EventBus(), Engine(), [0.0]
    history = LiveHistory(events, engine, lambda: clock[0])
    for second in range(round(KEPT_S) + 30):
        clock[0] = float(second)
        events.publish(READING)
    points = history.points()
    assert (points[0].time_s, points[-1].time_s, points[-1].tps) == (29.0, KEPT_S + 29, None)
    assert points[-1].used_bytes == 12 * GIB
    assert points[-1].gpu_used_bytes == (2 * GIB,)
    answering = EngineState(EngineStatus.ANSWERING, context_used=100, tps=50.0)
    for used in (100, 120, 150):
        engine.state = replace(answering, context_used=used)
        events.publish(EngineChanged())
    engine.state = EngineState(EngineStatus.READY, context_used=151, tps=50.0)
    events.publish(EngineChanged())
    clock[0] += 2.0
    events.publish(READING)
    assert history.points()[-1].tps == pytest.approx(51 / 2)
    clock[0] += 1.0
    events.publish(READING)
    assert history.points()[-1].tps is None
    history.close()
    events.publish(READING)
    assert history.points()[-1].time_s == clock[0]


def test_memory_and_speed_are_drawn_while_they_are_seen(
    services: AppServices, theme: ThemeState, bridge: Bridge, show: Show, qtbot,
) -> None:
    show_computer(services)
    card = LiveCard(services, theme, bridge)
    show(card, 920, 400)
    services.events.publish(READING)
    eventually(qtbot, lambda: len(card.memory.series) == 3)
    names = [one.name for one in card.memory.series]
    assert names == ["main memory", "RTX 4070", "model"]
    assert card.memory.series[0].points == ((KEPT_S, 12.0),)
    assert card.memory.y_marks()[-1] == 32
    assert card.memory.accessibleDescription() == "12.0 GiB of main memory in use, GPU 2.0 GiB"
    assert card.speed.series[0].points == ((KEPT_S, 0.0),)
    assert nameless(card) == []
    card.hide()
    services.events.publish(READING)
    qtbot.wait(80)
    assert len(card.memory.series[0].points) == 1
    card.show()
    assert len(card.memory.series[0].points) == 2
