"""The load panel: what it offers, the fit that follows every change, what it remembers, and loading anyway."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QLabel, QMessageBox

from localai_app.engine.protocol import KvType, LoadOptions, TuningKind, TuningRow
from localai_app.fit.result import Verdict
from localai_app.gui.bridge import Bridge
from localai_app.gui.load.context_field import ContextField
from localai_app.gui.load.fit_question import FitQuestion
from localai_app.gui.load.load_form import LoadForm
from localai_app.gui.load.load_panel import LoadPanel
from localai_app.gui.load.wording import in_force_words
from localai_app.gui.theme import CONTRAST, ThemeState
from localai_app.hardware.report import EngineDevice, Gpu, HardwareReport, Memory, Vendor
from localai_app.services.app_services import AppServices
from localai_app.services.events import HardwareReported, LoadSettingsChanged, TuningChanged
from localai_app.services.load_settings import LoadSettings
from localai_app.services.views import EngineState, EngineStatus
from tests.gui.models.models_stage import GIB, REPORT, TINY_COMPUTER, eventually, nameless
from tests.helpers.frame_fakes import LOADED
from tests.helpers.gguf_files import write_tiny_gguf
from tests.helpers.services_fixture import TINY_KEY, install_tiny_model

Show = Callable[..., Any]
TWO_CARDS = msgspec.structs.replace(
    REPORT,
    gpus=tuple(Gpu(index=index, name="NVIDIA GeForce RTX 3090", vendor=Vendor.NVIDIA, total_bytes=24 * GIB, free_bytes=20 * GIB)
               for index in range(2)),
    engine_devices=tuple(EngineDevice(name=f"CUDA{index}", description="NVIDIA GeForce RTX 3090", kind="gpu",
                                      total_bytes=24 * GIB, free_bytes=20 * GIB) for index in range(2)))


@pytest.fixture
def make_panel(services: AppServices, theme: ThemeState, bridge: Bridge, show: Show, qtbot: Any) -> Callable[..., LoadPanel]:
    """A panel on a computer, with its first fit shown."""

    def make(key: str = TINY_KEY, computer: HardwareReport = TINY_COMPUTER, *, width: int = 960) -> LoadPanel:
        services.hardware._report = msgspec.structs.replace(computer, memory=Memory(
            total_bytes=32 * GIB, available_bytes=20 * GIB)) if computer is TINY_COMPUTER else computer
        panel = show(LoadPanel(services, theme, bridge, key), width, 640)
        eventually(qtbot, lambda: panel.fit is not None or panel.error.error is not None)
        return panel

    return make


@pytest.fixture
def tiny(services: AppServices) -> Path:
    return install_tiny_model(services.paths.data)


def set_memory(services: AppServices, available_bytes: int) -> None:
    """As if so much main memory were free, without a GPU."""
    services.hardware._report = msgspec.structs.replace(
        TINY_COMPUTER, memory=Memory(total_bytes=4 * GIB, available_bytes=available_bytes))


# --- what is offered -----------------------------------------------------------------------------
def test_without_a_gpu_nothing_about_gpus_is_offered(tiny: Path, make_panel: Any) -> None:
    panel = make_panel()
    assert panel.title == "Tiny-Chat · F32"
    assert panel.state_words == "Not loaded"
    assert not panel.form.layers.isVisible()
    assert not panel.form.experts.isVisible()
    assert panel.form.gpu_boxes == {}
    assert panel.view.badge.text() == "Runs on the CPU"
    assert panel.view.bars.bars[0].words.endswith("usable")
    assert "needs" in panel.view.reasons
    assert panel.form.settings == LoadSettings()
    assert not panel.reset_button.isEnabled()
    assert not panel.save_button.isEnabled()


def test_each_gpu_can_be_left_alone_and_twins_are_told_apart(tiny: Path, make_panel: Any) -> None:
    panel = make_panel(computer=TWO_CARDS)
    assert [box.text() for box in panel.form.gpu_boxes.values()] == [
        "RTX 3090 (CUDA0), 20.0 GiB free", "RTX 3090 (CUDA1), 20.0 GiB free"]
    assert panel.form.layers.isVisible()
    assert not panel.form.experts.isVisible()
    panel.form.gpu_boxes["CUDA1"].click()
    assert panel.form.settings == LoadSettings(without_devices=("CUDA1",))


def test_experts_are_offered_for_a_mixture_of_experts_only(services: AppServices, make_panel: Any) -> None:
    path = write_tiny_gguf(services.paths.data / "models" / "moe-Q8_0.gguf", n_expert=4, n_expert_used=2, n_ff=32)
    panel = make_panel(str(path), REPORT)
    assert panel.form.experts.isVisible()
    assert panel.form.experts.value is None
    panel.form.experts.spin.setValue(1)
    assert panel.form.settings == LoadSettings(experts_on_cpu=1)


def test_everything_has_a_name_and_is_reached_with_the_tab_key(tiny: Path, make_panel: Any) -> None:
    panel = make_panel(computer=REPORT)
    assert nameless(panel) == []
    wanted = {panel.form.context.spin, panel.form.context.slider, panel.form.kv_box, panel.form.layers.spin,
              *panel.form.gpu_boxes.values(), panel.close_button, panel.load_button}
    panel.form.context.spin.setFocus()
    seen = set()
    for _ in range(30):
        focused = panel.focusWidget()
        seen.add(focused)
        QTest.keyClick(focused, Qt.Key.Key_Tab)
    assert wanted <= seen


def test_with_large_text_the_columns_lie_below_each_other(
        tiny: Path, make_panel: Any, theme: ThemeState, qapp: Any) -> None:
    from localai_app.gui.theme import apply_theme

    apply_theme(qapp, "contrast", 200)
    theme.update(CONTRAST, 200)
    panel = make_panel(computer=REPORT, width=900)
    assert panel.minimumSizeHint().width() <= 900
    assert panel.view.geometry().top() >= panel.form.geometry().bottom()


# --- the fit while something is changed ----------------------------------------------------------
def test_the_fit_follows_the_context_and_its_precision(tiny: Path, make_panel: Any, qtbot: Any) -> None:
    panel = make_panel()
    before = panel.fit
    assert before is not None
    panel.form.context.spin.setValue(512)
    eventually(qtbot, lambda: panel.fit.ctx == 512)
    assert panel.fit.kv_bytes < before.kv_bytes
    exact = panel.fit.kv_bytes
    panel.form.kv_box.setCurrentIndex(1)
    panel.form.kv_box.activated.emit(1)
    eventually(qtbot, lambda: panel.fit.kv_type is KvType.Q8_0)
    assert panel.fit.kv_bytes < exact
    assert panel.form.settings == LoadSettings(ctx=512, kv_type=KvType.Q8_0)
    panel.reset_button.click()
    eventually(qtbot, lambda: panel.fit.ctx == before.ctx and panel.fit.kv_type is KvType.F16)
    assert panel.form.settings.is_default
    assert panel.form.context.spin.value() == before.ctx


def test_fits_are_worked_out_beside_the_window_and_only_the_newest_counts(
        tiny: Path, services: AppServices, qtbot: Any) -> None:
    services.hardware._report = REPORT
    preview = services.load_previews.open(TINY_KEY)
    threads: list[bool] = []
    quick, planned = preview.fit, preview.fit_as_planned
    asked: list[int | None] = []

    def fit(settings: LoadSettings) -> Any:
        threads.append(threading.current_thread() is threading.main_thread())
        return quick(settings)

    def fit_as_planned(settings: LoadSettings) -> Any:
        asked.append(settings.ctx)
        return planned(settings)

    preview.fit, preview.fit_as_planned = fit, fit_as_planned  # type: ignore[method-assign, assignment]
    question = FitQuestion()
    answers: list[tuple[int, bool]] = []
    question.answered.connect(lambda fit, is_final: answers.append((fit.ctx, is_final)))
    for ctx in range(256, 1256, 10):
        question.ask(preview, LoadSettings(ctx=ctx))
    eventually(qtbot, lambda: bool(answers) and answers[-1] == (1246, True))
    assert True not in threads
    assert len(threads) < 10
    assert asked == [1246]
    question.deleteLater()


def test_a_length_out_of_reach_is_shown_as_such_with_one_that_fits(
        tiny: Path, services: AppServices, make_panel: Any, qtbot: Any) -> None:
    path = write_tiny_gguf(
        services.paths.data / "models" / "long-F32.gguf", ctx_train=1_000_000, n_embd=128, n_head=2, n_head_kv=2)
    panel = make_panel(str(path))
    set_memory(services, 2 * GIB + 100 * 1024**2)
    panel.form.context.spin.setValue(1_000_000)
    eventually(qtbot, lambda: panel.fit.verdict is Verdict.NO)
    assert panel.form.context.hint.startswith("Out of reach: ")
    assert panel.form.context.spin.property("invalid") is True
    assert panel.view.remedies
    assert panel.load_button.text() == "Load anyway…"
    panel.form.context.longest_button.click()
    eventually(qtbot, lambda: panel.fit.verdict is Verdict.CPU)
    assert panel.form.context.value == panel.fit.max_ctx["f16"]
    assert panel.load_button.text() == "Load"


def test_more_layers_than_fit_are_shown_as_out_of_reach(
        tiny: Path, services: AppServices, make_panel: Any, qtbot: Any) -> None:
    full = msgspec.structs.replace(REPORT, gpus=(msgspec.structs.replace(REPORT.gpus[0], free_bytes=GIB),))
    panel = make_panel(computer=full)
    panel.form.layers.spin.setValue(2)
    eventually(qtbot, lambda: panel.fit.verdict is Verdict.NO)
    assert panel.form.layers.hint == "Out of reach: 2 do not fit on the GPU now."
    assert panel.form.layers.spin.property("invalid") is True
    panel.form.layers.spin.setValue(0)
    eventually(qtbot, lambda: panel.fit.verdict is Verdict.CPU)
    assert panel.form.layers.spin.property("invalid") is False


def test_new_hardware_is_offered_and_what_was_chosen_stays(
        tiny: Path, services: AppServices, make_panel: Any, qtbot: Any) -> None:
    panel = make_panel()
    panel.form.context.spin.setValue(512)
    services.hardware._report = REPORT
    services.events.publish(HardwareReported(REPORT))
    eventually(qtbot, lambda: list(panel.form.gpu_boxes) == ["CUDA0"])
    eventually(qtbot, lambda: panel.fit.verdict is Verdict.GPU)
    assert panel.form.settings == LoadSettings(ctx=512)
    assert panel.form.layers.hint.startswith("Chosen now: ")


# --- loading and remembering ---------------------------------------------------------------------
def test_loading_remembers_what_was_chosen_and_shows_what_is_in_force(
        tiny: Path, services: AppServices, make_panel: Any, qtbot: Any) -> None:
    panel = make_panel()
    panel.form.context.spin.setValue(512)
    with qtbot.waitSignal(panel.load_started) as started:
        panel.load_button.click()
    assert started.args == [TINY_KEY]
    assert services.load_settings.get(TINY_KEY) == LoadSettings(ctx=512)
    eventually(qtbot, lambda: services.engine.state.status is EngineStatus.READY)
    assert services.engine.state.loaded is not None
    assert services.engine.state.loaded.ctx == 512
    eventually(qtbot, lambda: panel.state_words.startswith("Loaded now: a context of 512 tokens kept as f16"))
    assert panel.load_button.text() == "Load again with these settings"
    again = make_panel()
    assert again.form.context.value == 512
    assert not again.save_button.isEnabled()
    assert again.reset_button.isEnabled()


def test_settings_can_be_kept_without_loading(tiny: Path, services: AppServices, make_panel: Any) -> None:
    events: list[object] = []
    services.events.subscribe(events.append)
    panel = make_panel()
    panel.form.context.spin.setValue(1024)
    assert panel.save_button.isEnabled()
    panel.save_button.click()
    assert services.load_settings.get(TINY_KEY) == LoadSettings(ctx=1024)
    assert LoadSettingsChanged(TINY_KEY) in events
    assert not panel.save_button.isEnabled()
    assert services.engine.state.status is EngineStatus.NONE


def box_of(panel: LoadPanel) -> QMessageBox:
    panel.load_button.click()
    assert panel.anyway.box is not None
    return panel.anyway.box


def test_too_large_is_loaded_only_after_yes(tiny: Path, services: AppServices, make_panel: Any, qtbot: Any) -> None:
    panel = make_panel()
    set_memory(services, 1024)
    panel.form.context.spin.setValue(2048)
    eventually(qtbot, lambda: panel.fit.verdict is Verdict.NO)
    box = box_of(panel)
    assert box.text() == "Load Tiny-Chat · F32 anyway?"
    assert "Too large for this computer right now" in box.informativeText()
    assert "the engine stops. Your chats are safe" in box.informativeText()
    assert box.defaultButton().text() == "Do not load"
    box.defaultButton().click()
    eventually(qtbot, lambda: panel.anyway.box is None)
    assert services.engine.state.status is EngineStatus.NONE
    assert services.load_settings.get(TINY_KEY).is_default
    box = box_of(panel)
    next(button for button in box.buttons() if button.text() == "Load anyway").click()
    eventually(qtbot, lambda: services.engine.state.status is EngineStatus.READY)
    assert services.engine.state.loaded is not None
    assert services.engine.state.loaded.ctx == 2048


def test_a_damaged_header_is_unknown_with_its_reason_and_can_be_tried(
        services: AppServices, make_panel: Any, tmp_path: Path, qtbot: Any) -> None:
    path = write_tiny_gguf(tmp_path / "cut-Q8_0.gguf")
    path.write_bytes(path.read_bytes()[:4000])
    panel = make_panel(str(path), REPORT)
    assert panel.view.badge.text() == "Not known whether it runs"
    assert "cut-Q8_0.gguf is incomplete" in panel.view.reasons
    assert panel.form.context.hint == "How much fits is not known."
    box = box_of(panel)
    assert "is incomplete" in box.informativeText()
    assert "only open files from a source that you trust" in box.informativeText()
    next(button for button in box.buttons() if button.text() == "Load anyway").click()
    eventually(qtbot, lambda: services.engine.state.status is EngineStatus.READY)


def test_a_long_name_is_no_reason_to_cut_anything(make_panel: Any, tmp_path: Path) -> None:
    name = "a_name_that_goes_on_and_on_" * 8
    path = write_tiny_gguf(tmp_path / f"{name}-Q8_0.gguf")
    path.write_bytes(path.read_bytes()[:4000])
    panel = make_panel(str(path), REPORT)
    assert panel.title == f"{name[:-1]} · Q8_0"
    assert f"{name}-Q8_0.gguf is incomplete" in panel.view.reasons
    assert panel.width() == 960
    assert panel.view.geometry().right() <= panel.view.parentWidget().rect().right()
    assert panel.view.parentWidget().width() <= panel.view.parentWidget().parentWidget().width()


def test_the_name_of_a_file_is_never_markup(make_panel: Any, tmp_path: Path, qtbot: Any) -> None:
    path = write_tiny_gguf(tmp_path / "<b>bold<b>-Q8_0.gguf")
    path.write_bytes(path.read_bytes()[:4000])
    panel = make_panel(str(path), REPORT)
    box = box_of(panel)
    assert "<b>bold<b>" in box.informativeText()
    assert {words.textFormat() for words in box.findChildren(QLabel) if "<b>" in words.text()} == {Qt.TextFormat.PlainText}
    box.reject()
    eventually(qtbot, lambda: panel.anyway.box is None)


def test_a_model_that_is_gone_is_said_and_cannot_be_loaded(make_panel: Any) -> None:
    panel = make_panel("nobody/nothing:Q4_K_M")
    assert panel.error.isVisible()
    assert not panel.load_button.isEnabled()
    assert not panel.form.isVisible()


# --- parts ---------------------------------------------------------------------------------------
def test_slider_and_number_go_together(qtbot: Any) -> None:
    field = ContextField()
    qtbot.addWidget(field)
    field.show_limits(32_768)
    field.show_value(None, 8192)
    assert field.value is None
    assert field.spin.value() == 8192
    with qtbot.waitSignal(field.value_changed):
        field.slider.setValue(field.slider.maximum())
    assert (field.value, field.spin.value()) == (32_768, 32_768)
    with qtbot.waitSignal(field.value_changed):
        field.spin.setValue(5000)
    assert field.value == 5000
    assert field._steps[field.slider.value()] == 4096
    field.show_limits(4096)
    assert field.value == 5000


def test_what_the_settings_fix_is_told_while_it_is_automatic(services: AppServices, tiny: Path, make_panel: Any) -> None:
    services.settings.set("gpu_layers", 1)
    services.settings.set("kv_type", "q8_0")
    panel = make_panel(computer=REPORT)
    assert panel.form.layers.hint == "As in the settings: 1"
    assert panel.form.kv_box.currentData() == "q8_0"
    assert panel.form.settings.is_default


def test_a_form_keeps_more_layers_than_a_model_has(qtbot: Any, services: AppServices, tiny: Path) -> None:
    form = LoadForm()
    qtbot.addWidget(form)
    services.hardware._report = REPORT
    preview = services.load_previews.open(TINY_KEY)
    form.show_model(preview.facts, services.load_previews.gpus(), services.load_previews.default_request())
    form.show_settings(LoadSettings(gpu_layers=99))
    assert form.settings == LoadSettings(gpu_layers=99)


def test_what_is_in_force_in_words() -> None:
    state = EngineState(EngineStatus.READY, TINY_KEY, "Tiny", LOADED)
    assert in_force_words(state) == "Loaded now: a context of 16,384 tokens, 33 of 33 layers on the GPU, 8 threads"
    on_cpu = msgspec.structs.replace(LOADED, gpu_layers=0, threads=1)
    assert in_force_words(EngineState(EngineStatus.READY, TINY_KEY, "Tiny", on_cpu)).endswith("on the processor, 1 thread")
    assert in_force_words(EngineState(EngineStatus.LOADING, TINY_KEY)) == "Loading…"
    assert in_force_words(EngineState(EngineStatus.NONE, TINY_KEY)) == "Not loaded"


def test_who_drafts_is_offered_chosen_and_remembered(
    make_panel: Callable[..., LoadPanel], services: AppServices, qtbot: Any,
) -> None:
    folder = services.paths.data / "models" / "tester"
    write_tiny_gguf(folder / "Large-GGUF" / "large-F32.gguf", n_layer=4)
    write_tiny_gguf(folder / "Small-GGUF" / "small-F32.gguf", n_layer=1)
    panel = make_panel("tester/Large-GGUF:F32")
    box = panel.form.draft.box
    assert [box.itemData(index) for index in range(box.count())] == ["", "lookup", "tester/Small-GGUF:F32"]
    assert panel.form.settings.is_default
    box.setCurrentIndex(2)
    box.activated.emit(2)
    assert panel.form.draft.hint.startswith("Faster where the smaller model")
    eventually(qtbot, lambda: any("drafts tokens" in reason for reason in panel.fit.reasons if panel.fit is not None))
    QTest.mouseClick(panel.save_button, Qt.MouseButton.LeftButton)
    assert services.load_settings.get("tester/Large-GGUF:F32") == LoadSettings(draft="tester/Small-GGUF:F32")
    panel.form.show_settings(LoadSettings(draft="tester/gone:F32"))
    assert panel.form.settings.draft == "tester/gone:F32"


def test_what_was_measured_is_told(make_panel: Callable[..., LoadPanel], services: AppServices, tiny: Path, qtbot: Any) -> None:
    panel = make_panel()
    assert not panel.form.measured.isVisible()
    rows = (TuningRow(kind=TuningKind.GENERATION, value=3, tps=9.0),)
    services.tuning_memory.keep(services.library.get(TINY_KEY), LoadOptions(model_path="", ctx=512), rows, 1_700_000_000.0)
    services.events.publish(TuningChanged(TINY_KEY))
    eventually(qtbot, panel.form.measured.isVisible)
    assert panel.form.measured.text().startswith("Fastest here: 3 processor threads")


def test_it_is_said_how_the_weights_are_stored(tiny: Path, make_panel: Any, qtbot: Any) -> None:
    panel = make_panel()
    eventually(qtbot, lambda: panel.stored.words == "Stored as F16 (100% of the weights).")
    assert not panel.stored.isHidden()
