"""The first page: cards that wait, offer, download and end in a chat."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from PySide6.QtCore import QMimeData, QPointF, Qt, QUrl
from PySide6.QtGui import QDropEvent
from PySide6.QtWidgets import QWidget

from localai_app.catalog.tasks import Task
from localai_app.errors import HUB_UNREACHABLE, NO_SPACE, VARIANT_UNKNOWN, AppError, Remedy
from localai_app.gui.bridge import Bridge
from localai_app.gui.models.card_row import CardRow
from localai_app.gui.models.download_progress import DownloadProgress
from localai_app.gui.models.suggestion_card import SuggestionCard
from localai_app.gui.models.suggestions_view import first_choice
from localai_app.gui.pages.first_start_page import FirstStartPage
from localai_app.gui.theme import CONTRAST, DARK, LIGHT, ThemeState
from localai_app.services.app_services import AppServices
from localai_app.services.events import DownloadFinished, HardwareReported, SuggestionsChanged
from localai_app.services.views import DownloadStatus, SuggestionKind
from tests.gui.models.models_stage import (
    REPORT,
    TINY_COMPUTER,
    download,
    eventually,
    finish_background_work,
    nameless,
    show_computer,
    write_catalog,
)
from tests.helpers.gguf_files import write_tiny_gguf
from tests.helpers.hub_server import HubServer, RepoFixture
from tests.helpers.services_fixture import open_services

Show = Callable[..., Any]


# --- the progress of one download ----------------------------------------------------------------
@pytest.fixture
def progress(theme: ThemeState, qtbot: Any) -> DownloadProgress:
    widget = DownloadProgress(theme)
    qtbot.addWidget(widget)
    return widget


@pytest.mark.parametrize(("status", "visible"), [
    (DownloadStatus.WAITING, {"pause", "cancel"}),
    (DownloadStatus.DOWNLOADING, {"pause", "cancel"}),
    (DownloadStatus.VERIFYING, {"pause", "cancel"}),
    (DownloadStatus.PAUSED, {"resume", "cancel"}),
    (DownloadStatus.FAILED, {"retry", "cancel"}),
])
def test_every_state_offers_what_can_be_done(progress: DownloadProgress, status: DownloadStatus, visible: set[str]) -> None:
    error = AppError(HUB_UNREACHABLE, host="h") if status is DownloadStatus.FAILED else None
    progress.show_view(download(status, error=error))
    buttons = {
        "pause": progress.pause_button, "resume": progress.resume_button, "cancel": progress.cancel_button,
        "retry": progress.retry_button, "remedy": progress.remedy_button}
    assert {name for name, control in buttons.items() if not control.isHidden()} == visible
    assert all("Model-GGUF Q4_K_M" in buttons[name].accessibleName() for name in visible)


def test_the_buttons_name_the_download(progress: DownloadProgress, qtbot: Any) -> None:
    progress.show_view(download(download_id=7))
    for signal, control in (
        (progress.pause_requested, progress.pause_button), (progress.resume_requested, progress.resume_button),
        (progress.resume_requested, progress.retry_button), (progress.cancel_requested, progress.cancel_button),
    ):
        with qtbot.waitSignal(signal) as caught:
            control.click()
        assert caught.args == [7]


def test_a_failure_shows_what_to_do_and_the_button_that_does_it(progress: DownloadProgress, qtbot: Any) -> None:
    progress.show_view(download(DownloadStatus.FAILED, error=AppError(NO_SPACE, folder="/m", needed="5 GB", free="1 GB")))
    assert progress.words == "There is not enough free space in /m: 5 GB needed, 1 GB free."
    assert not progress.remedy_button.isHidden()
    with qtbot.waitSignal(progress.remedy_requested) as caught:
        progress.remedy_button.click()
    assert caught.args == [Remedy.OPEN_SETTINGS]


def test_a_download_that_goes_on_forgets_the_failure(progress: DownloadProgress) -> None:
    progress.show_view(download(DownloadStatus.FAILED, error=AppError(HUB_UNREACHABLE, host="h")))
    progress.show_view(download())
    assert progress.words.replace("\xa0", " ") == "2.1 GB of 5.0 GB · 42 MB/s · 1 min left"
    assert progress.retry_button.isHidden()


def test_a_download_of_unknown_size_shows_no_share(progress: DownloadProgress) -> None:
    progress.show_view(download(DownloadStatus.WAITING, done_bytes=0, total_bytes=0))
    assert progress.words == "Waiting to start"


# --- one card ------------------------------------------------------------------------------------
@pytest.fixture
def card(theme: ThemeState, services: AppServices, show: Show) -> SuggestionCard:
    show_computer(services)
    widget = SuggestionCard(theme)
    suggestions = services.discovery.suggestions
    assert suggestions is not None
    widget.show_suggestion(next(one for one in suggestions.cards if one.kind is SuggestionKind.BALANCED), "about 4 min")
    return show(widget, 300, 420)


def test_a_card_offers_downloads_and_opens(card: SuggestionCard, qtbot: Any) -> None:
    name = card.suggestion.model.name if card.suggestion else ""
    card.show_state(None, "")
    assert card.action_button.accessibleName() == f"Download and chat: {name}"
    with qtbot.waitSignal(card.download_requested) as asked:
        card.action_button.click()
    assert asked.args == [card.suggestion]
    card.show_state(download(), "")
    assert card.progress.isVisible()
    assert not card.action_button.isVisible()
    card.show_state(None, "the/key:Q8_0")
    assert card.action_button.accessibleName() == f"Chat: {name}"
    with qtbot.waitSignal(card.chat_requested) as opened:
        card.action_button.click()
    assert opened.args == ["the/key:Q8_0"]


def test_the_balanced_card_is_the_first_choice_unless_it_cannot_chat(services: AppServices) -> None:
    show_computer(services)
    suggestions = services.discovery.suggestions
    assert suggestions is not None
    chosen = first_choice(suggestions.cards)
    assert chosen is not None
    assert chosen.kind is SuggestionKind.BALANCED
    base = [
        dataclasses.replace(one, model=msgspec.structs.replace(one.model, is_base=True)) if one is chosen else one
        for one in suggestions.cards]
    other = first_choice(base)
    assert other is not None
    assert not other.model.is_base
    assert first_choice(()) is None


def test_only_the_first_choice_is_accented(page: FirstStartPage, services: AppServices, qtbot: Any) -> None:
    show_computer(services)
    eventually(qtbot, lambda: page.suggestions.cards[0].suggestion is not None)
    accented = [one.suggestion.kind for one in page.suggestions.cards
                if one.suggestion is not None and one.action_button.property("role") == "primary"]
    assert accented == [SuggestionKind.BALANCED]


def test_cards_stand_side_by_side_with_equal_rows_and_below_each_other_where_it_is_narrow(
        theme: ThemeState, services: AppServices, show: Show) -> None:
    show_computer(services)
    suggestions = services.discovery.suggestions
    assert suggestions is not None
    cards = [SuggestionCard(theme) for _ in suggestions.cards]
    for widget, suggestion in zip(cards, suggestions.cards, strict=True):
        widget.show_suggestion(suggestion, "about 4 min at 100 Mbit/s")
    row = show(CardRow(cards), 960, 420)
    assert row.n_columns == 3
    assert len({one.height() for one in cards}) == 1
    assert max(one.width() for one in cards) - min(one.width() for one in cards) <= 1
    assert len({one.action_button.mapTo(row, one.action_button.rect().topLeft()).y() for one in cards}) == 1
    narrow_heights = [one.summary_label.minimumHeight() for one in cards]
    row.resize(2400, 420)
    assert max(one.summary_label.minimumHeight() for one in cards) < max(narrow_heights)
    row.resize(500, 1400)
    assert row.n_columns == 1


# --- the page ------------------------------------------------------------------------------------
@pytest.fixture
def page(services: AppServices, theme: ThemeState, bridge: Bridge, show: Show) -> FirstStartPage:
    return show(FirstStartPage(services, theme, bridge))


def test_the_page_waits_with_grey_cards_and_is_filled_without_moving(
        page: FirstStartPage, services: AppServices, qtbot: Any) -> None:
    view = page.suggestions
    assert [one.isVisible() for one in view.cards] == [True, True, True]
    assert all(one.suggestion is None for one in view.cards)
    tops = [one.mapTo(page, one.rect().topLeft()).y() for one in view.cards]
    show_computer(services)
    services.events.publish(HardwareReported(REPORT))
    eventually(qtbot, lambda: all(one.suggestion is not None for one in view.cards))
    assert [one.mapTo(page, one.rect().topLeft()).y() for one in view.cards] == tops
    assert page.suggestions._strip.words("Graphics").startswith("RTX 4070")


@pytest.mark.parametrize("palette", [LIGHT, DARK, CONTRAST])
def test_the_page_paints_in_every_theme(page: FirstStartPage, theme: ThemeState, palette: Any, services: AppServices) -> None:
    assert not page.grab().isNull()
    theme.update(palette, 150)
    show_computer(services)
    page.resize(692, 536)
    assert not page.grab().isNull()


def test_everything_on_the_page_has_a_name(page: FirstStartPage, services: AppServices, qtbot: Any) -> None:
    show_computer(services)
    eventually(qtbot, lambda: page.suggestions.cards[0].suggestion is not None)
    assert nameless(page) == []


def test_where_nothing_runs_the_page_says_how_much_is_missing(
        page: FirstStartPage, services: AppServices, qtbot: Any) -> None:
    show_computer(services, TINY_COMPUTER)
    eventually(qtbot, lambda: not page.suggestions.cards[0].isVisible())
    assert page.suggestions._title.text().startswith("None of the known models")
    assert "SmolLM2 135M" in page.suggestions._subtitle.text()
    assert "Close other programs" in page.suggestions._subtitle.text()


def test_a_failure_in_a_card_leads_to_the_settings_or_the_other_variants(
        page: FirstStartPage, services: AppServices, qtbot: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    show_computer(services)
    card = page.suggestions.cards[0]
    eventually(qtbot, lambda: card.suggestion is not None)
    assert card.suggestion is not None
    wanted = {"repo_id": card.suggestion.model.repo_id, "label": card.suggestion.file.label}
    view = download(DownloadStatus.FAILED, error=AppError(NO_SPACE, folder="/m", needed="5 GB", free="1 GB"), **wanted)
    monkeypatch.setattr(services.downloads, "downloads", lambda: (view,))
    page.suggestions._show_states()
    with qtbot.waitSignal(page.page_requested) as asked:
        card.progress.remedy_button.click()
    assert asked.args == ["settings"]
    error = AppError(VARIANT_UNKNOWN, repo=wanted["repo_id"], variant=wanted["label"], choices="Q4_0, Q8_0")
    view = download(DownloadStatus.FAILED, error=error, **wanted)
    page.suggestions._show_states()
    assert "has no variant" in card.progress.words
    with qtbot.waitSignal(page.suggestions.model_requested) as asked:
        card.progress.remedy_button.click()
    assert asked.args == [wanted["repo_id"]]


def test_a_file_dropped_onto_the_page_is_opened_where_it_is(
        page: FirstStartPage, services: AppServices, tmp_path: Path, qtbot: Any) -> None:
    path = write_tiny_gguf(tmp_path / "my model.gguf")
    with qtbot.waitSignal(page.chat_requested, timeout=10_000) as opened:
        _drop(page, path)
    assert opened.args == [str(path.resolve())]
    with qtbot.assertNotEmitted(page.chat_requested, wait=50):
        _drop(page, tmp_path / "notes.txt")


def test_a_damaged_file_is_refused_in_words(page: FirstStartPage, tmp_path: Path, qtbot: Any) -> None:
    path = tmp_path / "broken.gguf"
    path.write_bytes(b"no model")
    page.open_file(path)
    eventually(qtbot, lambda: page.suggestions._error.isVisible())


def _drop(page: QWidget, path: Path) -> None:
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path))])
    event = QDropEvent(
        QPointF(5, 5), Qt.DropAction.CopyAction, data, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier)
    page.dropEvent(event)


# --- against a Hub -------------------------------------------------------------------------------
REPO = "tester/Tiny-GGUF"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    data = write_tiny_gguf(tmp_path / "source.gguf").read_bytes()
    with HubServer({REPO: RepoFixture({"tiny-Q4_K_M.gguf": data + bytes(3_000_000), "tiny-Q8_0.gguf": data})}) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.endpoint)
        yield server


@pytest.fixture
def hub_page(
    tmp_path: Path, hub: HubServer, theme: ThemeState, monkeypatch: pytest.MonkeyPatch,
) -> Iterator[FirstStartPage]:
    """A page over services whose catalog knows one model that this Hub offers."""
    monkeypatch.setattr("localai_app.services.library_service.find_elsewhere", lambda: ())
    catalog = write_catalog(tmp_path / "catalog.json", {"qwen3-8b": REPO})
    with open_services(tmp_path / "data", catalog=catalog) as services:
        bridge = Bridge(services.events)
        show_computer(services)
        page = FirstStartPage(services, theme, bridge)
        page.resize(1072, 736)
        page.show()
        yield page
        bridge.close()
        finish_background_work()
        page.close()
        page.deleteLater()


def _offer(page: FirstStartPage, label: str) -> SuggestionCard:
    """Let the first card offer a variant of the model on the Hub."""
    services = page.suggestions._services
    suggestions = services.discovery.suggestions
    assert suggestions is not None
    model = next(row.model for row in services.discovery.rows() if row.model.repo_id == REPO)
    file = next((file for file in model.files if file.label == label), model.files[0])
    file = msgspec.structs.replace(file, label=label)
    first = dataclasses.replace(suggestions.cards[0], model=model, file=file)
    services.discovery._suggestions = dataclasses.replace(suggestions, cards=(first, *suggestions.cards[1:]))
    page.suggestions._show_suggestions()
    return page.suggestions.cards[0]


def test_one_click_downloads_and_ends_in_a_chat(hub_page: FirstStartPage, hub: HubServer, qtbot: Any) -> None:
    hub.bytes_per_s = 6_000_000
    card = _offer(hub_page, "Q4_K_M")
    with qtbot.waitSignal(hub_page.chat_requested, timeout=20_000) as opened:
        card.action_button.click()
        assert card.progress.isVisible()
    assert opened.args == [f"{REPO}:Q4_K_M"]
    eventually(qtbot, lambda: card.action_button.text() == "Chat")


def test_a_download_that_ends_while_another_page_is_open_does_not_take_the_user_away(
        hub_page: FirstStartPage, qtbot: Any) -> None:
    services = hub_page.suggestions._services
    hub_page.suggestions._wanted_downloads.add(5)
    hub_page.hide()
    with qtbot.assertNotEmitted(hub_page.chat_requested, wait=100):
        services.events.publish(DownloadFinished(5, "key"))


def test_a_variant_that_the_hub_does_not_have_is_told_in_the_card(
        hub_page: FirstStartPage, qtbot: Any, expect_log: Any) -> None:
    expect_log("has no variant Q5_K_M")
    card = _offer(hub_page, "Q5_K_M")
    card.action_button.click()
    eventually(qtbot, lambda: card.progress.words == f"{REPO} has no variant Q5_K_M.")
    assert card.progress.remedy_button.text() == "Show its variants"
    card.progress.cancel_button.click()
    eventually(qtbot, lambda: card.action_button.isVisible())


def test_a_download_is_paused_and_resumed_in_its_card(hub_page: FirstStartPage, hub: HubServer, qtbot: Any) -> None:
    hub.bytes_per_s = 1_000_000
    card = _offer(hub_page, "Q4_K_M")
    card.action_button.click()
    eventually(qtbot, lambda: " of " in card.progress.words)
    card.progress.pause_button.click()
    eventually(qtbot, lambda: card.progress.words.startswith("Paused at"))
    hub.bytes_per_s = 0
    with qtbot.waitSignal(hub_page.chat_requested, timeout=20_000):
        card.progress.resume_button.click()


def test_suggestions_that_change_keep_the_state_of_the_cards(hub_page: FirstStartPage, qtbot: Any) -> None:
    services = hub_page.suggestions._services
    services.events.publish(SuggestionsChanged())
    eventually(qtbot, lambda: hub_page.suggestions.cards[0].suggestion is not None)
    assert hub_page.suggestions.cards[0].action_button.isVisible()


def test_the_task_chips_rank_at_once_and_are_remembered(page: FirstStartPage, services: AppServices, qtbot: Any) -> None:
    show_computer(services)
    cards = page.suggestions.cards
    eventually(qtbot, lambda: cards[0].suggestion is not None)
    page.suggestions.tasks.chip(Task.VISION).click()
    assert services.settings.text("task") == "vision"
    eventually(qtbot, lambda: all(
        "vision" in card.suggestion.model.tasks for card in cards if card.isVisible() and card.suggestion is not None))
    services.settings.set("task", "code")
    eventually(qtbot, page.suggestions.tasks.chip(Task.CODE).isChecked)
    assert not page.suggestions.tasks.chip(Task.VISION).isChecked()


def test_a_task_that_nothing_here_can_do_says_so(
        page: FirstStartPage, services: AppServices, qtbot: Any) -> None:
    tiny = msgspec.structs.replace(REPORT.memory, available_bytes=3 * 1024**3)
    show_computer(services, msgspec.structs.replace(REPORT, memory=tiny, gpus=(), engine_devices=()))
    page.suggestions.tasks.chip(Task.VISION).click()
    eventually(qtbot, page.suggestions._none.isVisible)
    assert page.suggestions._none.text() == "No known model for vision fits into the free memory."
    assert page.suggestions.tasks.isVisible()
