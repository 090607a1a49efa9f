"""The user's votes on the answers on screen."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QObject, Signal

from localai_app.compare.comparison import Verdict, Vote
from localai_app.gui.compare.column_facts import is_held_back, unique_name
from localai_app.gui.compare.compare_session import CompareSession
from localai_app.gui.compare.vote_bar import ALL_BAD, TIE, VoteBar
from localai_app.gui.tasks import run_in_background
from localai_app.services.compare.comparison_service import ComparisonService

VERDICTS = {TIE: Verdict.TIE, ALL_BAD: Verdict.BOTH_BAD}
FEWEST = 2


class Votes(QObject):
    """Connects the bar with the session; columns are counted from left to right as they are shown."""

    failed = Signal(object)

    def __init__(self, comparisons: ComparisonService, session: CompareSession, bar: VoteBar) -> None:
        super().__init__(session)
        self._comparisons, self._session, self._bar = comparisons, session, bar
        bar.vote_chosen.connect(self.vote_for)
        bar.undo_requested.connect(self.take_back)
        bar.next_requested.connect(self.turn_to_next)

    @property
    def can_vote(self) -> bool:
        """Whether all answers on screen are there, and at least two of them are answers."""
        comparison, session = self._session.comparison, self._session
        if comparison is None or not session.lineup.shows_all_of(len(comparison.spec.contestants)):
            return False
        answers = [comparison.answer(session.key(place)) for place in range(len(comparison.spec.contestants))]
        return all(answers) and len(self._answered()) >= FEWEST

    @property
    def can_compare(self) -> bool:
        """Whether there are two texts whose words can be compared."""
        return self._session.comparison is not None and not is_held_back(self._session) and len(self._answered()) >= FEWEST

    @property
    def names(self) -> list[str]:
        """Of the columns, each its own."""
        return [unique_name(self._session, index) for index in range(len(self._session.lineup.entries))]

    def show(self) -> None:
        """Show what can be voted for, and what was."""
        vote, places = self._session.vote, self._places()
        chosen: int | None = None
        if vote is not None and vote.verdict is Verdict.BEST:
            chosen = places.index(vote.winner) if vote.winner in places else None
        elif vote is not None:
            chosen = TIE if vote.verdict is Verdict.TIE else ALL_BAD
        self._bar.show_votes(
            self.names, chosen, can_vote=self.can_vote, can_compare=self.can_compare,
            has_next=self.can_vote and self._next_without_vote() is not None,
            failed=[index for index, place in enumerate(places) if place not in self._answered()])

    def vote_for(self, choice: int) -> None:
        """Judge the answers on screen: the column that is best, TIE or ALL_BAD."""
        session, comparison = self._session, self._session.comparison
        places, answered = self._places(), self._answered()
        if comparison is None or not self.can_vote or choice >= len(places):
            return
        winner = places[choice] if choice >= 0 else None
        if choice >= 0 and winner not in answered:
            return
        vote = Vote(
            prompt=session.prompt, repeat=session.repeat, verdict=VERDICTS.get(choice, Verdict.BEST), winner=winner,
            is_blind=session.is_veiled, rivals=answered if len(answered) < len(comparison.spec.contestants) else ())
        comparison_id = comparison.id
        self._ask(lambda: self._comparisons.vote(comparison_id, vote))

    def take_back(self) -> None:
        """The answers on screen are not judged yet."""
        session, comparison = self._session, self._session.comparison
        if comparison is not None and session.vote is not None:
            comparison_id, prompt, repeat = comparison.id, session.prompt, session.repeat
            self._ask(lambda: self._comparisons.remove_vote(comparison_id, prompt, repeat))

    def turn_to_next(self) -> None:
        """Show the next answers that nobody has judged."""
        place = self._next_without_vote() if self.can_vote else None
        if place is not None:
            self._session.turn_to(*place)

    def _places(self) -> list[int | None]:
        return [self._session.lineup.entries[index].place for index in self._session.order()]

    def _answered(self) -> tuple[int, ...]:
        """Places of the contestants with an answer to judge."""
        comparison = self._session.comparison
        if comparison is None:
            return ()
        return tuple(
            place for place in range(len(comparison.spec.contestants))
            if (answer := comparison.answer(self._session.key(place))) is not None and not answer.error)

    def _next_without_vote(self) -> tuple[int, int] | None:
        comparison = self._session.comparison
        if comparison is None:
            return None
        voted = {(vote.prompt, vote.repeat) for vote in comparison.votes if not vote.judge}
        spec = comparison.spec
        cells = [(prompt, repeat) for prompt in range(len(spec.prompts)) for repeat in range(spec.repeats)]
        here = cells.index((self._session.prompt, self._session.repeat))
        return next((cell for cell in cells[here + 1 :] + cells[:here] if cell not in voted), None)

    def _ask(self, work: Callable[[], object]) -> None:
        run_in_background(self, work, lambda _nothing: None, self.failed.emit)
