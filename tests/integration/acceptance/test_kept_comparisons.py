"""Acceptance 46: a blind comparison tells no contestant before the vote; 48: exports hold all, and reopening shows the same."""

from __future__ import annotations

import hashlib
import html
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import msgspec
import pytest
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QAbstractButton, QWidget
from pytestqt.qtbot import QtBot

from localai_app.compare.blind import BlindNames
from localai_app.compare.comparison import Comparison, ComparisonSpec, Verdict, Vote
from localai_app.compare.contestant import Contestant
from localai_app.compare.export_json import read_json
from localai_app.compare.prompts import Prompt
from localai_app.engine.launch import worker_command
from localai_app.gui.compare.history_view import HistoryView
from localai_app.gui.compare.parts import ANSWERS, HISTORY, LEADERBOARD, RESULTS
from localai_app.gui.pages.compare_page import ComparePage
from localai_app.services.compare.exporting import ExportFormat, export_text
from localai_app.units import format_file_size
from tests.helpers.gguf_files import write_tiny_gguf
from tests.helpers.leak_search import leaks, texts_of_windows
from tests.helpers.real_window import RealWindow, open_window, text_of, wait_for

REPOS = {"fenland/Marshland-7B-GGUF": "marshland-7b-Q4_K_M.gguf", "quayside/Harbour-9B-GGUF": "harbour-9b-IQ3_XS.gguf"}
EXTRA_BYTES = (4_321_000, 7_654_000)
PROMPT = "Explain to a neighbour how a heat pump works."
LISTS_OF_ALL_MODELS = frozenset({"Model that judges"})
"""They name whatever is installed, whether it was compared or not."""
Said = list[tuple[str, str]]


@pytest.fixture
def window(tmp_path: Path, offline: None) -> Iterator[RealWindow]:
    """Two installed models of different files, and answers of about a second."""
    install(tmp_path)
    with opened(tmp_path) as one:
        yield one


def install(data_dir: Path) -> None:
    for extra, (repo, name) in zip(EXTRA_BYTES, REPOS.items(), strict=True):
        path = data_dir / "models" / repo / name
        path.parent.mkdir(parents=True)
        write_tiny_gguf(path)
        with path.open("ab") as file:
            file.truncate(path.stat().st_size + extra)


def opened(data_dir: Path) -> AbstractContextManager[RealWindow]:
    worker = worker_command("echo", ("--tokens", "40", "--tokens-per-s", "60", "--load-s", "0.3"))
    return open_window(data_dir, worker=worker, is_started=False)


def compare_page(window: RealWindow) -> ComparePage:
    page = window.window.show_page("compare")
    assert isinstance(page, ComparePage)
    for model in window.services.library.models():
        page.add_model(model.key)
    page.answers.prompt.edit.setPlainText(PROMPT)
    window.settle()
    return page


def secrets_of(comparison: Comparison) -> set[str]:
    """Names, keys, files, labels, hashes and sizes of the contestants."""
    found = {"marshland", "harbour", "fenland", "quayside", "Q4_K_M", "IQ3_XS", *REPOS.values()}
    for contestant in comparison.spec.contestants:
        found |= {contestant.model_key, contestant.name}
    for run in comparison.runs:
        found |= {*run.sha256, *(digest[:12] for digest in run.sha256), str(run.size_bytes), format_file_size(run.size_bytes)}
        found |= {run.description} if run.description else set()
    assert all(len(secret) > 3 for secret in found)
    return found


