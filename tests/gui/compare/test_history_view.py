"""The history of comparisons: searched, opened, exported, imported, deleted and brought back; a blind one without names."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import msgspec
from PySide6.QtCore import QModelIndex, Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QWidget
from pytestqt.modeltest import ModelTester
from pytestqt.qtbot import QtBot

from localai_app.compare.comparison import ComparisonState
from localai_app.gui.bridge import Bridge
from localai_app.gui.compare.history_view import HistoryView
from localai_app.gui.compare.parts import HISTORY
from localai_app.gui.itemmodels.comparison_list_model import ENTRY_ROLE, ComparisonListModel
from localai_app.gui.pages.compare_page import ComparePage
from localai_app.gui.theme import ThemeState
from localai_app.services.app_services import AppServices
from localai_app.services.compare.exporting import ExportFormat, read_export, write_export
from localai_app.store.comparisons import ComparisonRow
from tests.helpers.kept_comparisons import SECRETS, Texts, person_votes, two_models

Show = Callable[[QWidget], QWidget]


def view_of(services: AppServices, theme: ThemeState, bridge: Bridge, show: Show) -> HistoryView:
    view = show(HistoryView(services, theme, bridge))
    assert isinstance(view, HistoryView)
    return view


def titles(view: HistoryView) -> list[str]:
    return [view.model.index(row).data() for row in range(view.model.rowCount())]


def three(services: AppServices) -> None:
    keep = services.compare.comparisons.restore
    keep(two_models(votes=person_votes()))
    keep(two_models(Texts(prompt="A blind question"), is_blind=True))
    keep(msgspec.structs.replace(two_models(Texts(prompt="Cut off")), state=ComparisonState.CANCELLED, answers=()))


def test_comparisons_are_listed_with_what_they_were_and_found_by_words(
    qtbot: QtBot, services: AppServices, theme: ThemeState, bridge: Bridge, show: Show,
) -> None:
    three(services)
    view = view_of(services, theme, bridge, show)
    qtbot.waitUntil(lambda: view.model.rowCount() == 3)
    spoken = [view.model.index(row).data(Qt.ItemDataRole.AccessibleTextRole) for row in range(3)]
    assert "cancelled, 0 of 2 answers" in spoken[0]
    assert "blind, 2 contestants · in turn" in spoken[1]
    assert "Marshland 14B, Harbour 12B · in turn" in spoken[2]
    assert spoken[2].endswith("done, 2 answers · 1 vote")
    view.search.setText("harbour")
    qtbot.waitUntil(lambda: titles(view) == ["Cut off", "Explain to a neighbour how a heat pump works."])
    view.search.setText("blind QUESTION")
    qtbot.waitUntil(lambda: titles(view) == ["A blind question"])
    view.search.setText("refrigerant nowhere")
    qtbot.waitUntil(lambda: view.empty.isVisible())
    assert not view.open_button.isEnabled()


def test_a_blind_comparison_is_found_and_listed_by_its_names_after_the_vote_only(
    qtbot: QtBot, services: AppServices, theme: ThemeState, bridge: Bridge, show: Show,
) -> None:
    number = services.compare.comparisons.restore(two_models(is_blind=True))
    view = view_of(services, theme, bridge, show)
    qtbot.waitUntil(lambda: view.model.rowCount() == 1)

    def everything() -> str:
        index = view.model.index(0)
        return " ".join(str(index.data(role)) for role in range(ENTRY_ROLE + 8))

    assert [secret for secret in SECRETS if secret.casefold() in everything().casefold()] == []
    assert services.compare.comparisons.rows("marshland") == ()
    services.compare.comparisons.vote(number, person_votes()[0])
    qtbot.waitUntil(lambda: "Marshland 14B, Harbour 12B" in everything())
    assert len(services.compare.comparisons.rows("marshland")) == 1
    services.compare.comparisons.remove_vote(number, 0, 0)
    assert services.compare.comparisons.rows("marshland") == ()


def test_what_is_deleted_can_be_brought_back_with_all_that_belongs_to_it(
    qtbot: QtBot, services: AppServices, theme: ThemeState, bridge: Bridge, show: Show,
) -> None:
    three(services)
    before = services.compare.comparisons.get(1)
    view = view_of(services, theme, bridge, show)
    qtbot.waitUntil(lambda: view.model.rowCount() == 3)
    view.list.setCurrentIndex(view.model.index_of(1))
    qtbot.keyClick(view.list, Qt.Key.Key_Delete)
    assert services.compare.comparisons.get(1) == before
    view.delete_button.click()
    qtbot.waitUntil(lambda: view.undo_bar.isVisible() and view.model.rowCount() == 2)
    assert len(services.compare.comparisons.rows()) == 2
    qtbot.mouseClick(view.undo_bar.button, Qt.MouseButton.LeftButton)
    qtbot.waitUntil(lambda: view.model.rowCount() == 3)
    assert services.compare.comparisons.get(1) == before
    assert view.list.currentIndex().data(ENTRY_ROLE).id == 1


def test_opening_tells_which_comparison_and_only_what_is_unfinished_can_go_on(
    qtbot: QtBot, services: AppServices, theme: ThemeState, bridge: Bridge, show: Show,
) -> None:
    three(services)
    view = view_of(services, theme, bridge, show)
    qtbot.waitUntil(lambda: view.model.rowCount() == 3)
    assert not view.open_button.isEnabled()
    assert not view.export_button.isEnabled()
    can_go_on = []
    for number in (1, 2, 3):
        view.list.setCurrentIndex(view.model.index_of(number))
        can_go_on.append(view.resume_button.isEnabled())
        with qtbot.waitSignal(view.comparison_chosen, check_params_cb=lambda chosen, number=number: chosen == number):
            view.open_button.click()
    assert can_go_on == [False, False, True]
    # Its models are not installed here: why it cannot go on is said, and nothing else changes.
    view.resume_button.click()
    qtbot.waitUntil(lambda: view.banner.isVisible() or not services.compare.comparisons.state.is_running)
    assert services.compare.comparisons.wait(20)


def test_a_comparison_is_exported_imported_and_copied(
    qtbot: QtBot, services: AppServices, theme: ThemeState, bridge: Bridge, show: Show, tmp_path: Path,
) -> None:
    three(services)
    view = view_of(services, theme, bridge, show)
    qtbot.waitUntil(lambda: view.model.rowCount() == 3)
    view.list.setCurrentIndex(view.model.index_of(1))
    with qtbot.waitSignal(view.export_button.exported):
        view.export_button.export_to(ExportFormat.JSON, tmp_path / "a.json")
    assert read_export(tmp_path / "a.json") == services.compare.comparisons.get(1)
    view.import_from(tmp_path / "a.json")
    qtbot.waitUntil(lambda: view.model.rowCount() == 4)
    kept = services.compare.comparisons.get(4)
    assert msgspec.structs.replace(kept, id=1) == services.compare.comparisons.get(1)
    qtbot.waitUntil(lambda: view.list.currentIndex().data(ENTRY_ROLE).id == 4)
    with qtbot.waitSignal(view.export_button.exported):
        view.export_button.copy_markdown()
    assert QGuiApplication.clipboard().text().startswith("# Explain to a neighbour")
    menu = view.export_button.build_menu()
    assert [action.text().partition("\t")[0] for action in menu.actions() if action.text()] == [
        "Markdown…", "HTML…", "CSV…", "JSON…", "Copy as Markdown"]
    menu.deleteLater()
    write_export(two_models(is_blind=True), ExportFormat.JSON, tmp_path / "blind.json")
    view.import_from(tmp_path / "blind.json")
    qtbot.waitUntil(lambda: view.banner.isVisible())


def test_the_model_is_a_good_item_model(qtmodeltester: ModelTester) -> None:
    model = ComparisonListModel()
    model.show_rows([ComparisonRow(1, 1.0, "done", "one", "{}", 0, 0), ComparisonRow(2, 1.0, "running", "", "{", 0, 0)], None)
    qtmodeltester.check(model)
    assert model.index(1).data(ENTRY_ROLE).contestants == "cannot be read"
    model.show_rows([], None)
    assert model.rowCount() == 0


def test_thousands_of_comparisons_open_at_once(
    qtbot: QtBot, services: AppServices, theme: ThemeState, bridge: Bridge, show: Show,
) -> None:
    json = msgspec.json.encode({"spec": two_models().spec}).decode()
    with services.store.comparisons._connection.transaction():
        for number in range(3_000):
            services.store.comparisons.add(f"Prompt {number}", "done", json, searched=f"Prompt {number}")
    view = HistoryView(services, theme, bridge)
    begun_s = time.perf_counter()
    show(view)
    qtbot.waitUntil(lambda: view.model.rowCount() == 3_000)
    view.list.scrollToBottom()
    view.grab()
    assert time.perf_counter() - begun_s < 5.0
    drawn = view.list.indexAt(view.list.viewport().rect().center())
    assert drawn != QModelIndex()
    assert drawn.data(ENTRY_ROLE).title.startswith("Prompt ")


def test_the_page_lets_go_of_a_comparison_that_is_deleted_in_the_history(
    qtbot: QtBot, services: AppServices, theme: ThemeState, bridge: Bridge, show: Show,
) -> None:
    three(services)
    page = show(ComparePage(services, theme, bridge))
    assert isinstance(page, ComparePage)
    page.open_comparison(1)
    qtbot.waitUntil(lambda: page.answers.session.comparison is not None)
    page.show_tab(HISTORY)
    view = page.view(HISTORY)
    assert isinstance(view, HistoryView)
    qtbot.waitUntil(lambda: view.model.rowCount() == 3)
    view.list.setCurrentIndex(view.model.index_of(1))
    view.delete_button.click()
    qtbot.waitUntil(lambda: page.answers.session.shown_id is None)
    assert page.answers.error.isHidden()
    assert not page.export_button.isEnabled()
