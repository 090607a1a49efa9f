"""Puts together what each column says: from the lineup, the comparison, what runs, and what may be told."""

from __future__ import annotations

from localai_app.compare.blind import alias
from localai_app.compare.checks import CheckResult
from localai_app.compare.comparison import AnswerRecord, Verdict, Way
from localai_app.compare.names import settings_words
from localai_app.gui.compare.answer_column import ColumnFacts
from localai_app.gui.compare.column_words import (
    RUNNING_STATES,
    CellState,
    Figures,
    answer_figures,
    live_figures,
    pill,
    veiled_pill,
)
from localai_app.gui.compare.compare_session import CompareSession
from localai_app.gui.compare.lineup import LineupEntry
from localai_app.services.compare.running_state import ContestantPhase
from localai_app.services.views import DownloadView

ENDED = (CellState.DONE, CellState.FAILED, CellState.STOPPED)
HELD_BACK = "Answers appear here at once when all are ready."
NO_REASON = "The reason is told after the vote."


def cell_state(session: CompareSession, place: int | None) -> CellState:
    """What a contestant is doing for the answer on screen."""
    comparison = session.comparison
    if place is None or comparison is None:
        return CellState.EMPTY
    answer = comparison.answer(session.key(place))
    if answer is not None:
        return CellState.FAILED if answer.error else CellState.DONE
    if session.is_running:
        return _running_state(session, place)
    run = comparison.run_of(place)
    if run is not None and run.error:
        return CellState.FAILED
    return CellState.STOPPED if session.live(place) is not None else CellState.EMPTY


def _running_state(session: CompareSession, place: int) -> CellState:
    state = session.state
    phase = state.phases[place] if place < len(state.phases) else ContestantPhase.WAITING
    if phase is ContestantPhase.LOADING:
        return CellState.WARMING_UP if state.load_fractions[place] >= 1.0 else CellState.LOADING
    if phase is ContestantPhase.FAILED:
        return CellState.FAILED
    if phase is ContestantPhase.ANSWERING and state.current[place] == session.key(place):
        return CellState.WRITING if session.live(place) is not None else CellState.READING
    return CellState.WAITING


def is_held_back(session: CompareSession) -> bool:
    """Whether texts and figures wait for the last answer: in a blind comparison whose speed is hidden."""
    names, comparison = session.names, session.comparison
    if names is None or comparison is None or not session.is_running or names.shows_numbers(session.prompt, session.repeat):
        return False
    return any(
        cell_state(session, place) not in ENDED for place in range(len(comparison.spec.contestants)))


def unique_name(session: CompareSession, index: int) -> str:
    """Of a column from left to right, told apart from the others, or what hides it; empty where no model is chosen yet."""
    entry = session.lineup.entries[session.order()[index]]
    if entry.draft.contestant is None:
        return ""
    if entry.place is not None and session.names is not None:
        return session.names.name(entry.place, session.prompt, session.repeat)
    return entry.draft.contestant.name


def column_facts(session: CompareSession, index: int, downloads: tuple[DownloadView, ...] = (), note: str = "") -> ColumnFacts:
    """Of the column at `index` from left to right. `note`: what to say of a model that was not asked yet."""
    order = session.order()
    entry = session.lineup.entries[order[index]]
    if entry.place is not None and session.is_veiled:
        return _veiled_facts(session, entry.place, index)
    contestant, place = entry.draft.contestant, entry.place
    can_edit = not session.is_running
    is_first, is_last = index == 0, index == len(order) - 1
    if contestant is None:
        return ColumnFacts(
            "", note="Choose a model to compare.", can_edit=can_edit, can_remove=session.lineup.can_remove, is_first=is_first,
            is_last=is_last)
    state = cell_state(session, place)
    answer = _answer(session, place)
    if state is CellState.EMPTY and place is not None:
        note = "Not asked yet. Go on to get the answers that are missing."
    return ColumnFacts(
        contestant.name, _caption(entry), _pill_of(session, entry, state, downloads), figures_of(session, place),
        note=note if state is CellState.EMPTY else "", error=_reason(session, place) if state is CellState.FAILED else "",
        can_edit=can_edit, can_rerun=can_edit and place is not None, can_remove=True, can_add=not session.lineup.is_full,
        is_winner=_is_winner(session, place), checks=_checks(answer), is_first=is_first, is_last=is_last)


def _veiled_facts(session: CompareSession, place: int, index: int) -> ColumnFacts:
    """Before the vote: nothing that would tell who it is."""
    names = session.names
    assert names is not None
    state, held = cell_state(session, place), is_held_back(session)
    words = veiled_pill(state, hides_speed=not names.shows_numbers(session.prompt, session.repeat), all_ended=not held)
    error = NO_REASON if state is CellState.FAILED and not held else ""
    figures = figures_of(session, place) if names.shows_numbers(session.prompt, session.repeat) else Figures()
    return ColumnFacts(
        alias(index), pill=words, figures=figures, note=HELD_BACK if held else "", error=error, can_edit=False,
        can_rerun=not session.is_running, checks=() if held else _checks(_answer(session, place)))


def figures_of(session: CompareSession, place: int | None) -> Figures:
    """The footer of a column, with what may be told."""
    comparison, names = session.comparison, session.names
    if comparison is None or names is None or place is None:
        return Figures()
    shows_load = names.shows_load(session.prompt, session.repeat)
    run, answer = comparison.run_of(place), _answer(session, place)
    live = session.live(place)
    if answer is None and live is not None:
        schedule = session.state.schedule if session.is_running else comparison.schedule
        is_shared = schedule is not None and schedule.way is Way.SIDE_BY_SIDE
        return live_figures(live.stats, run, is_shared=is_shared, shows_load=shows_load)
    return answer_figures(answer if answer is None or not answer.error else None, run, shows_load=shows_load)


def _answer(session: CompareSession, place: int | None) -> AnswerRecord | None:
    if session.comparison is None or place is None:
        return None
    return session.comparison.answer(session.key(place))


def _pill_of(
    session: CompareSession, entry: LineupEntry, state: CellState, downloads: tuple[DownloadView, ...],
) -> tuple[str, str]:
    if entry.draft.download is not None:
        view = next((view for view in downloads if (view.repo_id, view.label) == entry.draft.download), None)
        if view is not None and view.error is not None:
            return "download failed", "bad"
        share = view.done_bytes / view.total_bytes if view is not None and view.total_bytes else 0.0
        return pill(CellState.DOWNLOADING, share)
    if state in RUNNING_STATES and entry.place is not None:
        return pill(state, session.state.load_fractions[entry.place])
    if state is CellState.DONE and _is_winner(session, entry.place):
        return "best", "good"
    return pill(state)


def _is_winner(session: CompareSession, place: int | None) -> bool:
    vote = session.vote
    return vote is not None and vote.verdict is Verdict.BEST and place is not None and vote.winner == place


def _reason(session: CompareSession, place: int | None) -> str:
    answer = _answer(session, place)
    if answer is not None and answer.error:
        return answer.error
    run = session.comparison.run_of(place) if session.comparison is not None and place is not None else None
    return run.error if run is not None and run.error else "It could not be loaded."


def _caption(entry: LineupEntry) -> str:
    contestant = entry.draft.contestant
    assert contestant is not None
    return " · ".join(filter(None, (contestant.label, settings_words(contestant.settings))))


def _checks(answer: AnswerRecord | None) -> tuple[CheckResult, ...]:
    return answer.checks if answer is not None else ()
