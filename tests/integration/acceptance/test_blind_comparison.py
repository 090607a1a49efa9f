"""Acceptance 46: a blind comparison tells no contestant before the vote, anywhere; and 48: exports hold all, reopening shows all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QAbstractButton
from pytestqt.qtbot import QtBot

from localai_app.compare.blind import BlindNames
from localai_app.compare.comparison import Comparison, Verdict, Vote
from localai_app.engine.launch import worker_command
from localai_app.gui.compare.history_view import HistoryView
from localai_app.gui.compare.parts import ANSWERS, EXPORT, HISTORY, LEADERBOARD, RESULTS
from localai_app.gui.pages.compare_page import ComparePage
from localai_app.services.compare.exporting import ExportFormat, export_text
from localai_app.units import format_file_size, format_gib
from tests.helpers.gguf_files import write_tiny_gguf
from tests.helpers.leak_search import leaks, texts_of_windows
from tests.helpers.real_window import RealWindow, open_window, wait_for

REPOS = {"fenland/Marshland-7B-GGUF": "marshland-7b-Q4_K_M.gguf", "quayside/Harbour-9B-GGUF": "harbour-9b-IQ3_XS.gguf"}
EXTRA_BYTES = (4_321_000, 7_654_000)
PROMPT = "Explain to a neighbour how a heat pump works."
Said = list[tuple[str, str]]


@pytest.fixture
def window(tmp_path: Path, offline: None) -> Iterator[RealWindow]:
    """Two installed models of different files, and answers of about a second."""
    for extra, (repo, name) in zip(EXTRA_BYTES, REPOS.items(), strict=True):
        path = tmp_path / "models" / repo / name
        path.parent.mkdir(parents=True)
        write_tiny_gguf(path)
        with path.open("ab") as file:
            file.truncate(path.stat().st_size + extra)
    worker = worker_command("echo", ("--tokens", "40", "--tokens-per-s", "60", "--load-s", "0.3"))
    with open_window(tmp_path, worker=worker, is_started=False) as opened:
        yield opened


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
    button = page.view(EXPORT)
    with qtbot.waitSignal(button.exported):  # type: ignore[attr-defined]
        button.copy_markdown()  # type: ignore[attr-defined]
    said.append(("clipboard after export", clipboard.text()))
    return said


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
            history = page.view(HISTORY)
            assert isinstance(history, HistoryView)
            wait_for(qtbot, lambda: history.model.rowCount() == 1)
            history.list.setCurrentIndex(history.model.index(0))
        qtbot.wait(500)
        said += [(f"{tab}: {place}", text) for place, text in texts_of_windows(window.app)]
    page.show_tab(ANSWERS)
    window.settle()
    comparison_id = page.answers.session.shown_id
    assert comparison_id is not None
    return said + exported(window.services.compare.comparisons.get(comparison_id))


@pytest.mark.parametrize("hides_speed", [False, True])
def test_a_blind_comparison_tells_no_contestant_before_the_vote(
    window: RealWindow, qtbot: QtBot, hides_speed: bool,
) -> None:
    page = compare_page(window)
    comparisons, session = window.services.compare.comparisons, page.answers.session
    session.keeper.set(msgspec.structs.replace(session.draft, hides_speed=hides_speed), session.lineup.drafts)
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
    speeds = {str(answer.tps) for answer in kept.answers}
    assert bool(leaks(before, speeds)) is not hides_speed
    comparisons.vote(session.shown_id, Vote(prompt=0, repeat=0, verdict=Verdict.BEST, winner=0, is_blind=True))
    wait_for(qtbot, lambda: not session.is_veiled)
    window.settle()
    after = everything(window, page, qtbot)
    places = {place.partition(" ")[0] for place, _text in after if leaks([(place, _text)], secrets)}
    # The same search finds them now, in each kind of place: it would have found them before.
    for kind in ("clipboard", "export", "History:", "Results:", "Leaderboard:"):
        assert kind in places, f"{kind} not among {places}"
    for secret in secrets - {kept.runs[0].sha256[0][:12], kept.runs[1].sha256[0][:12]}:
        assert leaks(after, {secret}), f"{secret} is told nowhere, so nothing was searched for"
    assert leaks(after, speeds)


def test_the_columns_of_a_blind_comparison_are_shuffled() -> None:
    from tests.helpers.kept_comparisons import two_models

    orders = {BlindNames(two_models(is_blind=True, comparison_id=number)).shown_order(0, 0) for number in range(12)}
    assert orders == {(0, 1), (1, 0)}
