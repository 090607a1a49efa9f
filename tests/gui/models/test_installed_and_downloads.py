"""The Installed and Downloads tabs, and the page around them."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import QMimeData, QPointF, Qt, QUrl
from PySide6.QtGui import QDropEvent
from PySide6.QtWidgets import QMessageBox

from localai_app.errors import HUB_UNREACHABLE, REPO_GATED, AppError
from localai_app.gui.bridge import Bridge
from localai_app.gui.models.downloads_view import DownloadsView
from localai_app.gui.models.installed_models import InstalledModels
from localai_app.gui.models.installed_view import InstalledView
from localai_app.gui.pages.models_page import ModelsPage
from localai_app.gui.theme import CONTRAST, DARK, LIGHT, ThemeState
from localai_app.services.app_services import AppServices
from localai_app.services.events import DownloadChanged, LibraryChanged
from localai_app.services.load_settings import LoadSettings
from localai_app.services.views import DownloadStatus
from tests.gui.models.models_stage import download, eventually, nameless, show_computer
from tests.helpers.gguf_files import write_tiny_gguf
from tests.helpers.services_fixture import TINY_KEY, install_tiny_model

Show = Callable[..., Any]


@pytest.fixture
def data_dir(services: AppServices) -> Path:
    return services.paths.data


@pytest.fixture
def view(services: AppServices, theme: ThemeState, bridge: Bridge, show: Show) -> InstalledView:
    library = InstalledModels(services, bridge)
    widget = InstalledView(services, theme, library)
    library.setParent(widget)
    return show(widget, 900, 600)


# --- reading the library -------------------------------------------------------------------------
def test_the_library_is_read_in_the_background_and_bursts_are_put_together(
        services: AppServices, bridge: Bridge, qtbot: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    readers = []
    models = services.library.models

    def counted() -> Any:
        readers.append(threading.current_thread() is threading.main_thread())
        return models()

    monkeypatch.setattr(services.library, "models", counted)
    library = InstalledModels(services, bridge)
    assert not library.is_read
    for _ in range(20):
        library.refresh()
    eventually(qtbot, lambda: library.is_read and len(readers) == 2)
    qtbot.wait(50)
    assert readers == [False, False]
    with qtbot.assertNotEmitted(library.changed, wait=50):
        library.refresh()
    library.deleteLater()


# --- installed -----------------------------------------------------------------------------------
def test_nothing_is_claimed_before_the_folders_were_read(
        services: AppServices, theme: ThemeState, bridge: Bridge, show: Show, qtbot: Any) -> None:
    library = InstalledModels(services, bridge)
    view = InstalledView(services, theme, library)
    library.setParent(view)
    assert view.empty.isHidden()
    show(view)
    eventually(qtbot, view.empty.isVisible)


def test_an_empty_library_leads_to_the_suggestions(view: InstalledView, qtbot: Any) -> None:
    eventually(qtbot, view.empty.isVisible)
    with qtbot.waitSignal(view.suggestions_requested):
        view.empty.button.click()


def test_every_model_has_a_row_and_rows_stay_while_only_figures_change(
        view: InstalledView, services: AppServices, data_dir: Path, qtbot: Any) -> None:
    install_tiny_model(data_dir)
    long_name = "Mistral-Small-with-a-name-that-goes-on-and-on-and-does-not-end-GGUF"
    for index in range(9):
        install_tiny_model(data_dir, f"owner/{index}-{long_name}", f"m{index}-Q8_0.gguf")
    services.library.changed()
    eventually(qtbot, lambda: len(view.rows) == 10)
    rows = view.rows
    assert not view.empty.isVisible()
    assert view.minimumSizeHint().width() < 700
    with qtbot.waitSignal(view._installed.changed):
        services.library.note_use(rows[0]._key, tps=31.0)
    assert view.rows == rows
    assert "31 tok/s measured" in rows[0]._facts.text()


def test_chat_asks_for_the_model(view: InstalledView, services: AppServices, data_dir: Path, qtbot: Any) -> None:
    install_tiny_model(data_dir)
    services.library.changed()
    eventually(qtbot, lambda: len(view.rows) == 1)
    with qtbot.waitSignal(view.chat_requested) as opened:
        view.rows[0].chat_button.click()
    assert opened.args == [TINY_KEY]


def test_a_row_says_how_its_model_would_run_as_it_would_be_loaded(
        view: InstalledView, services: AppServices, data_dir: Path, qtbot: Any) -> None:
    path = install_tiny_model(data_dir)
    show_computer(services)
    services.library.changed()
    eventually(qtbot, lambda: len(view.rows) == 1 and view.rows[0]._verdict.text() == "GPU")
    assert "expected" in view.rows[0]._facts.text()
    services.load_settings.set(TINY_KEY, LoadSettings(gpu_layers=0))
    eventually(qtbot, lambda: view.rows[0]._verdict.text() == "CPU")
    assert view.rows[0]._verdict.toolTip().startswith("Runs on the CPU\nRuns on the processor: needs")
    path.write_bytes(path.read_bytes()[:4000])
    services.library.changed()
    eventually(qtbot, lambda: view.rows[0]._verdict.text() == "unknown")
    with qtbot.waitSignal(view.load_panel_requested) as asked:
        view.rows[0].load_button.click()
    assert asked.args == [TINY_KEY]


def test_a_model_with_a_missing_part_cannot_be_chatted_with(
        view: InstalledView, services: AppServices, data_dir: Path, qtbot: Any) -> None:
    install_tiny_model(data_dir, name="tiny-Q8_0-00001-of-00002.gguf")
    services.library.changed()
    eventually(qtbot, lambda: len(view.rows) == 1)
    assert not view.rows[0].chat_button.isEnabled()
    assert view.rows[0]._incomplete.isVisible()


def _removal_box(view: InstalledView, qtbot: Any) -> QMessageBox:
    view.rows[0].remove_button.click()
    eventually(qtbot, lambda: view.removal.box is not None)
    assert view.removal.box is not None
    return view.removal.box


def test_removing_asks_first_tells_the_space_and_keeps_on_no(
        view: InstalledView, services: AppServices, data_dir: Path, qtbot: Any) -> None:
    path = install_tiny_model(data_dir)
    os.truncate(path, 5_000_000)
    services.library.changed()
    eventually(qtbot, lambda: len(view.rows) == 1)
    box = _removal_box(view, qtbot)
    assert box.text() == "Remove Tiny-Chat F32?"
    assert "frees 5 MB" in box.informativeText()
    assert box.defaultButton().text() == "Keep"
    box.defaultButton().click()
    eventually(qtbot, lambda: view.removal.box is None)
    assert path.exists()


def test_removing_moves_to_the_trash(view: InstalledView, services: AppServices, data_dir: Path, qtbot: Any) -> None:
    path = install_tiny_model(data_dir)
    services.library.changed()
    eventually(qtbot, lambda: len(view.rows) == 1)
    box = _removal_box(view, qtbot)
    next(button for button in box.buttons() if button.text() == "Move to trash").click()
    eventually(qtbot, view.empty.isVisible)
    assert not path.exists()


def test_a_linked_file_is_only_taken_off_the_list(
        view: InstalledView, services: AppServices, tmp_path: Path, qtbot: Any) -> None:
    path = write_tiny_gguf(tmp_path / "mine.gguf")
    services.library.link(path)
    eventually(qtbot, lambda: len(view.rows) == 1)
    box = _removal_box(view, qtbot)
    assert "the file stays" in box.informativeText()
    next(button for button in box.buttons() if button.text() == "Take off the list").click()
    eventually(qtbot, view.empty.isVisible)
    assert path.exists()


def test_a_file_that_is_gone_is_told_when_its_folder_is_asked_for(
        view: InstalledView, services: AppServices, data_dir: Path, qtbot: Any) -> None:
    path = install_tiny_model(data_dir)
    services.library.changed()
    eventually(qtbot, lambda: len(view.rows) == 1)
    path.unlink()
    view.rows[0].reveal_button.click()
    assert view.error.isVisible()
    view.rows[0].remove_button.click()
    eventually(qtbot, lambda: view.error.error is not None and view.removal.box is None)


# --- downloads -----------------------------------------------------------------------------------
@pytest.fixture
def downloads(
    services: AppServices, theme: ThemeState, bridge: Bridge, show: Show, monkeypatch: pytest.MonkeyPatch,
) -> DownloadsView:
    views = [
        download(download_id=1), download(DownloadStatus.PAUSED, download_id=2),
        download(DownloadStatus.FAILED, download_id=3, error=AppError(HUB_UNREACHABLE, host="h")),
        download(DownloadStatus.WAITING, download_id=4, label="", done_bytes=0, total_bytes=0)]
    monkeypatch.setattr(services.downloads, "downloads", lambda: tuple(views))
    monkeypatch.setattr(services.downloads, "get", lambda wanted: next((one for one in views if one.id == wanted), None))
    widget = show(DownloadsView(services, theme, bridge), 900, 600)
    widget.known = views
    return widget


def test_every_download_has_a_card_in_order(downloads: DownloadsView) -> None:
    words = [card.progress.words for card in downloads.cards]
    assert words[1:] == ["Paused at 2.1 GB of 5.0 GB", "The Hub at h cannot be reached.", "Waiting to start"]
    assert nameless(downloads) == []


def test_cards_reach_the_service(
        downloads: DownloadsView, services: AppServices, qtbot: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    first, paused, failed, _waiting = downloads.cards
    done: list[tuple[str, int]] = []
    for card, control, name in (
        (first, "pause_button", "pause"), (paused, "resume_button", "resume"), (failed, "retry_button", "resume"),
        (first, "cancel_button", "cancel"),
    ):
        signal = getattr(card.progress, f"{name}_requested")
        signal.connect(lambda number, name=name: done.append((name, number)))
        getattr(card.progress, control).click()
        signal.disconnect()
    assert done == [("pause", 1), ("resume", 2), ("resume", 3), ("cancel", 1)]


def test_a_gated_model_leads_to_its_page(downloads: DownloadsView, monkeypatch: pytest.MonkeyPatch, qtbot: Any) -> None:
    opened = []
    monkeypatch.setattr("localai_app.gui.models.downloads_view.open_model_page", lambda _hub, repo_id: opened.append(repo_id))
    downloads.known[0] = download(DownloadStatus.FAILED, error=AppError(REPO_GATED, repo="owner/Model-GGUF"))
    downloads.refresh()
    assert downloads.cards[0].progress.remedy_button.text() == "Open its page"
    downloads.cards[0].progress.remedy_button.click()
    assert opened == ["owner/Model-GGUF"]


def test_cards_stay_the_same_widgets_and_go_when_they_are_done(
        downloads: DownloadsView, services: AppServices, qtbot: Any) -> None:
    before = downloads.cards
    downloads.known[0] = download(done_bytes=3_000_000_000)
    services.events.publish(DownloadChanged(1))
    eventually(qtbot, lambda: before[0].progress.words.startswith("3.0"))
    assert downloads.cards == before
    with qtbot.waitSignal(downloads.count_changed) as counted:
        downloads.known.clear()
        downloads.refresh()
    assert counted.args == [0]
    assert downloads.cards == ()
    assert downloads.empty.isVisible()


# --- the page ------------------------------------------------------------------------------------
@pytest.fixture
def page(services: AppServices, theme: ThemeState, bridge: Bridge, show: Show) -> ModelsPage:
    return show(ModelsPage(services, theme, bridge))


def test_the_page_begins_with_everything_where_nothing_is_installed(page: ModelsPage, qtbot: Any) -> None:
    eventually(qtbot, lambda: page.current_tab == "Discover")


def test_the_page_begins_with_what_is_installed(
        services: AppServices, theme: ThemeState, bridge: Bridge, show: Show, data_dir: Path, qtbot: Any) -> None:
    install_tiny_model(data_dir)
    page = show(ModelsPage(services, theme, bridge))
    eventually(qtbot, lambda: page.current_tab == "Installed")
    assert page._tabs["Installed"].text() == "Installed 1"


def test_a_tab_that_was_asked_for_first_is_kept(
        services: AppServices, theme: ThemeState, bridge: Bridge, show: Show, qtbot: Any) -> None:
    page = ModelsPage(services, theme, bridge)
    page.show_tab("Downloads")
    show(page)
    eventually(qtbot, lambda: page.library.is_read)
    assert page.current_tab == "Downloads"


def test_typing_leads_to_discover_and_the_empty_tabs_to_the_suggestions(page: ModelsPage, qtbot: Any) -> None:
    page.show_tab("Installed")
    page.search_field.setText("qwen")
    assert page.current_tab == "Discover"
    page.search_field.clear()
    page.show_tab("Downloads")
    page.downloads.empty.button.click()
    assert page.current_tab == "Suggested"
    page.suggested.suggestions._browse_button.click()
    assert page.current_tab == "Discover"


def test_other_variants_of_a_card_are_shown_in_discover(page: ModelsPage, qtbot: Any) -> None:
    page.suggested.suggestions.model_requested.emit("owner/Some-GGUF")
    assert page.current_tab == "Discover"
    assert page.discover.detail.entry is not None
    assert page.discover.detail.entry.repo_id == "owner/Some-GGUF"


def test_a_file_dropped_onto_any_tab_is_opened(page: ModelsPage, tmp_path: Path, qtbot: Any) -> None:
    path = write_tiny_gguf(tmp_path / "mine.gguf")
    page.show_tab("Downloads")
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path))])
    with qtbot.waitSignal(page.chat_requested, timeout=10_000) as opened:
        page.dropEvent(QDropEvent(
            QPointF(5, 5), Qt.DropAction.CopyAction, data, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier))
    assert opened.args == [str(path.resolve())]


def test_every_tab_has_names_for_all_it_offers(page: ModelsPage, services: AppServices, data_dir: Path, qtbot: Any) -> None:
    install_tiny_model(data_dir)
    show_computer(services)
    services.events.publish(LibraryChanged())
    eventually(qtbot, lambda: len(page.installed.rows) == 1)
    for tab in ("Suggested", "Discover", "Installed", "Downloads"):
        page.show_tab(tab)
        assert nameless(page) == []


@pytest.mark.parametrize("palette", [LIGHT, DARK, CONTRAST])
def test_every_tab_paints_in_every_theme(
        page: ModelsPage, services: AppServices, theme: ThemeState, palette: Any, data_dir: Path, qtbot: Any) -> None:
    install_tiny_model(data_dir)
    show_computer(services)
    services.library.changed()
    theme.update(palette, 130)
    page.resize(692, 536)
    for tab in ("Suggested", "Discover", "Installed", "Downloads"):
        page.show_tab(tab)
        assert not page.grab().isNull()


def test_what_a_model_loses_and_a_smaller_file_are_asked_for_from_its_row(
        data_dir: Path, view: InstalledView, services: AppServices, qtbot: Any) -> None:
    install_tiny_model(data_dir)
    services.library.changed()
    eventually(qtbot, lambda: len(view.rows) == 1)
    menu = view.rows[0].build_menu()
    for words, signal in (("What does it lose?", view.loss_requested), ("Re-quantize…", view.requantize_requested)):
        with qtbot.waitSignal(signal) as asked:
            next(action for action in menu.actions() if action.text() == words).trigger()
        assert asked.args == [TINY_KEY]
    menu.deleteLater()
