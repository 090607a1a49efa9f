"""The card of the engine's builds: hidden without any, filled, tested again, and what is lent."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLabel, QWidget

from localai_app.engine.rpc_greeting import Answer
from localai_app.engine.runtimes import Build, Runtime
from localai_app.errors import LENDING_FAILED, AppError
from localai_app.gui.bridge import Bridge
from localai_app.gui.performance.runtime_card import RuntimeCard
from localai_app.gui.theme import ThemeState
from localai_app.services.app_services import AppServices
from localai_app.services.events import RuntimesChanged, SharingChanged
from localai_app.services.lending import LendingService, LendingState, LendingStatus
from localai_app.services.lent_devices import Lender, LentDevices
from localai_app.services.runtimes import RuntimeRow, RuntimeService
from localai_app.services.self_test_run import TestResult
from tests.gui.models.models_stage import eventually, nameless

Show = Callable[..., QWidget]
FOLDER = Path("/engines/lcpp-1")


def row(variant: str, result: TestResult | None, *, is_chosen: bool = False) -> RuntimeRow:
    build = Build("lcpp-1", "llama.cpp 1", FOLDER, (), "f")
    return RuntimeRow(Runtime(build, (FOLDER / f"libggml-cpu-{variant}.so",)), result, is_chosen)


def passed(tps: float) -> TestResult:
    return TestResult(passed=True, took_s=1.25, prompt_tps=tps, generation_tps=tps)


ROWS = [
    row("haswell", passed(4000), is_chosen=True), row("x64", passed(500)), row("sse42", passed(700)),
    row("zen4", TestResult(passed=False, is_unsupported=True, reason="it is not for this processor")),
    row("amx", TestResult(passed=False, reason="it crashed by reading memory that is not its own (SIGSEGV)")),
]


def words(card: RuntimeCard) -> list[str]:
    return [label.text() for label in card.findChildren(QLabel) if label.isVisible() and label.text()]


@pytest.fixture
def card(services: AppServices, theme: ThemeState, bridge: Bridge, show: Show) -> RuntimeCard:
    made = RuntimeCard(services, theme, bridge)
    show(made, 920, 600)
    return made


def test_builds_and_their_tests(card: RuntimeCard, services: AppServices, qtbot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RuntimeService, "rows", lambda _self: ROWS)
    monkeypatch.setattr(RuntimeService, "refused", lambda _self: ("/engines/old is not used: it is damaged.",))
    tests = []
    monkeypatch.setattr(RuntimeService, "test_all", lambda _self: tests.append(1))
    services.events.publish(RuntimesChanged())
    eventually(qtbot, lambda: "Also passed, with this speed in the test" in words(card))
    shown = words(card)
    assert card.name_label.text() == "llama.cpp 1, haswell"
    assert "llama.cpp 1, haswell, in use" in shown
    assert "Passed in 1.2 s; the test model reads 4,000 and writes 4,000 tokens per second." in shown
    assert "Failed: it crashed by reading memory that is not its own (SIGSEGV)." in shown
    assert "llama.cpp 1, x64 (500); llama.cpp 1, sse42 (700)." in shown
    assert "llama.cpp 1, zen4." in shown
    assert "/engines/old is not used: it is damaged." in shown
    assert nameless(card) == []
    qtbot.mouseClick(card.test_button, Qt.MouseButton.LeftButton)
    eventually(qtbot, lambda: tests == [1] and card.test_button.isEnabled())
    assert card.test_button.text() == "Test again"


def test_what_is_lent_and_borrowed(card: RuntimeCard, services: AppServices, qtbot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RuntimeService, "rows", lambda _self: ROWS)
    lenders = (Lender("10.0.0.2:50052", None), Lender("127.0.0.1:5", Answer.READY))
    monkeypatch.setattr(LentDevices, "lenders", property(lambda _self: lenders))
    state = LendingState(LendingStatus.LENDING, "127.0.0.1:50052")
    monkeypatch.setattr(LendingService, "state", property(lambda _self: state))
    services.events.publish(RuntimesChanged())
    eventually(qtbot, lambda: "This computer lends its devices at 127.0.0.1:50052" in words(card))
    shown = words(card)
    assert "Not used, because “Trust the network” is off." in shown
    assert "Ready." in shown
    assert any("no passwords and no encryption" in text for text in shown)
    error = AppError(LENDING_FAILED, address="127.0.0.1:50052", reason="it is in use")
    state = LendingState(LendingStatus.FAILED, "127.0.0.1:50052", error)
    services.events.publish(SharingChanged())
    eventually(qtbot, lambda: any(error.message in text for text in words(card)))
