"""The results of comparisons: live progress, cells, sums, tags, stop and go on, nothing told before the vote."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from PySide6.QtCore import QModelIndex, Qt
from PySide6.QtWidgets import QLabel

from localai_app.compare.comparison import CellKey, Comparison, ComparisonSpec, ComparisonState, Verdict, Vote
from localai_app.compare.contestant import Contestant
from localai_app.compare.prompts import Prompt
from localai_app.compare.result_rows import HIDDEN_WORDS
from localai_app.gui.bridge import Bridge
from localai_app.gui.compare.matrix_view import SHARED_WORDS, MatrixView
from localai_app.gui.compare.matrix_words import doing_words, failure_words, progress_words, state_badge
from localai_app.gui.itemmodels.result_table_model import FIRST_CONTESTANT, Column
from localai_app.gui.theme import ThemeState
from localai_app.services.app_services import AppServices
from localai_app.services.compare.comparison_keeper import ComparisonKeeper
from localai_app.services.compare.running_state import ContestantPhase, RunningState
from tests.gui.models.models_stage import eventually
from tests.helpers.kept_comparisons import SECRETS, person_votes, two_models

Show = Callable[..., Any]


def keep(services: AppServices, comparison: Comparison) -> int:
    """Put a comparison into the store as if it had run."""
    keeper = ComparisonKeeper(services.store.comparisons)
    comparison_id = keeper.add(comparison.spec, comparison.app_version)
    for run in comparison.runs:
        keeper.set_run(comparison_id, run)
    for answer in comparison.answers:
        keeper.add_answer(comparison_id, answer)
    for vote in comparison.votes:
        keeper.set_vote(comparison_id, vote)
    keeper.set_state(comparison_id, comparison.state)
    return comparison_id


@pytest.fixture
def view(show: Show, services: AppServices, theme: ThemeState, bridge: Bridge) -> MatrixView:
    made: MatrixView = show(MatrixView(services, theme, bridge))
    return made


def open_in(view: MatrixView, comparison_id: int, qtbot: Any) -> None:
    view.show_comparison(comparison_id)
    eventually(qtbot, lambda: view.model.rowCount() > 0)


def cells(view: MatrixView) -> list[list[str]]:
    model = view.model
    return [[str(model.index(row, column).data()) for column in range(FIRST_CONTESTANT, model.columnCount())]
            for row in range(model.rowCount())]


def every_word(view: MatrixView) -> str:
    """All that is visible, told on hover or to screen readers."""
    roles = (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.ToolTipRole, Qt.ItemDataRole.AccessibleTextRole)
    told = [str(model.index(row, column).data(role)) for model in (view.model, view.score_model)
            for row in range(model.rowCount()) for column in range(model.columnCount()) for role in roles]
    told += [str(view.model.headerData(column, Qt.Orientation.Horizontal)) for column in range(view.model.columnCount())]
    told += [text for part in view.findChildren(QLabel) for text in (part.text(), part.toolTip(), part.accessibleName())]
    return "\n".join([*told, view.progress.words, view.windowTitle(), view.accessibleName()])


def test_nothing_is_open_at_first(view: MatrixView) -> None:
    assert view.empty.isVisible()
    assert not view.progress.isVisible()


def test_a_finished_comparison_has_its_cells_and_sums(view: MatrixView, services: AppServices, qtbot: Any) -> None:
    open_in(view, keep(services, two_models()), qtbot)
    assert cells(view) == [["wrong · 37.9", "right · 44.2"]]
    assert view.model.index(0, Column.PROMPT).data() == "1. Explain to a neighbour how a heat pump works."
    assert "its last number is 4, not -7" in view.model.index(0, FIRST_CONTESTANT).data(Qt.ItemDataRole.ToolTipRole)
    assert [view.score_model.index(row, 1).data() for row in range(2)] == ["0 of 1", "1 of 1"]
    assert view.score_model.index(1, 4).data() == "44.2"
    assert "1 of 1 right, 100% (21 to 100%)" in view.score_model.index(1, 0).data(Qt.ItemDataRole.ToolTipRole)
    assert "2 of 2 answers" in view.progress.words
    assert "done" in view.progress.words
    assert not view.progress.stop_button.isVisible()
    assert not view.progress.resume_button.isVisible()
    assert view.table.isColumnHidden(Column.TAG)
    assert view.table.isColumnHidden(Column.REPEAT)


def test_speeds_of_a_shared_computer_are_said_to_be_so(view: MatrixView, services: AppServices, qtbot: Any) -> None:
    made = two_models()
    open_in(view, keep(services, made), qtbot)
    assert SHARED_WORDS not in every_word(view)
    shared = tuple(msgspec.structs.replace(answer, is_shared=True) for answer in made.answers)
    view.show_comparison(keep(services, msgspec.structs.replace(made, answers=shared)))
    eventually(qtbot, lambda: SHARED_WORDS in every_word(view))


def test_a_cell_opens_its_answers(view: MatrixView, services: AppServices, qtbot: Any) -> None:
    open_in(view, keep(services, two_models()), qtbot)
    with qtbot.waitSignal(view.cell_chosen) as chosen:
        view.table.clicked.emit(view.model.index(0, FIRST_CONTESTANT + 1))
    assert chosen.args == [0, 0]


def test_tags_choose_what_is_summed_up(view: MatrixView, services: AppServices, qtbot: Any) -> None:
    made = two_models()
    prompts = (*made.spec.prompts, Prompt(text="A second one", tag="coding"))
    made = msgspec.structs.replace(
        made, spec=msgspec.structs.replace(made.spec, prompts=prompts, repeats=2),
        answers=(*made.answers, msgspec.structs.replace(made.answers[0], prompt=1, checks=made.answers[1].checks)))
    open_in(view, keep(services, made), qtbot)
    assert not view.table.isColumnHidden(Column.TAG)
    assert not view.table.isColumnHidden(Column.REPEAT)
    assert view.model.rowCount() == 4
    assert view.score_model.index(0, 1).data() == "1 of 2"
    chips = {chip.text(): chip for chip in view._chips.buttons()}
    assert list(chips) == ["All", "summarizing", "coding"]
    chips["coding"].click()
    assert view.model.rowCount() == 2
    assert view.score_model.index(0, 1).data() == "1 of 1"
    chips["All"].click()
    assert view.model.rowCount() == 4


def test_nothing_is_told_before_the_vote(view: MatrixView, services: AppServices, qtbot: Any) -> None:
    blind_id = keep(services, two_models(is_blind=True, hides_speed=True))
    open_in(view, blind_id, qtbot)
    words = every_word(view)
    assert HIDDEN_WORDS in words
    assert "Answer A" in words
    assert [secret for secret in (*SECRETS, "37.9", "44.2") if secret in words] == []
    assert not view.score_table.isVisible()
    services.compare.comparisons.vote(blind_id, person_votes()[0])
    eventually(qtbot, view.score_table.isVisible)
    assert "Marshland 14B" in every_word(view)
    assert cells(view) == [["wrong · 37.9", "right · 44.2"]]


def test_what_is_gone_is_told(view: MatrixView, services: AppServices, qtbot: Any) -> None:
    comparison_id = keep(services, two_models())
    open_in(view, comparison_id, qtbot)
    services.compare.comparisons.delete(comparison_id)
    eventually(qtbot, lambda: view.empty.isVisible())
    assert view.comparison_id is None


def test_a_run_is_followed_stopped_and_gone_on_with(
    two_models: tuple[str, str], view: MatrixView, services: AppServices, qtbot: Any,
) -> None:
    contestants = tuple(Contestant(model_key=key, name=key.partition("/")[2], label="F32") for key in two_models)
    prompts = tuple(Prompt(text=f"Question {number}?") for number in range(6))
    comparison_id = services.compare.comparisons.start(ComparisonSpec(contestants=contestants, prompts=prompts, max_tokens=24))
    open_in(view, comparison_id, qtbot)
    assert view.progress.stop_button.isVisible()
    eventually(qtbot, lambda: "answers prompt" in view.progress.words)
    eventually(qtbot, lambda: " left" in view.progress.words)
    eventually(qtbot, lambda: any("answered" in cell for row in cells(view) for cell in row))
    view.progress.stop_button.click()
    eventually(qtbot, view.progress.resume_button.isVisible)
    eventually(qtbot, lambda: "stopped" in view.progress.words)
    n_kept = len(services.compare.comparisons.get(comparison_id).answers)
    assert 0 < n_kept < 12
    eventually(qtbot, lambda: f"{n_kept} of 12 answers. What is finished is kept" in view.progress.words)
    view.progress.resume_button.click()
    eventually(qtbot, lambda: "12 of 12 answers" in view.progress.words and "done" in view.progress.words)
    assert not view.progress.resume_button.isVisible()


def running(**changes: Any) -> RunningState:
    fields: dict[str, Any] = {
        "comparison_id": 7, "phases": (ContestantPhase.ANSWERING, ContestantPhase.LOADING), "load_fractions": (0.0, 0.4),
        "current": (CellKey(0, 0, 0), None), "n_done": 1, "n_total": 2, "left_s": 300.0}
    return RunningState(**{**fields, **changes})


def test_words_say_what_runs_now() -> None:
    made = two_models(state=ComparisonState.RUNNING)
    assert progress_words(made, running()) == "1 of 2 answers, about 5 min left"
    assert progress_words(made, running(left_s=None)) == "1 of 2 answers"
    assert doing_words(made, running()) == "Marshland 14B answers prompt 1 of 1 · Harbour 12B is being loaded, 40%"
    assert doing_words(made, running(note="It waits for the chat.")) == "It waits for the chat."
    assert doing_words(made, running(comparison_id=8)) == ""
    assert state_badge(made, is_running=True)[0] == "running"
    assert state_badge(made, is_running=False)[0] == "cut off"


def test_words_of_a_blind_run_name_nobody() -> None:
    made = two_models(state=ComparisonState.RUNNING, is_blind=True)
    runs = tuple(msgspec.structs.replace(run, error="Harbour 12B could not be loaded.") for run in made.runs)
    made = msgspec.structs.replace(made, runs=runs)
    words = doing_words(made, running(note="Marshland 14B waits.")) + doing_words(made, running()) + failure_words(made)
    assert [secret for secret in SECRETS if secret in words] == []
    assert "A contestant answers prompt 1 of 1" in words


def test_a_row_is_chosen_past_an_empty_place(view: MatrixView, qtbot: Any) -> None:
    with qtbot.assertNotEmitted(view.cell_chosen):
        view.table.clicked.emit(QModelIndex())


def test_votes_are_the_persons_own() -> None:
    judged = two_models(is_blind=True, votes=(Vote(prompt=0, repeat=0, verdict=Verdict.TIE, judge="a/judge:Q4"),))
    assert "Marshland 14B" not in doing_words(judged, running())
