"""The list of models that are loaded side by side, above the bottom line."""

from __future__ import annotations

import time

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from localai_app.gui.theme import ThemeState
from localai_app.gui.widgets.loaded_models import LoadedModels
from localai_app.services.views import EngineState, EngineStatus, LoadedModel
from tests.helpers.frame_fakes import GIB, LOADED


def model(name: str, status: EngineStatus = EngineStatus.READY, unused_s: float = 0.0) -> LoadedModel:
    return LoadedModel(EngineState(status, f"acme/{name}", name, LOADED), 1, time.monotonic() - unused_s)


@pytest.fixture
def button(qtbot: QtBot, qapp: QApplication) -> LoadedModels:
    made = LoadedModels(ThemeState())
    qtbot.addWidget(made)
    return made


def test_one_model_alone_needs_no_list(button: LoadedModels) -> None:
    assert button.isHidden()
    button.show_models([model("one")], "acme/one")
    assert button.isHidden()
    button.show_models([model("one"), model("two")], "acme/one")
    assert not button.isHidden()
    assert button.text() == "2 models loaded"
    button.show_models([model("one")], "acme/one")
    assert button.isHidden()


def test_each_model_says_what_it_does_and_holds_and_can_be_used_or_unloaded(qtbot: QtBot, button: LoadedModels) -> None:
    busy = model("busy", EngineStatus.ANSWERING)
    button.show_models([busy, model("used"), model("old", unused_s=185)], "acme/used")
    button.show_memory([("acme/busy", 3 * GIB), ("acme/old", GIB // 2)])
    button.open_list()
    opened = button.list
    assert opened is not None
    assert [row.words for row in opened.rows] == [
        "busy: Answering · 3.0 GiB of memory", "used: In use · 0 MiB of memory", "old: Unused for 3 min · 0.5 GiB of memory"]
    old = opened.rows[2]
    with qtbot.waitSignal(button.use_requested) as used:
        qtbot.mouseClick(old.use_button, Qt.MouseButton.LeftButton)
    with qtbot.waitSignal(button.unload_requested) as unloaded:
        qtbot.mouseClick(old.unload_button, Qt.MouseButton.LeftButton)
    assert (used.args, unloaded.args) == (["acme/old"], ["acme/old"])
    assert not opened.rows[1].use_button.isVisible()
    button.show_models([busy, model("used")], "acme/used")
    assert [row.key for row in opened.rows] == ["acme/busy", "acme/used"]
    button.show_models([], "")
    qtbot.waitUntil(lambda: button.list is None)
