from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QAbstractButton, QApplication, QLineEdit, QPushButton, QToolButton, QVBoxLayout, QWidget

from localai_app.errors import ENGINE_CRASHED, HUB_UNREACHABLE, SETTINGS_DAMAGED, AppError
from localai_app.gui import main_window as main_window_module
from localai_app.gui.app import build_window
from localai_app.gui.dialogs.command_box import CommandBox
from localai_app.gui.main_window import MainWindow
from localai_app.gui.opening import full_target, open_target
from localai_app.gui.pages.factory import RAIL_ENTRIES, make_page
from localai_app.gui.pages.settings_page import SettingsPage
from localai_app.gui.theme import DARK, LIGHT
from localai_app.services.events import (
    DownloadChanged,
    DownloadFinished,
    EngineChanged,
    EngineFailed,
    ErrorHappened,
    Event,
    LibraryChanged,
    MemoryMeasured,
)
from localai_app.services.views import DownloadStatus, DownloadView, EngineState, EngineStatus
from tests.helpers.frame_fakes import LOADED, REPORT, FakeServices, frame_services, installed_model


class RecordingPage(QWidget):
    """Stands in for the pages that have tests of their own: it records what the window asks of it."""

    page_requested = Signal(str)
    chat_requested = Signal(str)
    model_requested = Signal(str)
    why_slow_requested = Signal()

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name
        self.asked: list[str] = []
        field = QLineEdit()
        field.setAccessibleName("Search")
        QVBoxLayout(self).addWidget(field)

    def open_with_model(self, key: str) -> None:
        self.asked.append(f"open {key}")

    def new_chat(self) -> None:
        self.asked.append("new chat")

    def focus_prompt(self) -> None:
        self.asked.append("focus")

    def open_reference(self, reference: str) -> None:
        self.asked.append(f"reference {reference}")


@pytest.fixture
def services(tmp_path: Path) -> FakeServices:
    return frame_services(tmp_path)


@pytest.fixture
def make_window(
    services: FakeServices, qapp: QApplication, qtbot, monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Callable[[], MainWindow]]:
    def page_for(name: str, *arguments: object) -> QWidget:
        if name in ("chat", "models", "first_start"):
            return RecordingPage(name)
        return make_page(name, *arguments)  # type: ignore[arg-type]

    def make() -> MainWindow:
        window = build_window(services, qapp)  # type: ignore[arg-type]
        qtbot.addWidget(window)
        return window

    monkeypatch.setattr(main_window_module, "make_page", page_for)
    services.settings.set("theme", "light")
    yield make
    qapp.setStyleSheet("")


def asked(window: MainWindow, name: str) -> list[str]:
    page = window.page(name)
    assert isinstance(page, RecordingPage)
    return page.asked


def selected(window: MainWindow) -> list[str]:
    return [entry.page for entry in RAIL_ENTRIES if window.rail.button(entry.page).isChecked()]


def test_a_fresh_machine_starts_with_suggestions_and_others_with_the_chat(
    make_window: Callable[[], MainWindow], services: FakeServices,
) -> None:
    fresh = make_window()
    fresh.show_start_page()
    assert (fresh.page_name, selected(fresh)) == ("first_start", ["models"])
    services.library.installed = (installed_model("a/b"),)
    used = make_window()
    used.show_start_page()
    assert (used.page_name, selected(used), asked(used, "chat")) == ("chat", ["chat"], ["focus"])


def test_pages_are_made_on_their_first_visit_only(make_window: Callable[[], MainWindow]) -> None:
    window = make_window()
    window.show_start_page()
    assert list(window._pages) == ["first_start"]
    settings = window.show_page("settings")
    window.show_page("performance")
    assert window.show_page("settings") is settings
    with pytest.raises(KeyError):
        window.show_page("no such page")


def test_the_suggestions_lead_to_all_models_and_to_a_chat(
    make_window: Callable[[], MainWindow], services: FakeServices,
) -> None:
    window = make_window()
    window.show_start_page()
    suggestions = window.page("first_start")
    suggestions.page_requested.emit("models")
    assert (window.page_name, selected(window)) == ("models", ["models"])
    window.show_page("chat")
    window.rail.button("models").click()
    assert window.page_name == "models", "once asked for, the page of all models stays reachable"
    suggestions.chat_requested.emit("a/b")
    assert window.page_name == "chat"
    assert asked(window, "chat")[-2:] == ["open a/b", "focus"]


