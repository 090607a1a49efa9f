from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QAbstractButton, QApplication, QComboBox, QLineEdit, QPlainTextEdit, QSpinBox

from localai_app.gui.bridge import Bridge
from localai_app.gui.pages.settings_page import SettingsPage
from localai_app.gui.settings.editors import NumberEditor, make_editor, value_words
from localai_app.gui.settings.setting_row import SettingRow
from localai_app.gui.theme import LIGHT, ThemeState
from localai_app.settings.declaration import SETTINGS, SPECS, Kind, Section, SettingSpec, SettingValue
from localai_app.settings.file import SettingsFile
from localai_app.units import GIB
from tests.helpers.frame_fakes import FakeServices, frame_services

OTHER_VALUES: dict[str, SettingValue] = {
    "theme": "dark", "text_scale_percent": 125, "models_folder": "", "task": "code", "bandwidth_limit_mb_per_s": 20,
    "hub_endpoint": "http://127.0.0.1:9", "proxy": "http://127.0.0.1:3128", "context_tokens": 16_384, "kv_type": "q8_0",
    "gpu_layers": 0, "memory_short": "ask", "most_models": 2, "idle_unload_minutes": 30, "chat_states_gb": 8, "threads": 4,
    "memory_limit_bytes": 3 * GIB // 2,
    "system_prompt": "Be brief.\nAlways.", "temperature": 0.25, "max_answer_tokens": 100,
    "lent_addresses": "127.0.0.1:50052, tower:1", "lend_devices": True, "lend_address": "0.0.0.0:50053",
    "network_is_trusted": True, "measure_models": False,
    "context_policy": "stop", "check_for_updates": False,
}


@pytest.fixture
def services(tmp_path: Path) -> FakeServices:
    return frame_services(tmp_path)


@pytest.fixture
def page(services: FakeServices, qtbot) -> SettingsPage:
    bridge = Bridge(services.events)
    shown = SettingsPage(services, ThemeState(LIGHT), bridge)
    bridge.setParent(shown)
    qtbot.addWidget(shown)
    shown.resize(1000, 700)
    return shown


def enter(row: SettingRow, value: SettingValue) -> None:
    """Put a value in as the keyboard or the mouse would."""
    control = row.editor.control
    if isinstance(control, QComboBox):
        control.setCurrentIndex(control.findData(value))
        control.activated.emit(control.currentIndex())
    elif isinstance(control, QLineEdit):
        control.setText(str(value))
        control.editingFinished.emit()
    elif isinstance(control, QPlainTextEdit):
        control.setPlainText(str(value))
        row.editor._decide()
    elif isinstance(control, QAbstractButton):
        if control.isChecked() is not value:
            control.click()
    else:
        control.setValue(value / GIB if row.editor.spec.kind is Kind.MEMORY else value)


@pytest.mark.parametrize("spec", SETTINGS, ids=lambda spec: spec.key)
def test_every_setting_is_shown_changed_kept_and_reset(
    spec: SettingSpec, page: SettingsPage, services: FakeServices, tmp_path: Path,
) -> None:
    value = str(tmp_path) if spec.kind is Kind.FOLDER else OTHER_VALUES[spec.key]
    row = page.rows[spec.key]
    assert row.editor.control.accessibleName() == spec.label
    assert row.reset_button.isHidden()
    enter(row, value)
    assert row.problem == ""
    assert services.settings.get(spec.key) == value
    assert SettingsFile(services.paths.settings_file).get(spec.key) == value, "not kept for the next start"
    assert not row.reset_button.isHidden()
    row.reset_button.click()
    assert services.settings.get(spec.key) == spec.default
    assert row.reset_button.isHidden()


def test_what_is_refused_is_explained_and_not_kept(page: SettingsPage, services: FakeServices) -> None:
    row = page.rows["proxy"]
    enter(row, "not a proxy")
    assert "not a proxy" in row.problem
    assert services.settings.get("proxy") == ""
    assert row.editor.control.property("invalid") is True
    enter(row, "http://127.0.0.1:3128")
    assert row.problem == ""
    assert row.editor.control.property("invalid") is False


def test_a_number_out_of_range_can_be_typed_and_is_then_explained(page: SettingsPage, services: FakeServices, qtbot) -> None:
    page.show()
    row = page.rows["text_scale_percent"]
    box = row.editor.control
    box.setFocus()
    box.lineEdit().selectAll()
    qtbot.keyClicks(box.lineEdit(), "950")
    qtbot.keyClick(box.lineEdit(), Qt.Key.Key_Return)
    assert "950" in row.problem
    assert services.settings.get("text_scale_percent") == 100
    box.lineEdit().selectAll()
    qtbot.keyClicks(box.lineEdit(), "150")
    qtbot.keyClick(box.lineEdit(), Qt.Key.Key_Return)
    assert row.problem == ""
    assert services.settings.get("text_scale_percent") == 150


