"""The load panel in the real window with a real model: changed, loaded, remembered; and models that are held back."""

from __future__ import annotations

import shutil
from pathlib import Path

import msgspec
import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QMessageBox, QWidget

from localai_app.engine.launch import worker_command
from localai_app.engine.protocol import KvType
from localai_app.fit.result import Basis, Verdict
from localai_app.gui.load.load_dialog import LoadDialog
from localai_app.gui.load.load_panel import LoadPanel
from localai_app.hardware.report import Memory
from localai_app.services.load_settings import LoadSettings
from localai_app.services.views import EngineStatus
from localai_app.store.records import MessageState
from tests.helpers.frame_fakes import REPORT
from tests.helpers.gguf_files import Typed, write_tiny_gguf
from tests.helpers.real_models import smollm2_path
from tests.helpers.real_window import RealWindow, open_window, text_of, wait_for
from tests.helpers.services_fixture import TINY_KEY, install_tiny_model
from tests.integration.acceptance.test_usable_by_everyone import cut_off, faint_texts, nameless, out_of_reach

KEY = "tester/SmolLM2-135M-Instruct-GGUF:Q4_1"
FULL = Memory(total_bytes=8 * 1024**3, available_bytes=1024**2)


def install_smollm2(data_dir: Path) -> None:
    path = data_dir / "models" / "tester" / "SmolLM2-135M-Instruct-GGUF" / smollm2_path().name
    path.parent.mkdir(parents=True)
    shutil.copy(smollm2_path(), path)


def open_panel(run: RealWindow, qtbot: object) -> LoadPanel:
    """From the list of installed models, as a person opens it."""
    run.window.page("models")
    run.window.show_page("models").show_tab("Installed")  # type: ignore[attr-defined]
    wait_for(qtbot, lambda: any(text_of(widget) == "Load…" for widget in run.visible(QWidget)))
    run.button("Load…").click()
    (dialog,) = run.dialogs()
    assert isinstance(dialog, LoadDialog)
    wait_for(qtbot, lambda: dialog.panel.fit is not None)
    return dialog.panel


def test_changed_loaded_and_remembered(tmp_path: Path, offline: None, qapp, qtbot) -> None:
    pytest.importorskip("llama_cpp")
    install_smollm2(tmp_path)
    with open_window(tmp_path) as run:
        engine = run.services.engine
        wait_for(qtbot, lambda: run.services.hardware.report is not None)
        panel = open_panel(run, qtbot)
        wait_for(qtbot, lambda: panel.fit.basis is Basis.DRY_RUN, 60)
        before = panel.fit
        bar = panel.view.bars.bars[-1]
        context_before = bar.bar.parts[2].amount
        panel.form.context.slider.setFocus()
        QTest.keyClick(panel.form.context.slider, Qt.Key.Key_Home)
        chosen = panel.form.context.value
        assert chosen == 2048 != before.ctx
        wait_for(qtbot, lambda: panel.fit.ctx == chosen and panel.fit.basis is Basis.DRY_RUN)
        assert panel.fit.kv_bytes * 4 == before.kv_bytes
        assert bar.bar.parts[2].amount * 4 == context_before
        assert panel.view.badge.text() == "Runs on the CPU"
        assert "at a context of 2,048 tokens" in panel.view.reasons
        panel.load_button.click()
        wait_for(qtbot, lambda: engine.state.status is EngineStatus.READY, 60)
        assert engine.state.loaded is not None
        assert engine.state.loaded.ctx == chosen
        wait_for(qtbot, lambda: run.dialogs() == [])
    with open_window(tmp_path) as run:
        assert run.services.load_settings.get(KEY) == LoadSettings(ctx=chosen)
        run.window.open_chat(KEY)
        wait_for(qtbot, lambda: run.services.engine.state.status is EngineStatus.READY, 60)
        assert run.services.engine.state.loaded is not None
        assert run.services.engine.state.loaded.ctx == chosen
        check_after_loading(run, qtbot)


def check_after_loading(run: RealWindow, qtbot: object) -> None:
    """From the chooser of the chat: what is in force, another precision, loaded again."""
    chooser = run.window.page("chat").view.chooser  # type: ignore[attr-defined]
    menu = chooser.build_menu()
    next(action for action in menu.actions() if action.text() == "Load settings…").trigger()
    menu.close()
    (dialog,) = run.dialogs()
    assert isinstance(dialog, LoadDialog)
    panel = dialog.panel
    wait_for(qtbot, lambda: panel.fit is not None)
    assert panel.state_words.startswith("Loaded now: a context of 2,048 tokens kept as f16, on the processor")
    assert panel.form.context.value == 2048
    assert panel.load_button.text() == "Load again with these settings"
    panel.form.kv_box.setCurrentIndex(1)
    panel.form.kv_box.activated.emit(1)
    engine, pid = run.services.engine, run.services.engine.pid
    panel.load_button.click()
    wait_for(qtbot, lambda: engine.state.status is EngineStatus.READY and engine.pid not in (None, pid), 60)
    options = engine.state.options
    assert options is not None
    assert (options.ctx, options.kv_type) == (2048, KvType.Q8_0)


def truncated(path: Path) -> str:
    path.write_bytes(path.read_bytes()[:4000])
    return "is incomplete"


def unknown_architecture(path: Path) -> str:
    write_tiny_gguf(path, metadata={"general.architecture": Typed("str", "martian")})
    return "does not know models of the kind “martian”"


def without_layers(path: Path) -> str:
    write_tiny_gguf(path, metadata={"llama.block_count": Typed("u32", 0)})
    return "The engine stopped"