def test_keys_choose_pages_begin_chats_and_open_the_command_box(make_window: Callable[[], MainWindow], qtbot) -> None:
    window = make_window()
    window.show_start_page()
    with qtbot.waitActive(window):
        window.show()
    for number, entry in enumerate(RAIL_ENTRIES, start=1):
        qtbot.keyClick(window, getattr(Qt.Key, f"Key_{number}"), Qt.KeyboardModifier.ControlModifier)
        assert selected(window) == [entry.page]
    qtbot.keyClick(window, Qt.Key.Key_N, Qt.KeyboardModifier.ControlModifier)
    assert asked(window, "chat")[-2:] == ["new chat", "focus"]
    qtbot.keyClick(window, Qt.Key.Key_K, Qt.KeyboardModifier.ControlModifier)
    box = window.findChild(CommandBox)
    assert isinstance(box, CommandBox)
    box.field.setText("context length")
    with qtbot.waitSignal(box.destroyed):
        qtbot.keyClick(box.field, Qt.Key.Key_Return)
    page = window.page("settings")
    assert isinstance(page, SettingsPage)
    assert window.page_name == "settings"
    assert window.focusWidget() is page.rows["context_tokens"].editor.control


def test_gauges_and_bottom_line_follow_the_services(
    make_window: Callable[[], MainWindow], services: FakeServices, qtbot,
) -> None:
    window = make_window()
    window.resize(1280, 800)
    services.engine.state = EngineState(EngineStatus.READY, "k", "Phi-4", LOADED, context_used=10, tps=30.0)
    services.downloads.views = (DownloadView(1, "a/b", "Q4", DownloadStatus.DOWNLOADING, 1, 2, 3e6, None, None),)
    for event in (EngineChanged(), DownloadChanged(1), MemoryMeasured(REPORT.memory, REPORT.gpus, 0)):
        services.events.publish(event)
    qtbot.waitUntil(lambda: "Downloading 1 model, 3 MB/s" in window.status_line.words)
    assert window.status_line.words.startswith("Phi-4 | GPU 33/33 layers | context 10 / 16,384 | 30 tok/s")
    assert any(child.accessibleName().startswith("RTX 4070") for child in window.gauges.findChildren(QWidget))


def test_errors_become_messages_with_a_button_that_helps(
    make_window: Callable[[], MainWindow], services: FakeServices, qtbot,
) -> None:
    services.store.notice = AppError(SETTINGS_DAMAGED, backup="settings.bad.json")
    window = make_window()
    window.show_start_page()
    told = [toast.message.text for toast in window.toasts.toasts]
    assert told == ["The settings file was damaged, so the defaults are in force."]
    window.toasts.toasts[0].action_button.click()
    assert window.page_name == "settings"
    failed: Event = EngineFailed("k", AppError(ENGINE_CRASHED, cause="out of luck"))
    services.events.publish(failed)
    qtbot.waitUntil(lambda: len(window.toasts.toasts) == 1)
    window.toasts.toasts[0].action_button.click()
    assert services.engine.reloads == 1
    window.show_page("chat")
    services.events.publish(failed)
    services.events.publish(ErrorHappened(AppError(HUB_UNREACHABLE, host="hub.test")))
    qtbot.waitUntil(lambda: len(window.toasts.toasts) == 1)
    assert "hub.test" in window.toasts.toasts[0].message.text


def test_a_download_that_ends_elsewhere_is_announced_with_a_way_to_chat(make_window, services: FakeServices, qtbot) -> None:
    window = make_window()
    window.show_page("settings")
    services.events.publish(DownloadFinished(1, "owner/Some-GGUF:Q4_K_M"))
    qtbot.waitUntil(lambda: len(window.toasts.toasts) == 1)
    assert window.toasts.toasts[0].message.text == "Some is downloaded."
    window.toasts.toasts[0].action_button.click()
    assert window.page_name == "chat"
    assert "open owner/Some-GGUF:Q4_K_M" in window.page("chat").asked


def test_the_theme_follows_its_setting_while_the_window_is_open(
    make_window: Callable[[], MainWindow], services: FakeServices, qtbot, qapp: QApplication,
) -> None:
    window = make_window()
    assert window.theme.palette is LIGHT
    services.settings.set("theme", "dark")
    services.settings.set("text_scale_percent", 150)
    qtbot.waitUntil(lambda: window.theme.palette is DARK and window.theme.sizes.body == 21)
    assert qapp.palette().window().color().name() == DARK.background
    assert f"background: {DARK.background}" in qapp.styleSheet()


def test_a_closed_window_hears_nothing_and_remembers_its_size(
    make_window: Callable[[], MainWindow], services: FakeServices, qtbot,
) -> None:
    window = make_window()
    window.show()
    window.resize(900, 650)
    window.close()
    services.events.publish(ErrorHappened(AppError(HUB_UNREACHABLE, host="hub.test")))
    qtbot.wait(50)
    assert window.toasts.toasts == ()
    assert make_window().size().toTuple() == (900, 650)
    (services.paths.data / "window.json").write_text("{broken", encoding="utf-8")
    assert make_window().size().toTuple() == (1280, 800)


