"""The Discover tab: its list, the model shown beside it, and what the Hub adds."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PySide6.QtCore import QRect, Qt
from PySide6.QtGui import QImage, QPainter
from PySide6.QtTest import QAbstractItemModelTester, QTest
from PySide6.QtWidgets import QScrollArea, QStyle, QStyleOptionViewItem, QVBoxLayout, QWidget

from localai_app.fit.result import Verdict
from localai_app.gui.bridge import Bridge
from localai_app.gui.delegates.discovery_delegate import DiscoveryDelegate
from localai_app.gui.itemmodels.discovery_list_model import (
    DiscoverEntry,
    DiscoveryListModel,
    EntryRole,
    entry_of_hit,
    entry_of_row,
)
from localai_app.gui.models.discover_view import DiscoverView
from localai_app.gui.models.installed_models import InstalledModels
from localai_app.gui.models.model_detail import HUB_NOTE, OFFLINE_NOTE
from localai_app.gui.models.variants_table import VariantsTable
from localai_app.gui.theme import CONTRAST, DARK, LIGHT, ThemeState
from localai_app.hub.model import SearchHit
from localai_app.services.app_services import AppServices
from localai_app.services.events import SettingChanged
from tests.gui.models.models_stage import (
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
LONG = DiscoverEntry(title="A model with a name that does not fit " * 3, subtitle="27.0B · somebody", repo_id="a/long",
                     verdict=Verdict.GPU_PARTIAL, speed="7.9 to 14 tok/s")


# --- the list model and its delegate -------------------------------------------------------------
def test_the_list_model_keeps_the_rules_of_item_models(qtbot: Any, qtmodeltester: Any) -> None:
    model = DiscoveryListModel()
    tester = QAbstractItemModelTester(model, QAbstractItemModelTester.FailureReportingMode.Fatal)
    model.set_entries([LONG, dataclasses.replace(LONG, repo_id="a/other")])
    qtmodeltester.check(model)
    assert model.rowCount() == 2
    model.set_entries([])
    assert model.rowCount() == 0
    assert model.data(model.index(5)) is None
    tester.deleteLater()


def test_new_figures_keep_the_rows_and_other_entries_replace_them(qtbot: Any) -> None:
    model = DiscoveryListModel()
    model.set_entries([LONG])
    with qtbot.assertNotEmitted(model.modelReset), qtbot.waitSignal(model.dataChanged):
        model.set_entries([dataclasses.replace(LONG, speed="8 tok/s")])
    assert model.index(0).data(EntryRole.ENTRY).speed == "8 tok/s"
    with qtbot.waitSignal(model.modelReset):
        model.set_entries([dataclasses.replace(LONG, repo_id="a/other")])


def test_a_row_is_told_as_a_sentence(qtbot: Any) -> None:
    model = DiscoveryListModel()
    model.set_entries([dataclasses.replace(LONG, title="Gemma")])
    told = model.index(0).data(Qt.ItemDataRole.AccessibleTextRole)
    assert told == "Gemma, 27.0B · somebody, Runs partly on the GPU, slower, 7.9 to 14 tok/s"


def test_a_hit_of_the_hub_tells_its_downloads_and_its_gate() -> None:
    entry = entry_of_hit(SearchHit(repo_id="owner/Name-GGUF", downloads=12_345, gated=True))
    assert (entry.title, entry.subtitle) == ("Name-GGUF", "owner · 12,345 downloads · licence to accept")
    assert entry.verdict is None


@pytest.mark.parametrize("palette", [LIGHT, DARK, CONTRAST])
@pytest.mark.parametrize("entry", [LONG, DiscoverEntry(title="x", subtitle="", repo_id="a/b")])
def test_the_delegate_paints_every_row_in_every_state(
        theme: ThemeState, palette: Any, entry: DiscoverEntry, qtbot: Any) -> None:
    theme.update(palette, 130)
    model = DiscoveryListModel()
    model.set_entries([entry])
    delegate = DiscoveryDelegate(theme)
    pictures = set()
    for state in (QStyle.StateFlag.State_None, QStyle.StateFlag.State_Selected, QStyle.StateFlag.State_MouseOver,
                  QStyle.StateFlag.State_HasFocus):
        option = QStyleOptionViewItem()
        option.rect = QRect(0, 0, 200, delegate.sizeHint(option, model.index(0)).height())
        option.state = QStyle.StateFlag.State_Enabled | state
        image = QImage(option.rect.size(), QImage.Format.Format_ARGB32)
        image.fill(palette.color("panel"))
        painter = QPainter(image)
        delegate.paint(painter, option, model.index(0))
        painter.end()
        pictures.add(bytes(image.constBits()))
    assert len(pictures) == 4


# --- the table of variants -----------------------------------------------------------------------
@pytest.fixture
def table(services: AppServices, theme: ThemeState, show: Show) -> VariantsTable:
    show_computer(services)
    widget = VariantsTable(theme)
    model = next(row.model for row in services.discovery.rows() if row.model.id == "gemma-3-27b-it")
    widget.show_rows(services.discovery.variants(model), "Q4_K_M", "Q4_K_M")
    holder = QWidget()
    QVBoxLayout(holder).addWidget(widget)
    show(holder, 760, 400)
    return widget


def test_a_line_is_chosen_by_the_mouse_and_by_the_keyboard(table: VariantsTable, qtbot: Any) -> None:
    assert table.chosen == "Q4_K_M"
    second = table.lines[1]
    with qtbot.waitSignal(table.variant_chosen) as chosen:
        qtbot.mouseClick(second, Qt.MouseButton.LeftButton)
    assert chosen.args == [table.chosen] == [second.row.label if second.row else ""]
    second.setFocus()
    with qtbot.waitSignal(table.variant_chosen) as chosen:
        QTest.keyClick(second, Qt.Key.Key_Down)
    assert chosen.args == [table.lines[2].row.label if table.lines[2].row else ""]


def test_the_lines_share_their_columns(table: VariantsTable) -> None:
    places = {tuple(line.grid.cellRect(0, column).left() for column in range(8)) for line in table.lines}
    assert len(places) == 1
    assert {table._head_grid.cellRect(0, column).left() for column in range(8)} == set(places.pop())


def test_columns_are_left_out_where_it_is_narrow_and_come_back(table: VariantsTable, qtbot: Any) -> None:
    assert not table.hidden_columns
    holder = table.parentWidget()
    assert holder is not None
    holder.resize(460, 400)
    eventually(qtbot, lambda: {6, 2} <= table.hidden_columns)
    eventually(qtbot, lambda: all(line.action_button.geometry().right() <= line.width() for line in table.lines))
    assert table.rect().contains(table.lines[0].geometry())
    holder.resize(760, 400)
    eventually(qtbot, lambda: not table.hidden_columns)


def test_a_line_tells_its_download_and_opens_what_is_installed(table: VariantsTable, qtbot: Any) -> None:
    names = [line.row.label for line in table.lines if line.row is not None]
    table.show_states({names[0]: download(), names[1]: download(done_bytes=0, total_bytes=0)}, {names[2]: "the/key:Q5_K_M"})
    assert [line.action_button.text() for line in table.lines[:4]] == ["42%", "Waiting", "Chat", "Download"]
    assert [line.action_button.isEnabled() for line in table.lines[:4]] == [False, False, True, True]
    with qtbot.waitSignal(table.chat_requested) as opened:
        table.lines[2].action_button.click()
    assert opened.args == ["the/key:Q5_K_M"]
    with qtbot.waitSignal(table.download_requested) as asked:
        table.lines[3].action_button.click()
    assert asked.args == [names[3]]
    table.show_states({}, {}, can_download=False)
    assert not any(line.action_button.isVisible() for line in table.lines)


def test_a_line_says_all_its_figures_to_a_screen_reader(table: VariantsTable) -> None:
    name = table.lines[3].accessibleName()
    assert name.startswith("Q4_K_M, 16.5 GB, good, needs ")
    assert "Runs partly on the GPU" in name
    assert name.endswith(" tok/s")


# --- the tab -------------------------------------------------------------------------------------

@pytest.fixture
def view(services: AppServices, theme: ThemeState, bridge: Bridge, show: Show) -> DiscoverView:
    show_computer(services)
    library = InstalledModels(services, bridge)
    widget = show(DiscoverView(services, theme, bridge, library))
    library.setParent(widget)
    return widget


@pytest.mark.parametrize(("percent", "width"), [(100, 1072), (100, 700), (150, 1020), (200, 1196), (200, 800)])
def test_the_boxes_show_all_their_words_at_every_text_size(
        view: DiscoverView, theme: ThemeState, qapp: Any, percent: int, width: int) -> None:
    from localai_app.gui.theme import apply_theme

    apply_theme(qapp, "light", percent)
    theme.update(LIGHT, percent)
    view.resize(width, 700)
    finish_background_work()
    filters = view.filters
    for box in (filters.task_box, filters.size_box, filters.licence_box, filters.sort_box):
        assert box.width() >= box.sizeHint().width()
        assert box.geometry().right() < filters.width()


def titles(view: DiscoverView) -> list[str]:
    return [entry.title for entry in view.list_model.entries]


def choose(view: DiscoverView, services: AppServices, model_id: str) -> None:
    view.filters.fits_chip.setChecked(False)
    name = next(row.model.name for row in services.discovery.rows() if row.model.id == model_id)
    view.list_view.setCurrentIndex(view.list_model.index(titles(view).index(name)))


def test_the_list_waits_for_the_computer_to_be_known(
        services: AppServices, theme: ThemeState, bridge: Bridge, show: Show, qtbot: Any) -> None:
    library = InstalledModels(services, bridge)
    view = show(DiscoverView(services, theme, bridge, library))
    library.setParent(view)
    assert view.hint.text() == "Looking at this computer…"
    show_computer(services)
    eventually(qtbot, lambda: view.list_model.rowCount() > 0)
    assert not view.hint.isVisible()
    assert view.detail.entry is not None


def test_chips_and_words_filter_the_list(view: DiscoverView, services: AppServices) -> None:
    everything = len(services.discovery.rows())
    running = len(titles(view))
    assert 0 < running < everything
    view.filters.fits_chip.setChecked(False)
    assert len(titles(view)) == everything
    view.filters.task_box.setCurrentText("Vision")
    assert 0 < len(titles(view)) < everything
    assert services.settings.text("task") == "vision"
    view.filters.task_box.setCurrentText("Any task")
    view.search("gemma")
    assert titles(view)
    assert all("gemma" in title.lower() for title in titles(view))
    view.search("gemma nonsense")
    assert titles(view) == []


def test_the_chosen_model_stays_chosen_in_another_order(view: DiscoverView, services: AppServices) -> None:
    choose(view, services, "gpt-oss-20b")
    before = titles(view)
    view.filters.sort_box.setCurrentText("Smallest")
    assert titles(view) != before
    assert view.list_view.currentIndex().data() == "gpt-oss-20b"
    assert view.detail.entry is not None
    assert view.detail.entry.title == "gpt-oss-20b"


def test_another_model_is_shown_from_its_beginning(view: DiscoverView, services: AppServices, qtbot: Any) -> None:
    choose(view, services, "gpt-oss-20b")
    bar = view.detail.findChild(QScrollArea).verticalScrollBar()
    qtbot.waitUntil(lambda: bar.maximum() > 0)
    bar.setValue(bar.maximum())
    services.discovery.compute_now()
    finish_background_work()
    assert bar.value() == bar.maximum(), "new figures of the same model leave the reader where they are"
    choose(view, services, "gemma-3-27b-it")
    assert bar.value() == 0


def test_the_context_and_its_precision_change_every_line_at_once(view: DiscoverView, services: AppServices) -> None:
    choose(view, services, "gemma-3-27b-it")
    needs = [line._need.text() for line in view.detail.table.lines]
    view.detail.context.slider.setValue(view.detail.context.slider.maximum())
    longer = [line._need.text() for line in view.detail.table.lines]
    assert all(a != b for a, b in zip(needs, longer, strict=True))
    assert "131,072 tokens" in view.detail.why.title
    assert view.detail.context.slider.accessibleDescription() == "131,072 tokens"
    view.detail.context.kv_box.setCurrentIndex(2)
    assert all(a != b for a, b in zip(longer, [line._need.text() for line in view.detail.table.lines], strict=True))
    request = view.detail.context.request
    assert request is not None
    assert (request.ctx, request.kv_type.value) == (131_072, "q4_0")


def test_a_context_that_was_chosen_is_kept_for_the_next_model(view: DiscoverView, services: AppServices) -> None:
    choose(view, services, "gemma-3-27b-it")
    slider = view.detail.context.slider
    slider.setValue(slider.maximum())
    choose(view, services, "qwen3-8b")
    assert "40,960 tokens" in view.detail.why.title
    choose(view, services, "gemma-3-4b-it")
    assert "131,072 tokens" in view.detail.why.title


def test_the_settings_hold_until_the_slider_is_moved(view: DiscoverView, services: AppServices, qtbot: Any) -> None:
    choose(view, services, "gemma-3-27b-it")
    assert view.detail.context.request is None
    services.settings.set("context_tokens", 4096)
    services.events.publish(SettingChanged("context_tokens"))
    eventually(qtbot, lambda: "4,096 tokens" in view.detail.why.title)


def test_a_line_shows_its_own_reasons(view: DiscoverView, services: AppServices) -> None:
    choose(view, services, "gemma-3-27b-it")
    assert "Q4_K_M" in view.detail.why.title
    view.detail.table.lines[0].click()
    assert view.detail.why.title.startswith("Why it will not run: Q8_0")


def test_the_scores_of_a_model_are_shown_with_their_sources(view: DiscoverView, services: AppServices) -> None:
    choose(view, services, "gemma-3-4b-it")
    told = [child.accessibleName() for child in view.detail.scores.children() if hasattr(child, "accessibleName")]
    assert "ChartQA: 68.8 of 100" in told
    assert any(name.startswith("Source: https://ai.google.dev") for name in told)
    choose(view, services, "gpt-oss-20b")
    told = [child.accessibleName() for child in view.detail.scores.children()
            if hasattr(child, "accessibleName") and not child.isHidden()]
    assert "ChartQA: 68.8 of 100" not in told


def test_a_model_without_a_repository_says_why_there_is_nothing_to_download(view: DiscoverView, services: AppServices) -> None:
    model = next(row.model for row in services.discovery.rows() if not row.model.repo_id)
    choose(view, services, model.id)
    assert "nothing to download" in view.detail._facts.text()
    assert not view.detail.table.isVisible()
    assert not view.detail._card_button.isVisible()


def test_everything_in_the_tab_has_a_name(view: DiscoverView) -> None:
    assert nameless(view) == []
    view.resize(692, 536)
    assert nameless(view) == []


@pytest.mark.parametrize("palette", [LIGHT, DARK, CONTRAST])
def test_the_tab_paints_in_every_theme(view: DiscoverView, theme: ThemeState, palette: Any) -> None:
    theme.update(palette, 150)
    assert not view.grab().isNull()


# --- without a Hub -------------------------------------------------------------------------------
def test_a_hub_out_of_reach_leaves_the_catalogs_sizes_and_says_so(
        view: DiscoverView, services: AppServices, qtbot: Any) -> None:
    choose(view, services, "qwen3-8b")
    eventually(qtbot, lambda: view.detail.table.note == OFFLINE_NOTE)
    assert view.detail.table.lines
    assert not view.detail._error.isVisible()


def test_a_search_that_fails_keeps_the_catalog_and_offers_another_try(view: DiscoverView, qtbot: Any) -> None:
    view.search("qwen3")
    view.search_now()
    eventually(qtbot, view.retry_button.isVisible)
    assert "cannot be reached" in view.hint.text()
    assert titles(view)
    view.search("")
    assert not view.retry_button.isVisible()


def test_a_repository_that_cannot_be_asked_shows_the_error_in_its_place(view: DiscoverView, qtbot: Any) -> None:
    view.search("somebody/Unknown-GGUF")
    view.search_now()
    assert titles(view) == ["Unknown-GGUF"]
    eventually(qtbot, view.detail._error.isVisible)


def test_words_that_are_no_reference_are_refused_in_words(view: DiscoverView) -> None:
    view.search("a/b/c/d e")
    view.search_now()
    assert "does not name a model" in view.hint.text()


# --- with a Hub ----------------------------------------------------------------------------------
REPO = "tester/Tiny-GGUF"
OTHER = "tester/Other-tiny-GGUF"


@pytest.fixture
def hub_view(tmp_path: Path, theme: ThemeState, monkeypatch: pytest.MonkeyPatch, qtbot: Any) -> Iterator[DiscoverView]:
    data = write_tiny_gguf(tmp_path / "source.gguf").read_bytes()
    fixture = RepoFixture({"tiny-Q4_0.gguf": data, "tiny-Q8_0.gguf": data + bytes(1000)}, downloads=77, license="mit")
    with HubServer({REPO: fixture, OTHER: fixture}) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.endpoint)
        catalog = write_catalog(tmp_path / "catalog.json", {"qwen3-8b": REPO})
        with open_services(tmp_path / "data", catalog=catalog) as services:
            bridge = Bridge(services.events)
            show_computer(services)
            library = InstalledModels(services, bridge)
            view = DiscoverView(services, theme, bridge, library)
            library.setParent(view)
            view.resize(1072, 680)
            view.show()
            yield view
            bridge.close()
            finish_background_work()
            view.close()
            view.deleteLater()


def test_the_hubs_own_variants_replace_the_catalogs(hub_view: DiscoverView, qtbot: Any) -> None:
    hub_view.search("qwen3 8b")
    eventually(qtbot, lambda: hub_view.detail.table.note == HUB_NOTE)
    lines = [line.row for line in hub_view.detail.table.lines]
    assert [(row.label, row.size_is_exact) for row in lines if row is not None] == [("Q8_0", True), ("Q4_0", True)]
    before = [line.row.fit.kv_bytes for line in hub_view.detail.table.lines if line.row and line.row.fit]
    hub_view.detail.context.kv_box.setCurrentIndex(1)
    after = [line.row.fit.kv_bytes for line in hub_view.detail.table.lines if line.row and line.row.fit]
    assert all(b < a for a, b in zip(before, after, strict=True))


def test_a_search_adds_what_only_the_hub_knows(hub_view: DiscoverView, qtbot: Any) -> None:
    hub_view.search("tiny")
    hub_view.search_now()
    eventually(qtbot, lambda: "Other-tiny-GGUF" in titles(hub_view))
    assert "on the Hub" in hub_view.hint.text()
    hub_view.filters.fits_chip.setChecked(False)
    assert "Other-tiny-GGUF" in titles(hub_view)


def test_downloads_and_dates_are_offered_where_the_hub_told_them(hub_view: DiscoverView, qtbot: Any) -> None:
    assert hub_view.filters.sort_box.findText("Newest") < 0
    hub_view.search("tiny")
    hub_view.search_now()
    eventually(qtbot, lambda: "Other-tiny-GGUF" in titles(hub_view))
    hub_view.filters.fits_chip.setChecked(False)
    hub_view.filters.sort_box.setCurrentText("Downloads")
    assert hub_view.list_model.entries[0].model is None
    hub_view.search("qwen")
    assert hub_view.filters.sort_box.findText("Newest") < 0
    assert hub_view.filters.sort_box.currentText() == "Recommended"


def test_filters_for_size_and_licence(view: DiscoverView) -> None:
    view.filters.fits_chip.setChecked(False)
    everything = titles(view)
    view.filters.size_box.setCurrentText("Over 40B")
    assert "Llama 3.3 70B Instruct" in titles(view)
    assert "Qwen3-8B" not in titles(view)
    view.filters.size_box.setCurrentText("Any size")
    view.filters.licence_box.setCurrentText("Free use")
    assert "Qwen3-8B" in titles(view)
    assert not any("Llama" in title or "Gemma 3" in title for title in titles(view))
    free = set(titles(view))
    view.filters.licence_box.setCurrentText("With terms")
    assert free | set(titles(view)) == set(everything)
    assert not free & set(titles(view))


def test_a_pasted_reference_opens_its_repository_and_its_variant(hub_view: DiscoverView, qtbot: Any) -> None:
    hub_view.search(f"{OTHER}:Q8_0")
    eventually(qtbot, lambda: titles(hub_view) == ["Other-tiny-GGUF"])
    eventually(qtbot, lambda: hub_view.detail.table.chosen == "Q8_0")
    assert hub_view.detail._facts.text() == f"{OTHER} · mit · 77 downloads"


def test_the_keyboard_stays_on_the_line_whose_download_begins(table: VariantsTable, qtbot: Any) -> None:
    window = table.window()
    with qtbot.waitActive(window):
        window.activateWindow()
    line = table.lines[0]
    assert line.row is not None
    line.action_button.setFocus()
    assert line.action_button.hasFocus()
    table.show_states({line.row.label: download()}, {})
    assert line.hasFocus()


def test_a_reference_to_a_catalog_model_shows_it_as_such(hub_view: DiscoverView) -> None:
    hub_view.search(REPO)
    hub_view.search_now()
    assert [entry.model is not None for entry in hub_view.list_model.entries] == [True]


def test_a_variant_is_downloaded_and_can_be_chatted_with(hub_view: DiscoverView, qtbot: Any) -> None:
    hub_view.search(OTHER)
    hub_view.search_now()
    eventually(qtbot, lambda: len(hub_view.detail.table.lines) == 2)
    line = hub_view.detail.table.lines[0]
    line.action_button.click()
    eventually(qtbot, lambda: line.action_button.text() == "Chat")
    with qtbot.waitSignal(hub_view.chat_requested) as opened:
        line.action_button.click()
    assert opened.args == [f"{OTHER}:Q8_0"]


def test_an_entry_of_the_catalog_knows_its_variant(services: AppServices) -> None:
    show_computer(services)
    row = services.discovery.rows()[0]
    assert entry_of_row(row, "Q8_0").variant == "Q8_0"