def copied(window: RealWindow, page: ComparePage, qtbot: QtBot) -> Said:
    """What every visible copy button, every column's menu and the export put on the clipboard."""
    clipboard, said = QGuiApplication.clipboard(), []
    acts: list[tuple[str, Callable[[], object]]] = [
        (widget.text() or widget.accessibleName(), widget.click)
        for widget in window.visible(QAbstractButton)
        if isinstance(widget, QAbstractButton) and "copy" in (widget.text() + widget.accessibleName()).casefold()]
    for column in page.answers.columns.columns:
        acts.append(("column", column.copy_answer))
        menu = column.build_menu()
        said += [("column's menu", f"{action.text()} {action.toolTip()}") for action in menu.actions()]
        menu.deleteLater()
    for name, act in acts:
        clipboard.setText("")
        act()
        window.settle()
        said.append((f"clipboard after {name}", clipboard.text()))
    button = page.export_button
    with qtbot.waitSignal(button.exported):  # type: ignore[attr-defined]
        button.copy_markdown()  # type: ignore[attr-defined]
    said.append(("clipboard after export", clipboard.text()))
    return said


def choose_first(page: ComparePage, qtbot: QtBot) -> HistoryView:
    history = page.view(HISTORY)
    assert isinstance(history, HistoryView)
    wait_for(qtbot, lambda: history.model.rowCount() == 1)
    history.list.setCurrentIndex(history.model.index(0))
    return history


def exported(comparison: Comparison) -> Said:
    return [(f"export as {form}", export_text(comparison, form).replace("\\", "")) for form in ExportFormat]


def everything(window: RealWindow, page: ComparePage, qtbot: QtBot) -> Said:
    """All that the window says on every tab that is about this comparison, copies, the command box and the exports."""
    said = list(texts_of_windows(window.app)) + copied(window, page, qtbot)
    page.answers.bar.differences.setChecked(True)
    window.settle()
    said += texts_of_windows(window.app)
    page.answers.bar.differences.setChecked(False)
    window.window.open_command_box()
    window.settle()
    said += texts_of_windows(window.app)
    for dialog in window.dialogs():
        dialog.close()
    for tab in (RESULTS, LEADERBOARD, HISTORY):
        page.show_tab(tab)
        if tab == HISTORY:
            choose_first(page, qtbot)
        qtbot.wait(500)
        said += [(f"{tab}: {place}", text) for place, text in texts_of_windows(window.app, without=LISTS_OF_ALL_MODELS)]
    page.show_tab(ANSWERS)
    window.settle()
    comparison_id = page.answers.session.shown_id
    assert comparison_id is not None
    return said + exported(window.services.compare.comparisons.get(comparison_id))


def test_a_blind_comparison_tells_no_contestant_before_the_vote(window: RealWindow, qtbot: QtBot) -> None:
    page = compare_page(window)
    comparisons, session = window.services.compare.comparisons, page.answers.session
    session.keeper.set(msgspec.structs.replace(session.draft, hides_speed=True), session.lineup.drafts)
    page.answers.set_blind(True)
    page.answers.run()
    wait_for(qtbot, lambda: session.comparison is not None)
    running: Said = []
    while comparisons.state.is_running:
        qtbot.wait(60)
        running += texts_of_windows(window.app)
    wait_for(qtbot, lambda: session.comparison is not None and len(session.comparison.answers) == 2)
    assert session.shown_id is not None
    kept = comparisons.get(session.shown_id)
    secrets = secrets_of(kept)
    before = everything(window, page, qtbot)
    assert "\n".join(leaks(running, secrets)) == ""
    assert "\n".join(leaks(before, secrets)) == ""
    assert comparisons.rows("marshland") == ()
    session.start_anew()
    page.open_comparison(kept.id)
    wait_for(qtbot, lambda: session.comparison == kept)
    window.settle()
    assert "\n".join(leaks(texts_of_windows(window.app), secrets)) == ""
    speeds = {str(answer.tps) for answer in kept.answers}
    assert leaks(before, speeds) == []
    comparisons.vote(session.shown_id, Vote(prompt=0, repeat=0, verdict=Verdict.BEST, winner=0, is_blind=True))
    wait_for(qtbot, lambda: not session.is_veiled)
    window.settle()
    after = everything(window, page, qtbot)
    places = {place.partition(" ")[0] for place, _text in after if leaks([(place, _text)], secrets)}
    # The same search finds them now, in each kind of place: it would have found them before.
    for kind in ("clipboard", "export", "History:", "Results:", "Leaderboard:"):
        assert kind in places, f"{kind} not among {places}"
    for secret in secrets - set(REPOS.values()):
        assert leaks(after, {secret}), f"{secret} is told nowhere, so nothing was searched for"
    assert leaks(after, speeds)