def test_a_model_file_given_from_outside_is_added_and_opened(
    make_window: Callable[[], MainWindow], services: FakeServices, qtbot, tmp_path: Path,
) -> None:
    window = make_window()
    open_target(str(tmp_path / "own.gguf"), window, services, window.messages)  # type: ignore[arg-type]
    qtbot.waitUntil(lambda: window.page_name == "chat")
    assert services.library.linked == [tmp_path / "own.gguf"]
    assert f"open {tmp_path / 'own.gguf'}" in asked(window, "chat")


LINKS = ("hf:owner/name-GGUF", "hf://owner/name-GGUF/model-Q8_0.gguf",
         "https://huggingface.co/owner/name-GGUF/blob/main/model-Q8_0.GGUF")


@pytest.mark.parametrize("link", LINKS)
def test_a_link_given_from_outside_is_searched_for(
    make_window: Callable[[], MainWindow], services: FakeServices, link: str,
) -> None:
    window = make_window()
    open_target(link, window, services, window.messages)  # type: ignore[arg-type]
    assert window.page_name == "models"
    assert asked(window, "models") == [f"reference {link}"]


def test_what_is_given_means_the_same_in_another_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert full_target("my model.gguf") == str(tmp_path / "my model.gguf")
    assert full_target((tmp_path / "my ä model.gguf").as_uri()) == str(tmp_path / "my ä model.gguf")
    for unchanged in (*LINKS, str(tmp_path / "x.gguf"), ""):
        assert full_target(unchanged) == unchanged


def test_the_suggestions_lead_to_the_variants_of_a_model(make_window: Callable[[], MainWindow]) -> None:
    window = make_window()
    window.show_start_page()
    page = window.page("first_start")
    assert isinstance(page, RecordingPage)
    page.model_requested.emit("owner/name-GGUF")
    assert window.page_name == "models"
    assert asked(window, "models") == ["reference owner/name-GGUF"]


def test_without_a_loaded_model_the_bottom_line_names_the_one_that_sending_loads(
    make_window: Callable[[], MainWindow], services: FakeServices,
) -> None:
    window = make_window()
    assert window.status_line.words.startswith("No model loaded")
    services.library.installed = (installed_model("a/phi-4"),)
    services.events.publish(LibraryChanged())
    QApplication.processEvents()
    assert "loads when you send" in window.status_line.words


def test_everything_that_can_be_operated_has_a_name(make_window: Callable[[], MainWindow], services: FakeServices) -> None:
    services.hardware.report = REPORT
    window = make_window()
    for entry in RAIL_ENTRIES:
        window.show_page(entry.page)
    window.messages.error(AppError(HUB_UNREACHABLE, host="hub.test"))
    nameless = [
        f"{type(control).__name__} in {type(control.parent()).__name__}"
        for control in window.findChildren(QWidget)
        if isinstance(control, (QAbstractButton, QLineEdit)) and not control.objectName().startswith("qt_")
        and not control.isHidden() and not control.accessibleName()
        and not (isinstance(control, (QPushButton, QToolButton)) and control.text())
    ]
    assert nameless == []




def test_the_rail_keeps_only_its_icons_where_large_text_needs_the_room(
    make_window: Callable[[], MainWindow], services: FakeServices,
) -> None:
    window = make_window()
    window.resize(1280, 800)
    window.show()
    assert not window.rail.is_narrow
    wide = window.rail.width()
    services.settings.set("text_scale_percent", 200)
    QApplication.processEvents()
    assert window.rail.is_narrow
    assert window.rail.width() < wide / 2
    settings = window.rail.button("settings")
    assert (settings.text(), settings.accessibleName(), settings.toolTip().split(" (")[0]) == ("", "Settings", "Settings")
    assert not window.gauges.isVisible()
    services.settings.set("text_scale_percent", 100)
    QApplication.processEvents()
    assert not window.rail.is_narrow
    assert settings.text().strip() == "Settings"
    assert window.gauges.isVisible()


def test_a_slow_answer_leads_to_what_makes_it_slow(
    make_window: Callable[[], MainWindow], services: FakeServices, qtbot,
) -> None:
    services.hardware.report = REPORT
    window = make_window()
    window.page("chat").why_slow_requested.emit()
    assert window.page_name == "performance"
    slow = window.page("performance").slow
    qtbot.waitUntil(lambda: slow.look_button.isEnabled() and "only the computer was looked at" in slow.name_label.text())
