"""The measurement behind `Tune`: short, the values by turns, and over as soon as somebody asks for an answer."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Protocol

from localai_app.engine.protocol import Tune, Tuned, TuningKind, TuningRow
from localai_app.engine.tuning import best_tuning
from localai_app.engine.worker.answer import AnswerAbortedError
from localai_app.engine.worker.stop_flag import StopFlags

ROUNDS = 3
"""How often each number of threads is timed, by turns, so that what else the computer does hits all of them."""
BLOCK_S = 0.12
"""Single tokens are timed for about this long."""
BLOCK_TOKENS = 24
PROMPT_TOKENS = 32
SHARES = {TuningKind.GENERATION: 0.3, TuningKind.PROMPT: 0.3, TuningKind.STEP: 0.4}
"""Of the time that the whole may take."""


class TuningTarget(Protocol):
    """A loaded model that can be timed in other ways than it was loaded."""

    def open(self, ubatch: int) -> bool:
        """Begin with an empty context whose steps have so many tokens; false where there is no memory for it."""

    def set_threads(self, threads: int) -> None:
        """Compute with so many threads from now on."""

    def evaluate(self, count: int) -> None:
        """One step of so many tokens."""

    def use(self, threads: int, prompt_threads: int) -> None:
        """Let the loaded model itself go on with these; 0: as before."""

    def close(self) -> None:
        """Give everything back."""


class TuningLoop:
    """Times the values of one Tune command."""

    def __init__(
        self, command: Tune, target: TuningTarget, flags: StopFlags, clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._command = command
        self._target = target
        self._flags = flags
        self._clock = clock
        self._rows: list[TuningRow] = []

    def run(self) -> Tuned:
        """Measure and let the model go on with the best number of threads; stopped, it goes on as before."""
        is_complete = False
        try:
            self._measure()
            is_complete = True
        except AnswerAbortedError:
            self._rows.clear()
        finally:
            self._target.close()
        best = best_tuning(self._rows)
        self._target.use(best.threads, best.prompt_threads)
        return Tuned(id=self._command.id, rows=tuple(self._rows), is_complete=is_complete)

    def _measure(self) -> None:
        threads, usual_ubatch = self._command.threads, self._command.ubatches[0]
        if not self._target.open(usual_ubatch):
            return
        if threads:
            self._target.set_threads(threads[0])
            self._evaluate(min(PROMPT_TOKENS, usual_ubatch))
            self._by_turns(TuningKind.GENERATION, threads, self._tokens_tps)
            self._by_turns(TuningKind.PROMPT, threads, lambda: self._step_tps(min(PROMPT_TOKENS, usual_ubatch)))
            self._target.set_threads(best_tuning(self._rows).prompt_threads)
        self._steps()

    def _by_turns(self, kind: TuningKind, values: Sequence[int], measure: Callable[[], float]) -> None:
        """The best speed of each value; the usual value alone where the time is over before the others had a turn."""
        best: dict[int, float] = {}
        end_s = self._clock() + SHARES[kind] * self._command.budget_s
        for _round in range(ROUNDS if len(values) > 1 else 1):
            for value in values:
                if best and self._clock() >= end_s:
                    break
                self._target.set_threads(value)
                best[value] = max(best.get(value, 0.0), measure())
        self._rows += [TuningRow(kind=kind, value=value, tps=tps) for value, tps in best.items()]

    def _steps(self) -> None:
        """Lengths of a step, as far as the time allows: the usual one first, since nothing can be said without it."""
        end_s = self._clock() + SHARES[TuningKind.STEP] * self._command.budget_s
        prompt_tps = next((row.tps for row in self._rows if row.kind is TuningKind.PROMPT), 0.0)
        found: list[TuningRow] = []
        for ubatch in self._command.ubatches:
            if prompt_tps and self._clock() + ubatch / prompt_tps > end_s:
                continue
            if ubatch != self._command.ubatches[0] and (not found or not self._target.open(ubatch)):
                continue
            found.append(TuningRow(kind=TuningKind.STEP, value=ubatch, tps=self._step_tps(ubatch)))
        if len(found) > 1:
            self._rows += found

    def _tokens_tps(self) -> float:
        started_s = self._clock()
        count, seconds = 0, 0.0
        while count < BLOCK_TOKENS and seconds < BLOCK_S:
            self._evaluate(1)
            count, seconds = count + 1, self._clock() - started_s
        return count / max(seconds, 1e-9)

    def _step_tps(self, count: int) -> float:
        started_s = self._clock()
        self._evaluate(count)
        return count / max(self._clock() - started_s, 1e-9)

    def _evaluate(self, count: int) -> None:
        if self._flags.is_set:
            raise AnswerAbortedError
        self._target.evaluate(count)