def test_where_there_is_nothing_to_vote_on_a_blind_comparison_says_why(window: RealWindow, qtbot: QtBot) -> None:
    comparisons = window.services.compare.comparisons
    contestants = tuple(
        Contestant(model_key=model.key, name=model.name, label=model.label) for model in window.services.library.models())
    number = comparisons.start(ComparisonSpec(
        contestants=contestants, prompts=(Prompt(text=PROMPT),), is_blind=True, memory_limit_bytes=1_000_000))
    assert comparisons.wait(30)
    page = window.window.show_page("compare")
    assert isinstance(page, ComparePage)
    page.open_comparison(number)
    wait_for(qtbot, lambda: page.answers.session.comparison == comparisons.get(number))
    wait_for(qtbot, lambda: "the memory limit of comparisons is" in window.texts())
    assert not page.answers.session.is_veiled


def test_exports_hold_all_of_a_comparison_and_reopening_it_shows_the_same(
    tmp_path: Path, offline: None, qtbot: QtBot,
) -> None:
    install(tmp_path)
    with opened(tmp_path) as window:
        page = compare_page(window)
        page.answers.run()
        session, comparisons = page.answers.session, window.services.compare.comparisons
        wait_for(qtbot, lambda: session.comparison is not None)
        assert comparisons.wait(30)
        wait_for(qtbot, lambda: session.comparison is not None and len(session.comparison.answers) == 2)
        assert session.shown_id is not None
        comparisons.vote(session.shown_id, Vote(prompt=0, repeat=0, verdict=Verdict.BEST, winner=1))
        kept = comparisons.get(session.shown_id)
        wait_for(qtbot, lambda: session.comparison == kept)
        qtbot.wait(300)
        shown = columns(page)
        whole = export_text(kept, ExportFormat.JSON)
        texts = dict(exported(kept))
    for run in kept.runs:
        repo = kept.spec.contestants[run.contestant].model_key.partition(":")[0]
        assert run.sha256 == (hashlib.sha256((tmp_path / "models" / repo / REPOS[repo]).read_bytes()).hexdigest(),)
    assert read_json(whole) == kept
    for answer in kept.answers:
        figures = {f"{answer.tps:,.1f} tok/s", f"{answer.prompt_tps:,.1f} tok/s", str(answer.seed)}
        assert [figure for figure in figures if figure not in texts["export as markdown"]] == []
        assert str(answer.tps) in texts["export as csv"]
    for text in texts.values():
        needed = {PROMPT, *kept.runs[0].sha256, *kept.runs[1].sha256, kept.runs[0].engine_build, kept.hardware["cpu"]["model"]}
        assert [one for one in needed if one not in html.unescape(text)] == []
    with opened(tmp_path) as window:
        page = window.window.show_page("compare")
        assert isinstance(page, ComparePage)
        page.show_tab(HISTORY)
        choose_first(page, qtbot).open_button.click()
        wait_for(qtbot, lambda: page.answers.session.comparison == kept)
        qtbot.wait(300)
        assert page.current_tab == ANSWERS
        assert columns(page) == shown
        assert page.answers.prompt.prompt == PROMPT


def columns(page: ComparePage) -> list[list[str]]:
    """What each column says, from top to bottom, as far as it is seen."""
    return [
        [text for widget in column.findChildren(QWidget) if widget.isVisible() and (text := text_of(widget))]
        for column in page.answers.columns.columns]


def test_the_columns_of_a_blind_comparison_are_shuffled() -> None:
    from tests.helpers.kept_comparisons import two_models

    orders = {BlindNames(two_models(is_blind=True, comparison_id=number)).shown_order(0, 0) for number in range(12)}
    assert orders == {(0, 1), (1, 0)}
