"""The section What if: choosing a computer, and the models that become possible on it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from PySide6.QtCore import QPoint, QPointF, Qt, QThread
from PySide6.QtGui import QWheelEvent
from PySide6.QtWidgets import QApplication, QComboBox, QWidget

from localai_app.gui.bridge import Bridge
from localai_app.gui.itemmodels.possible_table_model import NEW_WORDS, PILL_ROLE, Column, PossibleTableModel
from localai_app.gui.performance.machine_picker import IN_FILE_WORDS, NO_GPU_WORDS, OWN_WORDS, MachinePicker
from localai_app.gui.performance.what_if_section import WhatIfSection
from localai_app.gui.theme import ThemeState
from localai_app.hardware.report import Memory
from localai_app.paths import resources_dir
from localai_app.services.app_services import AppServices
from localai_app.services.machine_parts import load_known_gpus
from localai_app.services.what_if import PRESETS, GpuChoice, WhatIfAnswer
from tests.gui.models.models_stage import REPORT, TINY_COMPUTER, eventually, nameless, show_computer

GIB = 1024**3
SMALL_COMPUTER = msgspec.structs.replace(
    REPORT, gpus=(), engine_devices=(),
    memory=Memory(total_bytes=16 * GIB, available_bytes=10 * GIB, bandwidth_bytes_per_s=30e9))
Show = Callable[..., QWidget]


@pytest.fixture
def picker(qtbot) -> MachinePicker:
    made = MachinePicker(load_known_gpus(resources_dir() / "catalog" / "gpus.json"))
    qtbot.addWidget(made)
    return made


def choose(box: QComboBox, text: str) -> None:
    index = box.findText(text)
    assert index >= 0, text
    box.setCurrentIndex(index)


def make_section(services: AppServices, theme: ThemeState, bridge: Bridge, show: Show, qtbot) -> WhatIfSection:
    section = WhatIfSection(services, theme, bridge)
    show(section, 920, 900)
    eventually(qtbot, lambda: not section.is_computing)
    return section


def names_in(model: PossibleTableModel) -> list[str]:
    return [str(model.index(row, Column.MODEL).data()) for row in range(model.rowCount())]


def new_in(model: PossibleTableModel) -> list[bool]:
    return [model.index(row, Column.MODEL).data(PILL_ROLE) is not None for row in range(model.rowCount())]


def test_a_ready_made_computer_sets_every_control(picker: MachinePicker, qtbot) -> None:
    with qtbot.waitSignal(picker.machine_changed) as changed:
        choose(picker.preset_box, PRESETS["node-8x-h100"].name)
    assert changed.args == [PRESETS["node-8x-h100"]]
    assert picker.gpu_box.currentText() == "NVIDIA H100"
    assert picker.count_box.currentText() == "8"
    assert picker.memory_slider.accessibleDescription() == "2048 GiB"


def test_changing_a_part_makes_it_an_own_choice(picker: MachinePicker) -> None:
    choose(picker.gpu_box, "AMD Radeon RX 7900 XTX")
    choose(picker.count_box, "2")
    picker.memory_slider.setValue(picker.memory_slider.maximum())
    assert picker.preset_box.currentData() == ""
    assert picker.spec.gpus == (GpuChoice(name="AMD Radeon RX 7900 XTX", count=2),)
    assert picker.spec.ram_bytes == 2048 * GIB
    choose(picker.gpu_box, NO_GPU_WORDS)
    assert picker.spec.gpus == ()
    assert not picker.count_box.isEnabled()


def test_a_mac_is_offered_in_the_sizes_in_which_it_is_sold_and_once(picker: MachinePicker) -> None:
    choose(picker.count_box, "4")
    choose(picker.gpu_box, "Apple M4")
    assert not picker.count_box.isEnabled()
    sizes = set()
    for value in range(picker.memory_slider.maximum() + 1):
        picker.memory_slider.setValue(value)
        sizes.add(picker.spec.ram_bytes // GIB)
    assert sizes == {16, 24, 32}
    assert picker.spec.gpus == (GpuChoice(name="Apple M4"),)


def test_any_part_of_a_name_finds_a_gpu_and_other_text_is_taken_back(picker: MachinePicker, qtbot) -> None:
    picker.show()
    field = picker.gpu_box.lineEdit()
    completer = picker.gpu_box.completer()
    field.selectAll()
    qtbot.keyClicks(field, "7900 xtx")
    assert [completer.completionModel().index(row, 0).data() for row in range(completer.completionCount())] == [
        "AMD Radeon RX 7900 XTX"]
    field.setText("amd radeon rx 7900 xtx")
    qtbot.keyClick(field, Qt.Key.Key_Return)
    assert picker.gpu_box.currentData() == "AMD Radeon RX 7900 XTX"
    assert picker.spec.gpus[0].name == "AMD Radeon RX 7900 XTX"
    field.setText("no such thing")
    qtbot.keyClick(field, Qt.Key.Key_Return)
    assert field.text() == "AMD Radeon RX 7900 XTX"


def test_the_wheel_scrolls_the_page_and_not_the_choice(picker: MachinePicker) -> None:
    picker.show()
    before = picker.spec
    for control in (picker.preset_box, picker.count_box, picker.memory_slider):
        turn = QWheelEvent(
            QPointF(5, 5), QPointF(control.mapToGlobal(QPoint(5, 5))), QPoint(), QPoint(0, -120), Qt.MouseButton.NoButton,
            Qt.KeyboardModifier.NoModifier, Qt.ScrollPhase.NoScrollPhase, False)
        QApplication.sendEvent(control, turn)
        assert not turn.isAccepted()
    assert picker.spec == before


def test_models_that_become_possible_come_first(
    services: AppServices, theme: ThemeState, bridge: Bridge, show: Show, qtbot,
) -> None:
    show_computer(services, SMALL_COMPUTER)
    section = make_section(services, theme, bridge, show, qtbot)
    here = {row.model.name for row in services.discovery.rows() if row.fit is not None and row.fit.load_options is not None}
    model = section.table.table_model
    shown, new = names_in(model), new_in(model)
    # Its smallest variant has 26 GB: too much for the 8 GiB that may be used here, possible with 23 + 61 GiB.
    assert "Llama 3.3 70B Instruct" in [name for name, is_new in zip(shown, new, strict=True) if is_new]
    assert [name for name, is_new in zip(shown, new, strict=True) if is_new] == [name for name in shown if name not in here]
    assert new == sorted(new, reverse=True)
    assert NEW_WORDS in str(model.index(0, Column.MODEL).data(Qt.ItemDataRole.AccessibleTextRole))
    assert f"{sum(new)} of them newly possible" in section.summary.text()
    assert [essence.isVisible() for essence in section.essences] == [True, True, True]
    assert nameless(section) == []


def test_what_is_new_follows_what_runs_here(
    services: AppServices, theme: ThemeState, bridge: Bridge, show: Show, qtbot,
) -> None:
    section = make_section(services, theme, bridge, show, qtbot)
    assert not any(new_in(section.table.table_model))
    assert "newly" not in section.summary.text()
    show_computer(services, TINY_COMPUTER)
    qtbot.waitUntil(lambda: all(new_in(section.table.table_model)))
    assert section.table.table_model.rowCount() > 0


def test_a_smaller_computer_runs_less_and_says_so(
    services: AppServices, theme: ThemeState, bridge: Bridge, show: Show, qtbot,
) -> None:
    show_computer(services)
    section = make_section(services, theme, bridge, show, qtbot)
    most = section.table.table_model.total_count
    choose(section.picker.preset_box, PRESETS["laptop-m4-16gb"].name)
    eventually(qtbot, lambda: not section.is_computing)
    assert 0 < section.table.table_model.total_count < most
    assert "none that this computer cannot run" in section.summary.text()


def test_quick_changes_are_answered_once_off_the_windows_thread(
    services: AppServices, theme: ThemeState, bridge: Bridge, show: Show, qtbot, monkeypatch: pytest.MonkeyPatch,
) -> None:
    section = make_section(services, theme, bridge, show, qtbot)
    asked: list[tuple[int, bool]] = []
    real = services.what_if.answer

    def answer(machine, _task, **how) -> WhatIfAnswer | None:  # type: ignore[no-untyped-def]
        asked.append((machine.memory.total_bytes // GIB, QThread.currentThread() == section.thread()))
        return real(machine, _task, **how)

    monkeypatch.setattr(services.what_if, "answer", answer)
    for value in range(6):
        section.picker.memory_slider.setValue(value)
    eventually(qtbot, lambda: not section.is_computing)
    assert asked == [(64, False)]


def test_the_list_can_be_opened_whole_and_the_table_is_as_tall_as_its_rows(
    services: AppServices, theme: ThemeState, bridge: Bridge, show: Show, qtbot, monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("localai_app.gui.performance.what_if_section.FIRST_ROWS", 2)
    section = make_section(services, theme, bridge, show, qtbot)
    table = section.table
    assert table.table_model.rowCount() == 2
    section.more_button.click()
    assert table.table_model.rowCount() == table.table_model.total_count > 2
    qtbot.waitUntil(lambda: table.height() == table.sizeHint().height())
    last = table.visualRect(table.table_model.index(table.table_model.rowCount() - 1, 0))
    assert last.bottom() <= table.viewport().height()
    section.more_button.click()
    assert table.table_model.rowCount() == 2


def test_where_it_is_narrow_columns_are_left_out(
    services: AppServices, theme: ThemeState, bridge: Bridge, show: Show, qtbot,
) -> None:
    section = make_section(services, theme, bridge, show, qtbot)
    assert not section.table.isColumnHidden(Column.CONTEXT)
    section.resize(500, 900)
    qtbot.waitUntil(lambda: section.table.isColumnHidden(Column.CONTEXT))
    assert not section.table.isColumnHidden(Column.SPEED)


def test_a_computer_is_saved_and_opened_again(
        services: AppServices, theme: ThemeState, bridge: Bridge, show: Show, qtbot, tmp_path: Path) -> None:
    section = make_section(services, theme, bridge, show, qtbot)
    choose(section.picker.preset_box, PRESETS["server-h100"].name)
    section.save_file(tmp_path / "my server.json")
    choose(section.picker.gpu_box, NO_GPU_WORDS)
    eventually(qtbot, lambda: not section.is_computing)
    section.open_file(tmp_path / "my server.json")
    assert section.picker.preset_box.currentText() == "my server.json"
    assert "In the file: NVIDIA H100, 192.0 GiB." in section._note.text()
    assert not section.save_button.isEnabled()
    assert not section.picker.gpu_box.isEnabled()
    assert section.picker.gpu_box.currentText() == IN_FILE_WORDS
    assert section.picker._memory_value.text() == "192 GiB"
    eventually(qtbot, lambda: not section.is_computing)
    assert section._answer is not None
    assert [gpu.name for gpu in section._answer.report.gpus] == ["NVIDIA H100"]
    choose(section.picker.preset_box, OWN_WORDS)
    assert section.picker.report is None
    assert section.save_button.isEnabled()
    assert section.picker.gpu_box.isEnabled()
    assert section.picker.gpu_box.currentText() == NO_GPU_WORDS
    eventually(qtbot, lambda: not section.is_computing)


def test_a_file_with_two_kinds_of_cards_or_with_none_of_this(
        services: AppServices, theme: ThemeState, bridge: Bridge, show: Show, qtbot, tmp_path: Path) -> None:
    section = make_section(services, theme, bridge, show, qtbot)
    file = tmp_path / "mixed.json"
    file.write_text('{"ram_gib": 64, "gpus": [{"name": "RTX 4090"}, {"name": "RTX 4060"}]}', encoding="utf-8")
    section.open_file(file)
    eventually(qtbot, lambda: not section.is_computing)
    assert section._answer is not None
    assert len(section._answer.report.gpus) == 2
    file.write_text('{"ram_gib": "plenty"}', encoding="utf-8")
    section.open_file(file)
    assert "mixed.json is not a valid hardware file" in section.summary.text()


def test_what_other_hardware_is_wanted_for_is_followed_without_new_fits(
        services: AppServices, theme: ThemeState, bridge: Bridge, show: Show, qtbot) -> None:
    section = make_section(services, theme, bridge, show, qtbot)
    services.settings.set("task", "vision")
    eventually(qtbot, lambda: section._answer is not None and all(
        "vision" in card.model.tasks for card in section._answer.suggestions.cards))
    assert not section.is_computing
