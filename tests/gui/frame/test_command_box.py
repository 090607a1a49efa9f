from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QPoint, Qt
from PySide6.QtWidgets import QApplication, QWidget

from localai_app.errors import MODEL_TOO_LARGE, AppError
from localai_app.gui.commands import box_commands
from localai_app.gui.dialogs.command_box import BoxCommand, CommandBox, matching
from localai_app.gui.theme import LIGHT, ThemeState, apply_theme
from localai_app.services.views import EngineState, EngineStatus
from localai_app.settings.declaration import SETTINGS
from tests.helpers.frame_fakes import frame_services, installed_model


class Window:
    def __init__(self) -> None:
        self.done: list[str] = []

    def show_page(self, name: str) -> None:
        self.done.append(f"page {name}")

    def show_setting(self, key: str) -> None:
        self.done.append(f"setting {key}")

    def new_chat(self) -> None:
        self.done.append("new chat")

    def open_load_panel(self, model_key: str) -> None:
        self.done.append(f"load panel {model_key}")


def command(title: str, keywords: str = "") -> BoxCommand:
    return BoxCommand(title, "Group", "plus", lambda: None, keywords)


def test_all_typed_words_must_occur_and_titles_that_begin_so_come_first() -> None:
    commands = [command("Switch theme"), command("Theme dark", "night"), command("Other")]
    assert [found.title for found in matching(commands, "theme")] == ["Theme dark", "Switch theme"]
    assert [found.title for found in matching(commands, "night theme")] == ["Theme dark"]
    assert [found.title for found in matching(commands, " ")] == ["Switch theme", "Theme dark", "Other"]


def test_arrows_choose_enter_runs_and_the_box_closes(qtbot) -> None:
    window = QWidget()
    qtbot.addWidget(window)
    done: list[str] = []
    commands = [BoxCommand(name, "Group", "plus", lambda name=name: done.append(name)) for name in ("One", "Two", "Three")]
    box = CommandBox(commands, ThemeState(LIGHT), window)
    box.open_over(window)
    qtbot.keyClick(box.field, Qt.Key.Key_Down)
    qtbot.keyClick(box.field, Qt.Key.Key_Down)
    qtbot.keyClick(box.field, Qt.Key.Key_Down)
    assert box.list.currentRow() == 0
    qtbot.keyClick(box.field, Qt.Key.Key_Up)
    with qtbot.waitSignal(box.destroyed):
        qtbot.keyClick(box.field, Qt.Key.Key_Return)
    assert done == ["Three"]


def test_nothing_found_is_said_and_enter_does_nothing(qtbot) -> None:
    window = QWidget()
    qtbot.addWidget(window)
    box = CommandBox([command("One")], ThemeState(LIGHT), window)
    box.open_over(window)
    qtbot.keyClicks(box.field, "xyz")
    assert box.list.item(0).text() == "Nothing is called like this"
    qtbot.keyClick(box.field, Qt.Key.Key_Return)
    assert box.isVisible()
    box.close()


def test_the_line_stays_in_its_place_however_few_commands_match(qapp: QApplication, qtbot) -> None:
    apply_theme(qapp, "light", 100)
    window = QWidget()
    qtbot.addWidget(window)
    window.resize(1280, 800)
    box = CommandBox([command(f"Thing {number}") for number in range(12)], ThemeState(LIGHT), window)
    box.open_over(window)
    places, heights = [], []
    for words in ("", "thing 1", "nothing", "thing 11", ""):
        box.field.setText(words)
        QApplication.processEvents()
        places.append(box.field.mapToGlobal(QPoint()).y())
        heights.append(box.height() - box.list.height())
    assert len(set(places)) == 1
    assert len(set(heights)) == 1, "no more room than the list takes"
    box.close()


def test_the_box_offers_pages_models_and_every_setting(tmp_path: Path) -> None:
    services, window = frame_services(tmp_path), Window()
    services.library.installed = (installed_model("a/one"), installed_model("a/two"))
    services.engine.state = EngineState(EngineStatus.READY, "a/one", "one")
    commands = {found.title: found for found in box_commands(services, window, lambda _error: None)}
    assert {"New chat", "Go to Models", "Switch to two · Q4_K_M", "Unload one"} <= set(commands)
    assert "Switch to one · Q4_K_M" not in commands
    assert sum(found.group == "Setting" for found in commands.values()) == len(SETTINGS)
    for title in ("New chat", "Go to Models", "Engine: Context length", "Switch to two · Q4_K_M", "Unload one",
                  "Load settings of one · Q4_K_M"):
        commands[title].run()
    assert window.done == ["new chat", "page models", "setting context_tokens", "load panel a/one"]
    assert services.engine.loads == ["a/two", ""]


def test_an_error_of_a_command_is_reported(tmp_path: Path) -> None:
    services, reported = frame_services(tmp_path), list[AppError]()
    services.library.installed = (installed_model("a/big"),)

    def refuse(model_key: str) -> None:
        raise AppError(MODEL_TOO_LARGE, name=model_key, needed="9", available="1")

    services.engine.load = refuse  # type: ignore[method-assign]
    commands = {found.title: found for found in box_commands(services, Window(), reported.append)}
    commands["Switch to big · Q4_K_M"].run()
    assert [error.code for error in reported] == ["model_too_large"]
