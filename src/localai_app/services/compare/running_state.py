"""What a running comparison is doing, as one value that changes and is announced."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TypeVar

from localai_app.compare.comparison import CellKey, Schedule, Way
from localai_app.compare.matrix import seconds_left
from localai_app.errors import AppError

T = TypeVar("T")


class ContestantPhase(StrEnum):
    """What a contestant is doing."""

    WAITING = "waiting"
    """For its turn, or until all others are loaded."""
    LOADING = "loading"
    ANSWERING = "answering"
    DONE = "done"
    FAILED = "failed"
    """It could not be loaded, or its worker ended more than once."""


@dataclass(frozen=True, slots=True)
class RunningState:
    """The comparison that runs, or how the last one ended. Tuples are by the contestants' places."""

    comparison_id: int | None = None
    """None: nothing runs."""
    phases: tuple[ContestantPhase, ...] = ()
    load_fractions: tuple[float, ...] = ()
    current: tuple[CellKey | None, ...] = ()
    """The cell that each is answering."""
    n_done: int = 0
    n_total: int = 0
    left_s: float | None = None
    """None: not known yet."""
    note: str = ""
    """What it waits for or does beside answering, as a sentence; empty while it just runs."""
    schedule: Schedule | None = None
    error: AppError | None = None
    """Why the last one ended early; None where it did not, or was cancelled."""

    @property
    def is_running(self) -> bool:
        """Whether it can be cancelled."""
        return self.comparison_id is not None

    @property
    def fraction(self) -> float:
        """Share of the cells that are finished."""
        return self.n_done / self.n_total if self.n_total else 0.0


class RunningProgress:
    """The state while it changes; from any thread. `announce` is called after each change but those of time alone."""

    def __init__(self, announce: Callable[[int], None]) -> None:
        self._announce = announce
        self._lock = threading.Lock()
        self._state = RunningState()
        self._cell_s: list[list[float]] = []
        self._load_s: list[float | None] = []
        self._n_left: list[int] = []
        self._changed_s = time.monotonic()

    @property
    def state(self) -> RunningState:
        """As it is now; what has passed since the last change is taken off the time left."""
        with self._lock:
            state, changed_s = self._state, self._changed_s
        if state.left_s is None:
            return state
        return replace(state, left_s=max(0.0, state.left_s - (time.monotonic() - changed_s)))

    def begin(self, comparison_id: int, n_contestants: int, n_total: int) -> None:
        """A comparison begins; nothing is loaded yet."""
        with self._lock:
            self._cell_s = [[] for _place in range(n_contestants)]
            self._load_s = [None] * n_contestants
            self._n_left = [0] * n_contestants
            self._state = RunningState(
                comparison_id, (ContestantPhase.WAITING,) * n_contestants, (0.0,) * n_contestants, (None,) * n_contestants,
                n_total=n_total)
        self._announce(comparison_id)

    def begin_pass(self, schedule: Schedule | None, n_left: Sequence[int]) -> None:
        """The cells that are left are asked; `n_left` of each contestant."""
        with self._lock:
            self._n_left = list(n_left)
            self._state = replace(
                self._state, schedule=schedule, n_done=self._state.n_total - sum(n_left), note="", phases=tuple(
                    ContestantPhase.WAITING if count else ContestantPhase.DONE for count in n_left))
        self._tell()

    def set_phase(self, contestant: int, phase: ContestantPhase) -> None:
        """A contestant goes on to another phase."""
        with self._lock:
            self._state = replace(
                self._state, phases=_with(self._state.phases, contestant, phase),
                load_fractions=_with(self._state.load_fractions, contestant, 0.0),
                current=_with(self._state.current, contestant, None))
        self._tell()

    def note_load(self, contestant: int, fraction: float) -> None:
        """A load goes on."""
        with self._lock:
            self._state = replace(self._state, load_fractions=_with(self._state.load_fractions, contestant, fraction))
        self._tell()

    def note_loaded(self, contestant: int, load_s: float) -> None:
        """A load is over, and says how long another one may take."""
        with self._lock:
            self._load_s[contestant] = load_s

    def begin_cell(self, key: CellKey) -> None:
        """A contestant begins to answer."""
        with self._lock:
            self._state = replace(self._state, current=_with(self._state.current, key.contestant, key))
        self._tell()

    def end_cell(self, key: CellKey, seconds: float | None) -> None:
        """A cell is finished; `seconds` None: nothing was computed for it."""
        with self._lock:
            self._n_left[key.contestant] -= 1
            if seconds is not None:
                self._cell_s[key.contestant].append(seconds)
            self._state = replace(
                self._state, n_done=self._state.n_done + 1, current=_with(self._state.current, key.contestant, None),
                left_s=self._left_s())
            self._changed_s = time.monotonic()
        self._tell()

    def note(self, sentence: str) -> None:
        """Say what it waits for, or does beside answering."""
        with self._lock:
            self._state = replace(self._state, note=sentence)
        self._tell()

    def end(self, error: AppError | None) -> None:
        """Nothing runs any more."""
        with self._lock:
            comparison_id = self._state.comparison_id
            self._state = replace(self._state, comparison_id=None, left_s=None, note="", error=error)
        if comparison_id is not None:
            self._announce(comparison_id)

    def _left_s(self) -> float | None:
        means = [sum(cells) / len(cells) if cells else None for cells in self._cell_s]
        known = [seconds for seconds in self._load_s if seconds is not None]
        usual_load_s = sum(known) / len(known) if known else None
        loads = [
            usual_load_s if phase in (ContestantPhase.WAITING, ContestantPhase.LOADING) else None
            for phase in self._state.phases]
        way = self._state.schedule.way if self._state.schedule is not None else Way.IN_TURN
        return seconds_left(way, self._n_left, means, loads)

    def _tell(self) -> None:
        comparison_id = self._state.comparison_id
        if comparison_id is not None:
            self._announce(comparison_id)


def _with(values: tuple[T, ...], place: int, value: T) -> tuple[T, ...]:
    return (*values[:place], value, *values[place + 1:])
