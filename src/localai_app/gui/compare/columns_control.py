"""Fills the columns from the session, and does what is asked of a contestant."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QObject

from localai_app.compare.comparison import CellKey
from localai_app.gui.compare.column_facts import cell_state, column_facts, figures_of, is_held_back
from localai_app.gui.compare.column_words import CellState
from localai_app.gui.compare.columns_view import ColumnsView
from localai_app.gui.compare.compare_session import CompareSession
from localai_app.gui.compare.contestant_choice import ContestantChoice
from localai_app.gui.compare.lineup import Lineup
from localai_app.gui.compare.runs import Runs
from localai_app.services.downloads_service import DownloadsService
from localai_app.services.events import ComparisonProgressed
from localai_app.services.thinking import AnswerText


class ColumnsControl(QObject):
    """Text that streams goes straight to its column; everything else is shown anew as a whole."""

    def __init__(
        self, columns: ColumnsView, session: CompareSession, choice: ContestantChoice, runs: Runs, downloads: DownloadsService,
    ) -> None:
        super().__init__(columns)
        self._columns, self._session, self._choice, self._runs = columns, session, choice, runs
        self._downloads = downloads
        self._streams: dict[int, CellKey] = {}
        """The answer that each column takes text of."""
        columns.column_made.connect(self._on_column_made)
        session.progressed.connect(self._on_progressed)

    def show(self) -> None:
        """Show every column as it is now."""
        session = self._session
        self._columns.set_count(len(session.lineup.entries))
        downloads, held = self._downloads.downloads(), is_held_back(session)
        for index, column in enumerate(self._columns.columns):
            column.show_facts(column_facts(session, index, downloads, self._choice.note(index)))
            self._show_text(index, held=held)

    def texts(self) -> list[str]:
        """The answers on screen, from left to right."""
        return [column.body.answer for column in self._columns.columns]

    def _show_text(self, index: int, *, held: bool) -> None:
        session = self._session
        entry = session.lineup.entries[session.order()[index]]
        body = self._columns.column(index).body
        comparison, place = session.comparison, entry.place
        if comparison is None or place is None or held:
            body.show_text(AnswerText(), is_final=True)
            return
        answer, live = comparison.answer(session.key(place)), session.live(place)
        if answer is not None:
            body.show_text(AnswerText(answer.thinking, answer.text), is_final=True, thought_s=answer.thinking_s or None)
        elif live is not None:
            is_final = cell_state(session, place) is not CellState.WRITING
            body.show_text(live.parts, is_final=is_final, thought_s=live.stats.thinking_s or None)
        else:
            body.show_text(AnswerText(), is_final=True)

    def _on_progressed(self, event: ComparisonProgressed, is_anew: bool) -> None:
        session = self._session
        places = [session.lineup.entries[index].place for index in session.order()]
        if event.key.contestant not in places or is_held_back(session):
            return
        index = places.index(event.key.contestant)
        column = self._columns.column(index)
        if is_anew or self._streams.get(index) != event.key:
            self._streams[index] = event.key
            column.show_facts(column_facts(session, index))
            self._show_text(index, held=False)
            return
        column.body.append(event.channel, event.text, takes_back=event.takes_back, thought_s=event.stats.thinking_s or None)

    def _on_repainted(self, index: int) -> None:
        """Figures move as often as the text."""
        session = self._session
        if index < len(self._columns.columns) and session.is_running:
            names = session.names
            if names is None or names.shows_numbers(session.prompt, session.repeat):
                place = session.lineup.entries[self._place(index)].place
                self._columns.column(index).show_figures(figures_of(session, place))

    def _on_column_made(self, index: int) -> None:
        column = self._columns.column(index)
        column.choose_requested.connect(lambda: self._choice.choose(self._place(index)))
        column.settings_requested.connect(lambda: self._choice.set_up(self._place(index)))
        column.duplicate_requested.connect(lambda: self._change(lambda lineup: lineup.duplicated(self._place(index))))
        column.move_requested.connect(lambda step: self._change(lambda lineup: lineup.moved(self._place(index), step)))
        column.remove_requested.connect(lambda: self._change(lambda lineup: lineup.without(self._place(index))))
        column.rerun_requested.connect(lambda: self._on_rerun_requested(index))
        column.body.repainted.connect(lambda: self._on_repainted(index))

    def _place(self, index: int) -> int:
        """In the lineup, of the column at `index` from left to right."""
        return self._session.order()[index]

    def _change(self, change: Callable[[Lineup], Lineup]) -> None:
        self._session.set_lineup(change(self._session.lineup))

    def _on_rerun_requested(self, index: int) -> None:
        place = self._session.lineup.entries[self._place(index)].place
        if place is not None:
            self._runs.rerun(place)
