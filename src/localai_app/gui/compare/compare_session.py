"""What is on the Answers tab: contestants, the comparison that is shown, the place in it, and what streams."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from PySide6.QtCore import QObject, Signal

from localai_app import errors
from localai_app.compare.blind import BlindNames
from localai_app.compare.comparison import CellKey, Comparison, Vote
from localai_app.errors import AppError
from localai_app.gui.bridge import Bridge
from localai_app.gui.compare.draft_keeper import DraftKeeper
from localai_app.gui.compare.lineup import Lineup
from localai_app.gui.compare.live_cells import LiveCell, LiveCells
from localai_app.gui.tasks import run_in_background
from localai_app.services.app_services import AppServices
from localai_app.services.compare.drafts import CompareDraft
from localai_app.services.compare.running_state import RunningState
from localai_app.services.events import ComparisonChanged, ComparisonProgressed, Event, VotesChanged


class CompareSession(QObject):
    """Asks the services off the window's thread, and says what changed."""

    lineup_changed = Signal()
    changed = Signal()
    """The comparison, its run or the place in it: read all of it again."""
    progressed = Signal(object, bool)
    """ComparisonProgressed of an answer on screen, and whether it was begun anew."""
    shown = Signal(int)
    """Another comparison is on screen."""
    failed = Signal(object)
    """AppError."""

    def __init__(self, services: AppServices, bridge: Bridge, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._comparisons = services.compare.comparisons
        self.keeper = DraftKeeper(services.compare.drafts, self)
        self.keeper.failed.connect(self.failed)
        self.lineup = Lineup.of_draft(self.draft.contestants)
        self.comparison: Comparison | None = None
        self.names: BlindNames | None = None
        self._live = LiveCells()
        self.prompt = self.repeat = 0
        self._follows = True
        """Whether the place on screen follows the run, until somebody turns to another one."""
        self.shown_id: int | None = None
        """The comparison on screen, also while it is being read."""
        self._is_reading = self._is_stale = False
        self._read_at: object = None
        """What ran when the comparison was read last."""
        bridge.event_published.connect(self._on_event)

    # --- what there is
    @property
    def draft(self) -> CompareDraft:
        """What is set for the next run."""
        return self.keeper.draft

    @property
    def state(self) -> RunningState:
        """What runs now."""
        return self._comparisons.state

    @property
    def is_running(self) -> bool:
        """Whether the comparison on screen runs."""
        return self.shown_id is not None and self.state.comparison_id == self.shown_id

    @property
    def is_veiled(self) -> bool:
        """Whether it is not told whose the answers on screen are."""
        return self.names is not None and not self.names.is_revealed(self.prompt, self.repeat)

    def key(self, place: int) -> CellKey:
        """The answer on screen of a contestant."""
        return CellKey(place, self.prompt, self.repeat)

    def live(self, place: int) -> LiveCell | None:
        """What a contestant wrote so far of the answer on screen."""
        return self._live.get(self.shown_id, self.key(place)) if self.shown_id is not None else None

    def order(self) -> tuple[int, ...]:
        """Indices of the lineup in the order of their columns."""
        indices = tuple(range(len(self.lineup.entries)))
        if self.names is None or not self.names.is_blind or not self.lineup.shows_all_of(len(indices)):
            return indices
        place_of = {entry.place: index for index, entry in enumerate(self.lineup.entries)}
        return tuple(place_of[place] for place in self.names.shown_order(self.prompt, self.repeat))

    @property
    def vote(self) -> Vote | None:
        """The user's own on the answers on screen."""
        votes = self.comparison.votes if self.comparison is not None else ()
        return next((vote for vote in votes if (vote.prompt, vote.repeat, vote.judge) == (self.prompt, self.repeat, "")), None)

    # --- contestants and options
    def set_lineup(self, lineup: Lineup) -> None:
        """Contestants were changed."""
        self.lineup = lineup
        self.keeper.set(self.draft, lineup.drafts)
        self.lineup_changed.emit()

    def start_anew(self) -> None:
        """Keep the contestants and leave the comparison on screen, which stays in the history."""
        self._show(None)
        self.set_lineup(self.lineup.detached())
        self.changed.emit()

    def open(self, comparison_id: int) -> None:
        """Show a comparison with its contestants, prompt and options."""
        self._show(comparison_id)
        self._read(self._adopt)

    def turn_to(self, prompt: int, repeat: int) -> None:
        """Show other answers of the same comparison."""
        self._follows = False
        self.prompt, self.repeat = prompt, repeat
        self.changed.emit()

    def follow(self, forgotten: int | None = None) -> None:
        """It runs again: turn to what is answered. `forgotten`: a contestant that is asked again."""
        if forgotten is not None:
            self._live.forget(forgotten)
        self._follows = True
        self._read()

    # --- inside
    def _show(self, comparison_id: int | None) -> None:
        self.shown_id = comparison_id
        self.comparison, self.names = None, None
        self.prompt = self.repeat = 0
        self._follows = True

    def _adopt(self, comparison: Comparison) -> None:
        """Contestants, prompt and options are those of the comparison that was opened."""
        spec = comparison.spec
        self.keeper.set(msgspec.structs.replace(
            self.draft, prompt=spec.prompts[0].text if not spec.set_name else self.draft.prompt, seed=spec.seed,
            same_seed=spec.same_seed, temperature=spec.sampling.numbers.get("temperature"), max_tokens=spec.max_tokens,
            repeats=spec.repeats, way=spec.way, is_blind=spec.is_blind,
            hides_speed=spec.hides_speed if spec.is_blind else self.draft.hides_speed), self.lineup.drafts)
        self.set_lineup(Lineup.of_comparison(spec.contestants))
        self.shown.emit(comparison.id)

    def _read(self, on_read: Callable[[Comparison], None] | None = None) -> None:
        """Read the comparison on screen anew; what changes meanwhile is read after it."""
        if self.shown_id is None:
            return
        if self._is_reading and on_read is None:
            self._is_stale = True
            return
        self._is_reading, self._is_stale = True, False
        wanted, state = self.shown_id, self.state
        self._read_at = (state.comparison_id, state.n_done, state.phases)

        def show(comparison: Comparison) -> None:
            self._is_reading = False
            if wanted == self.shown_id:
                self.comparison, self.names = comparison, BlindNames(comparison)
                if on_read is not None:
                    on_read(comparison)
                self._follow_run()
                self.changed.emit()
            if self._is_stale:
                self._read()

        def fail(error: AppError) -> None:
            self._is_reading = False
            if wanted == self.shown_id:
                self.start_anew()
                # One that was deleted in the history goes without a word.
                if on_read is not None or error.code != errors.COMPARISON_MISSING.code:
                    self.failed.emit(error)

        run_in_background(self, lambda: self._comparisons.get(wanted), show, fail)

    def _refresh(self) -> None:
        """Read it anew where more than a load went on."""
        state = self.state
        if self.comparison is None or self._read_at != (state.comparison_id, state.n_done, state.phases):
            self._read()
        else:
            self._follow_run()
            self.changed.emit()

    def _follow_run(self) -> None:
        """Turn to what is being answered, the latest of it where several are."""
        if self._follows and self.is_running:
            current = [key for key in self.state.current if key is not None]
            if current:
                newest = max(current, key=lambda key: (key.prompt, key.repeat))
                self.prompt, self.repeat = newest.prompt, newest.repeat

    def _on_event(self, event: Event) -> None:
        match event:
            case ComparisonProgressed():
                is_anew = self._live.progress(event)
                if event.comparison_id == self.shown_id and (event.key.prompt, event.key.repeat) == (self.prompt, self.repeat):
                    self.progressed.emit(event, is_anew)
            case ComparisonChanged(comparison_id=changed) if changed == self.shown_id:
                self._refresh()
            case ComparisonChanged():
                self.changed.emit()
            case VotesChanged(comparison_id=changed) if changed == self.shown_id:
                self._read()
            case _:
                pass
