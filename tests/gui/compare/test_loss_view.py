"""The view of what smaller files lose: nothing installed, one variant, several, running, failed, results, files made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QLabel, QWidget

from localai_app.compare.loss import TextSource
from localai_app.engine.scoring import TensorFallback
from localai_app.errors import ENGINE_CRASHED, AppError
from localai_app.gui.bridge import Bridge
from localai_app.gui.compare.loss_view import LossView
from localai_app.gui.compare.requantize_dialog import NOTHING_SMALLER, RequantizeDialog
from localai_app.gui.itemmodels.loss_table_model import Column
from localai_app.gui.theme import ThemeState
from localai_app.services.app_services import AppServices
from localai_app.services.compare.loss_state import LossFailure, LossState, LossStatus, QuantizingState, QuantizingStatus
from localai_app.services.events import LossChanged
from tests.gui.models.models_stage import eventually, nameless
from tests.helpers.losses import keep_loss, loss_of
from tests.helpers.services_fixture import TINY_KEY, TINY_REPO, install_tiny_model

Show = Callable[..., QWidget]
OTHER_KEY = f"{TINY_REPO}:BF16"


@pytest.fixture
def make(services: AppServices, theme: ThemeState, bridge: Bridge, show: Show, qtbot) -> Callable[..., LossView]:
    def make_view(*names: str) -> LossView:
        for name in names:
            install_tiny_model(services.paths.data, name=name)
        made = LossView(services, theme, bridge)
        show(made, 1072, 900)
        eventually(qtbot, lambda: made.feed.is_read and made.setup.text_field.text is not None)
        return made

    return make_view


@pytest.fixture
def view(make: Callable[..., LossView]) -> LossView:
    return make("tiny-chat-F32.gguf", "tiny-chat-BF16.gguf")


def cells(view: LossView) -> list[list[str]]:
    model = view.results.table.model()
    return [[str(model.index(row, column).data()) for column in Column] for row in range(model.rowCount())]


def show_state(services: AppServices, state: LossState) -> None:
    services.compare.losses._show(state)


def show_making(services: AppServices, state: QuantizingState) -> None:
    services.compare.losses.requantizing._show(state)


def test_without_a_model_it_leads_to_the_models(make: Callable[..., LossView], qtbot) -> None:
    view = make()
    assert not view.empty.isHidden()
    with qtbot.waitSignal(view.page_requested) as asked:
        view.empty.button.click()
    assert asked.args == ["models"]


def test_one_variant_leads_to_a_smaller_file_or_to_a_download(make: Callable[..., LossView], qtbot) -> None:
    view = make("tiny-chat-F32.gguf")
    assert view.setup.alone.text().startswith("Only F32 of it is installed. Make a smaller file of it, or download another")
    assert not view.start_button.isEnabled()
    with qtbot.waitSignal(view.model_requested) as asked:
        view.setup.download_button.click()
    assert asked.args == [TINY_REPO]
    assert nameless(view) == []


def test_variants_of_one_model_stand_together(view: LossView) -> None:
    assert view.setup.models.currentText() == "Tiny-Chat · 2 variants"
    assert view.setup.reference_key == TINY_KEY
    assert view.setup.reason.text().startswith("The most precise of these by what it is made of, not by its size:")
    assert view.setup.chips.chosen == (OTHER_KEY,)
    assert view.start_button.isEnabled()
    assert "What is loaded now is unloaded first." in view.setup.expected.text()
    assert nameless(view) == []


def test_another_reference_swaps_the_roles(view: LossView) -> None:
    view.setup.references.setCurrentIndex(view.setup.references.findData(OTHER_KEY))
    assert view.setup.chips.chosen == (TINY_KEY,)
    view.setup.chips.chip(TINY_KEY).click()
    assert view.setup.request is None
    assert not view.start_button.isEnabled()
    assert view.setup.expected.text() == "Choose at least one variant to measure."


def test_a_file_of_another_name_can_be_added_by_hand(make: Callable[..., LossView], services: AppServices, qtbot) -> None:
    install_tiny_model(services.paths.data, "other/Thing-GGUF", "thing-Q8_0.gguf")
    view = make("tiny-chat-F32.gguf", "tiny-chat-BF16.gguf")
    assert view.setup.models.count() >= 1
    listed = [view.setup.models.itemText(index) for index in range(view.setup.models.count())]
    other = next((model for model in view.feed.models if model.repo_id == "other/Thing-GGUF"), None)
    assert other is not None
    if len(listed) > 1:
        menu = view.setup.build_add_menu()
        next(action for action in menu.actions() if "Thing" in action.text()).trigger()
        menu.deleteLater()
    assert other.key in view.setup.chips.chosen


def test_texts_of_the_user(view: LossView, tmp_path: Path, qtbot) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("My own words. " * 50)
    view.setup.text_field.add_file(file)
    eventually(qtbot, lambda: view.setup.text_field.text.name == "notes.txt")
    assert "The text is shorter than that: about 175 tokens." in view.setup.expected.text()
    view.setup.text_field.add_file(tmp_path / "missing.txt")
    eventually(qtbot, lambda: view.banner.error is not None)
    assert "missing.txt" in view.banner.error.message
    view.setup.text_field.add_text(TextSource(name="Pasted text", text="  "))
    assert view.banner.error.code == "text_too_short"
    assert view.setup.text_field.choice.count() == 2


def test_past_chats_are_a_text(view: LossView, services: AppServices, qtbot) -> None:
    from localai_app.store.records import Role

    chat = services.store.conversations.create("A chat")
    services.store.conversations.add_message(chat.id, Role.USER, "How does a heat pump work?")
    menu = view.setup.text_field.build_menu()
    next(action for action in menu.actions() if action.text() == "Past chats").trigger()
    menu.deleteLater()
    eventually(qtbot, lambda: view.setup.text_field.text.name == "Past chats")
    assert view.setup.text_field.text.text == "How does a heat pump work?"


def test_progress_is_told_and_nothing_can_be_changed_meanwhile(view: LossView, services: AppServices, qtbot) -> None:
    show_state(services, LossState(LossStatus.SCORING, TINY_KEY, (OTHER_KEY, "x"), OTHER_KEY, "text", 0.4, 42.0))
    eventually(qtbot, lambda: view.progress.words.text() == "Measuring BF16 (1 of 2), 40%, 42 s left")
    assert view.start_button.isHidden()
    assert not view.setup.models.isEnabled()
    assert nameless(view) == []
    view.progress.stop_button.click()
    assert not view.progress.stop_button.isEnabled()
    show_state(services, LossState(LossStatus.STOPPED, TINY_KEY, (OTHER_KEY,), OTHER_KEY))
    eventually(qtbot, lambda: view.progress.isHidden() and view.setup.models.isEnabled())


def test_a_failure_is_told_once(view: LossView, services: AppServices, qtbot) -> None:
    failed = LossState(
        LossStatus.FAILED, TINY_KEY, (OTHER_KEY,),
        failures=(LossFailure(OTHER_KEY, AppError(ENGINE_CRASHED, cause="of a test")),))
    show_state(services, failed)
    eventually(qtbot, lambda: view.banner.error is not None)
    assert view.banner.error.message == "BF16 was not measured. The engine stopped: of a test."
    view.banner.close_button.click()
    services.events.publish(LossChanged())
    qtbot.wait(60)
    assert view.banner.error is None


def test_results_are_a_sentence_charts_and_a_table(view: LossView, services: AppServices, qtbot) -> None:
    results = (loss_of("Q8_0", 0.002, 290_000_000, tps=60.0), loss_of("Q4_0", 0.07))
    keep_loss(services, *results)
    show_state(services, LossState(LossStatus.DONE, TINY_KEY, results=results))
    eventually(qtbot, lambda: not view.results.isHidden())
    assert view.results.name_label.text().startswith("Q8_0 is the smallest of these files that stays good")
    assert [row[:5] for row in cells(view)] == [
        ["F32", "the reference", "540 MB", "0", ""],
        ["Q8_0", "practically the original", "290 MB", "0.0020 ± 0.0001", "0.01"],
        ["Q4_0", "a noticeable loss", "92 MB", "0.070 ± 0.004", "0.35"]]
    points = view.results.charts.by_size.points
    assert [(point.name, point.x, point.y, point.is_hollow) for point in points] == [
        ("F32", 540e6, 0.0, True), ("Q8_0", 290e6, 0.002, False), ("Q4_0", 92e6, 0.07, False)]
    assert points[2].y_error == pytest.approx((0.063, 0.077))
    assert [point.token for point in points] == ["muted", "good", "warn"]
    assert [point.x for point in view.results.charts.by_speed.points] == [40.0, 60.0, 80.0]
    assert nameless(view) == []


def test_a_long_label_leaves_room_for_the_figures(view: LossView, services: AppServices, qtbot) -> None:
    keep_loss(services, loss_of("a-label-that-a-publisher-made-up-and-that-is-far-too-long-for-a-column-of-a-table", key="x"))
    services.compare.losses._tell()
    view._show_results()
    qtbot.wait(30)
    header = view.results.table.horizontalHeader()
    shown = [column for column in Column if not view.results.table.isColumnHidden(column)]
    assert Column.SPEED in shown
    assert header.length() <= view.results.table.viewport().width()
    view.resize(760, 800)
    qtbot.wait(30)
    assert view.results.table.isColumnHidden(Column.PERPLEXITY)
    assert header.length() <= view.results.table.viewport().width()


def test_results_are_copied_reopened_and_forgotten(view: LossView, services: AppServices, qtbot) -> None:
    keep_loss(services, loss_of("Q4_0", 0.07), loss_of("Q2_K", 0.3, text_sha256="cd" * 32, text_name="notes.txt"))
    services.library.changed()
    services.compare.losses._tell()
    view._show_results()
    assert view.results.earlier.count() == 2
    view.results.earlier.setCurrentIndex(1 - view.results.earlier.currentIndex())
    shown = view.results.shown.results[0]
    view.results.copy_button.click()
    text = QGuiApplication.clipboard().text()
    assert shown.variant.label in text
    assert shown.text_name in text
    assert view.results.name_label.text() in text
    view.results.csv_button.click()
    header, line = QGuiApplication.clipboard().text().splitlines()
    assert dict(zip(header.split(","), line.split(","), strict=True))["kld_mean"] == str(shown.kld.value)
    view.results.forget_button.click()
    assert [one.text_name for one in services.compare.losses.results()] != []
    assert view.results.earlier.count() == 1
    view.results.forget_button.click()
    assert view.results.isHidden()


def test_what_is_made_is_told(view: LossView, services: AppServices, qtbot) -> None:
    running = QuantizingState(QuantizingStatus.RUNNING, TINY_KEY, "Q4_0", 0.5, 9.0, size_bytes=92_000_000)
    show_making(services, running)
    eventually(qtbot, lambda: view.making.words.text() == "Making Q4_0, 92 MB, 50%, 9 s left")
    assert not view.start_button.isEnabled()
    fallbacks = (TensorFallback(name="a", wanted="Q4_K", used="Q5_0"), TensorFallback(name="b", wanted="Q6_K", used="Q8_0"))
    show_making(services, replace(
        running, status=QuantizingStatus.DONE, fraction=1.0, made_key=OTHER_KEY, fallbacks=fallbacks))
    eventually(qtbot, lambda: not view.made.isHidden())
    assert "2 tensors are stored as Q5_0 or Q8_0, because their rows do not fill whole blocks" in view.made.text()
    assert view.start_button.isEnabled()


def test_long_names_stay_inside(make: Callable[..., LossView], services: AppServices, qtbot) -> None:
    name = "a-model-whose-publisher-had-a-great-deal-to-say-about-it-" * 2
    install_tiny_model(services.paths.data, f"tester/{name}GGUF", f"{name}Q4_K_M.gguf")
    keep_loss(services, loss_of("Q4_0", 0.07, text_name="a text of a very long name " * 8))
    view = make("tiny-chat-F32.gguf")
    view.resize(700, 800)
    qtbot.wait(30)
    right = view._scroll.viewport().width()
    for part in view.findChildren(QLabel):
        if part.isVisible():
            assert part.mapTo(view, part.rect().topRight()).x() <= right


def test_the_dialog_says_size_and_fallbacks_before_anything_is_made(
    services: AppServices, theme: ThemeState, bridge: Bridge, show: Show, qtbot,
) -> None:
    install_tiny_model(services.paths.data)
    dialog = RequantizeDialog(services, theme, services.library.models(), TINY_KEY)
    show(dialog, 640, 560)
    eventually(qtbot, lambda: dialog.table.model().rowCount() > 0)
    assert dialog.source_key == TINY_KEY
    assert dialog.target_label == "Q4_K_M"
    assert "will be stored as" in dialog.note.text()
    eventually(qtbot, lambda: dialog.make_button.isEnabled())
    dialog.choose("Q8_0")
    assert dialog.target_label == "Q8_0"
    assert nameless(dialog) == []


def test_a_dialog_without_a_smaller_file_says_so(
    services: AppServices, theme: ThemeState, bridge: Bridge, show: Show, qtbot,
) -> None:
    dialog = RequantizeDialog(services, theme, (), "")
    show(dialog, 640, 560)
    assert dialog.note.text() == NOTHING_SMALLER
    assert not dialog.make_button.isEnabled()