def test_a_change_from_elsewhere_is_shown(page: SettingsPage, services: FakeServices, qtbot) -> None:
    services.settings.set("theme", "contrast")
    box = page.rows["theme"].editor.control
    assert isinstance(box, QComboBox)
    qtbot.waitUntil(lambda: box.currentText() == "High contrast")


@pytest.mark.parametrize(("words", "expected"), [
    ("dark", {"theme"}), ("kv cache", {"kv_type"}), ("HIGH contrast", {"theme"}), ("zzz", set()),
    ("network", {"hub_endpoint", "proxy"}),
])
def test_the_search_finds_settings_by_any_of_their_words(page: SettingsPage, words: str, expected: set[str]) -> None:
    page.search.setText(words)
    assert {key for key, row in page.rows.items() if not row.isHidden()} >= expected
    if not expected:
        assert all(row.isHidden() for row in page.rows.values())
        assert not page._nothing.isHidden()
        page._nothing.button.click()
    page.search.clear()
    assert not any(row.isHidden() for row in page.rows.values())


def test_a_setting_can_be_shown_from_elsewhere(page: SettingsPage, qtbot) -> None:
    page.show()
    page.search.setText("theme")
    page.show_setting("max_answer_tokens")
    row = page.rows["max_answer_tokens"]
    assert page.search.text() == ""
    qtbot.waitUntil(lambda: not row.visibleRegion().isEmpty())


def test_a_long_text_is_kept_when_the_field_is_left(page: SettingsPage, services: FakeServices, qtbot) -> None:
    page.show()
    field = page.rows["system_prompt"].editor.control
    assert isinstance(field, QPlainTextEdit)
    field.setFocus()
    field.setPlainText("Answer in French.")
    assert services.settings.get("system_prompt") == ""
    page.search.setFocus()
    qtbot.waitUntil(lambda: services.settings.get("system_prompt") == "Answer in French.")


def test_the_wheel_scrolls_the_page_and_not_a_value(page: SettingsPage, services: FakeServices, qtbot) -> None:
    from PySide6.QtCore import QPoint, QPointF
    from PySide6.QtGui import QWheelEvent

    page.show()
    page.search.setFocus()
    box = page.rows["text_scale_percent"].editor.control
    event = QWheelEvent(QPointF(5, 5), QPointF(5, 5), QPoint(0, -120), QPoint(0, -120), Qt.MouseButton.NoButton,
                        Qt.KeyboardModifier.NoModifier, Qt.ScrollPhase.NoScrollPhase, False)
    QApplication.sendEvent(box, event)
    assert services.settings.get("text_scale_percent") == 100


def test_special_values_are_shown_in_words(qtbot) -> None:
    assert value_words(SPECS["threads"], 0) == "Automatic"
    assert value_words(SPECS["memory_limit_bytes"], 0) == "What is free"
    assert value_words(SPECS["memory_limit_bytes"], 6 * GIB) == "6.0 GiB"
    assert value_words(SPECS["gpu_layers"], -1) == "Automatic"
    assert value_words(SPECS["gpu_layers"], 0) == "0 layers"
    assert value_words(SPECS["context_tokens"], 8192) == "8,192 tokens"
    assert value_words(SPECS["text_scale_percent"], 150) == "150%"
    assert value_words(SPECS["temperature"], 0.8) == "0.80", "as its field shows it"
    assert value_words(SPECS["kv_type"], "f16") == "16 bit, exact (f16)"
    editor = make_editor(SPECS["threads"], ThemeState(LIGHT))
    qtbot.addWidget(editor)
    assert isinstance(editor, NumberEditor)
    editor.show_value(0)
    assert isinstance(editor.control, QSpinBox)
    assert editor.control.text() == "Automatic"


def test_a_switch_setting_writes_at_once(services: FakeServices, qtbot) -> None:
    spec = SettingSpec("sample", Section.CHAT, Kind.SWITCH, False, "Sample", "Turns it on.", "At once")
    editor = make_editor(spec, ThemeState(LIGHT))
    qtbot.addWidget(editor)
    decided: list[object] = []
    editor.decided.connect(decided.append)
    editor.show_value(True)
    assert decided == []
    editor.control.click()
    assert decided == [False]
