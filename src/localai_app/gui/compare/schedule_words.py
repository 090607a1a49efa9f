"""The line in the header: how many contestants, how they run and why, and how far they are."""

from __future__ import annotations

from localai_app.compare.comparison import ComparisonState, Schedule
from localai_app.gui.compare.compare_session import CompareSession
from localai_app.units import format_count, format_wait


def schedule_words(session: CompareSession, planned: Schedule | None, *, waits: bool = False) -> str:
    """3 contestants · in turn: together they would take 20 GiB, and 12 GiB can be used · 7 of 40 answers · 3 min left.

    `planned`: what the next run will do; `waits`: it begins when downloads have ended.
    """
    n_contestants = len(session.lineup.entries)
    parts = [f"{n_contestants} contestants"]
    if waits:
        return " · ".join([*parts, "begins when the downloads have ended"])
    state, comparison, names = session.state, session.comparison, session.names
    if session.is_running:
        if state.n_total > n_contestants:
            parts.append(f"{format_count(state.n_done)} of {format_count(state.n_total)} answers")
        if state.left_s is not None and state.n_total > n_contestants:
            parts.append(f"about {format_wait(state.left_s)} left")
        if state.note:
            return " · ".join([*parts, state.note])
    elif comparison is not None and len(comparison.answers) < comparison.n_cells:
        done = f"{format_count(len(comparison.answers))} of {format_count(comparison.n_cells)} answers"
        parts.append(f"{'stopped at' if comparison.state is not ComparisonState.DONE else ''} {done}".strip())
    shown = state.schedule if session.is_running else comparison.schedule if comparison is not None else planned
    if shown is not None and shown.reason:
        reason = names.without_names(shown.reason) if names is not None else shown.reason
        parts.append(f"{reason[:1].lower()}{reason[1:].rstrip('.')}")
    return " · ".join(parts)