@pytest.mark.parametrize("damage", [truncated, unknown_architecture, without_layers])
def test_a_damaged_model_is_offered_after_a_question_and_the_window_stays(
        tmp_path: Path, offline: None, expect_log, qapp, qtbot, damage) -> None:
    pytest.importorskip("llama_cpp")
    if damage is without_layers:
        expect_log("the engine ended")
    path = install_tiny_model(tmp_path)
    sentence = damage(path)
    with open_window(tmp_path, is_started=False) as run:
        panel = open_panel(run, qtbot)
        wait_for(qtbot, lambda: panel.fit.verdict is Verdict.UNKNOWN, 60)
        assert panel.load_button.text() == "Load anyway…"
        panel.load_button.click()
        answer(run, "Load anyway")
        wait_for(qtbot, lambda: run.services.engine.state.status is EngineStatus.FAILED, 60)
        error = run.services.engine.state.error
        assert error is not None
        assert sentence in error.message
        wait_for(qtbot, lambda: any(sentence in text_of(widget) for widget in run.visible(QWidget)))
        assert run.window.isVisible()


def answer(run: RealWindow, words: str) -> None:
    """Press a button of the question that is open."""
    (box,) = [widget for widget in run.app.topLevelWidgets() if isinstance(widget, QMessageBox) and widget.isVisible()]
    next(button for button in box.buttons() if button.text() == words).click()


def test_a_model_that_is_too_large_is_loaded_from_the_chat_after_a_question(
        tmp_path: Path, offline: None, monkeypatch: pytest.MonkeyPatch, qapp, qtbot) -> None:
    pytest.importorskip("llama_cpp")
    monkeypatch.setattr("localai_app.services.hardware_service.measure_memory", lambda: FULL)
    install_tiny_model(tmp_path)
    with open_window(tmp_path, is_started=False) as run:
        run.services.hardware._report = msgspec.structs.replace(REPORT, memory=FULL, gpus=(), engine_devices=())
        run.window.open_chat(TINY_KEY)
        wait_for(qtbot, lambda: run.services.engine.state.status is EngineStatus.FAILED, 60)
        wait_for(qtbot, lambda: "Load anyway…" in run.texts())
        run.button("Load anyway…").click()
        box = next(widget for widget in run.dialogs() if isinstance(widget, QMessageBox))
        assert "Tiny-Chat needs" in box.informativeText()
        answer(run, "Do not load")
        run.settle()
        assert run.services.engine.state.status is EngineStatus.FAILED
        run.button("Load anyway…").click()
        answer(run, "Load anyway")
        wait_for(qtbot, lambda: run.services.engine.state.status is EngineStatus.READY, 60)
        wait_for(qtbot, lambda: "Load anyway…" not in run.texts())


def test_a_question_to_a_model_that_was_held_back_is_answered_after_all(
        tmp_path: Path, offline: None, monkeypatch: pytest.MonkeyPatch, qapp, qtbot) -> None:
    monkeypatch.setattr("localai_app.services.hardware_service.measure_memory", lambda: FULL)
    install_tiny_model(tmp_path)
    with open_window(tmp_path, worker=worker_command("echo"), is_started=False) as run:
        run.services.hardware._report = msgspec.structs.replace(REPORT, memory=FULL, gpus=(), engine_devices=())
        page = run.window.show_page("chat")
        page.view.composer.set_text("Are you there?")  # type: ignore[attr-defined]
        page.view.composer.send()  # type: ignore[attr-defined]
        wait_for(qtbot, lambda: run.services.engine.state.status is EngineStatus.FAILED)
        column = page.view.transcript.column  # type: ignore[attr-defined]
        wait_for(qtbot, lambda: "Load anyway…" in run.texts() and column.last_view is not None)
        run.button("Load anyway…").click()
        answer(run, "Load anyway")
        (chat,) = run.services.chat.conversations()
        wait_for(qtbot, lambda: [message.state for message in run.services.chat.messages(chat.id)] == [MessageState.DONE] * 2)


def test_escape_leaves_everything_as_it_was(tmp_path: Path, offline: None, qapp, qtbot) -> None:
    install_tiny_model(tmp_path)
    with open_window(tmp_path, is_started=False) as run:
        panel = open_panel(run, qtbot)
        panel.form.context.spin.setValue(512)
        QTest.keyClick(panel, Qt.Key.Key_Escape)
        wait_for(qtbot, lambda: run.dialogs() == [])
        assert run.services.load_settings.get(TINY_KEY).is_default
        assert run.services.engine.state.status is EngineStatus.NONE


@pytest.mark.parametrize(("theme", "percent"), [("light", 100), ("dark", 100), ("contrast", 100), ("contrast", 200)])
def test_everybody_can_use_it(tmp_path: Path, offline: None, qapp, qtbot, theme: str, percent: int) -> None:
    install_tiny_model(tmp_path)
    with open_window(tmp_path, is_started=False) as run:
        run.services.settings.set("theme", theme)
        run.services.settings.set("text_scale_percent", percent)
        run.services.hardware._report = REPORT
        run.settle()
        panel = open_panel(run, qtbot)
        panel.form.context.spin.setValue(1024)
        wait_for(qtbot, lambda: panel.fit.ctx == 1024)
        run.settle()
        (dialog,) = run.dialogs()
        assert (dialog.width() <= run.window.width(), dialog.height() <= run.window.height()) == (True, True)
        inside = RealWindow(run.app, run.services, dialog)  # type: ignore[arg-type]
        for complaints_of in (faint_texts, cut_off, out_of_reach, nameless):
            assert complaints_of(inside) == []
        dialog.close()
