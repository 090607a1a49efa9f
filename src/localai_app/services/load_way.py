"""One load from its plan to a set-up that works, with what earlier loads of the model taught."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from localai_app import errors
from localai_app.engine.load_options import LoadOptions
from localai_app.errors import AppError
from localai_app.fit.result import FitResult
from localai_app.services.load_ladder import Ladder, LadderFacts, LoadFailure, Step, difference_words, safe_options
from localai_app.services.safe_setups import MANY_CRASHES, SafeSetUps
from localai_app.services.views import InstalledModel

CRASHES = frozenset({errors.ENGINE_CRASHED, errors.ENGINE_OUT_OF_MEMORY, errors.ENGINE_NOT_RESPONDING})
"""Ends of a worker that count towards the offer of safe settings."""


@dataclass(frozen=True, slots=True)
class LoadPlan:
    """What to load and how."""

    model: InstalledModel
    options: LoadOptions
    fit: FitResult | None = None
    """The advice that it follows; None where it goes against it."""
    facts: Callable[[], LadderFacts] = LadderFacts
    """What a way down depends on; asked where the load fails."""


class LoadWay:
    """`options` are those to load with now. `set_ups` None: nothing is remembered."""

    def __init__(self, plan: LoadPlan, set_ups: SafeSetUps | None, *, is_safe: bool) -> None:
        """Begins with the plan, with safe settings, or with the set-up that worked where this plan had failed."""
        self.plan = plan
        self._set_ups = set_ups
        known = set_ups.find(plan.model.key, plan.options) if set_ups is not None else None
        start = safe_options(plan.options) if is_safe else known or plan.options
        self._ladder = Ladder(plan.options, tried=(plan.options, start) if start != plan.options else ())

    @property
    def options(self) -> LoadOptions:
        """The set-up in force."""
        return self._ladder.options

    @property
    def reduced(self) -> str:
        """What it gives up against the plan, as part of a sentence; empty where it is as planned."""
        return difference_words(self.plan.options, self.options)

    def step_down(self, failure: LoadFailure) -> Step | None:
        """Go to the next smaller set-up; None where there is none."""
        step = Ladder(self.plan.options, self.plan.facts(), self._ladder.tried).next(failure)
        if step is not None:
            self._ladder = self._ladder.after(step)
        return step

    def note_loaded(self) -> None:
        """The set-up in force works: remember it where it is not the planned one."""
        if self._set_ups is not None and self.options != self.plan.options:
            self._set_ups.remember(self.plan.model.key, self.plan.options, self.options)

    def note_answer(self) -> None:
        """An answer came to its end."""
        if self._set_ups is not None:
            self._set_ups.note_answer(self.plan.model.key)

    def told(self, error: AppError) -> AppError:
        """A failure in the words for it: one of many in a row comes with the offer of safe settings."""
        if self._set_ups is None or error.spec not in CRASHES:
            return error
        count = self._set_ups.note_crash(self.plan.model.key)
        if count < MANY_CRASHES or self.options == safe_options(self.plan.options):
            return error
        return AppError(
            errors.ENGINE_CRASHED_AGAIN, name=self.plan.model.name, count=count, cause=cause_of(error), detail=error.detail)


def cause_of(error: AppError) -> str:
    """How the engine ended, as part of a sentence that says that it did."""
    _what, stopped, cause = error.message.partition("The engine stopped: ")
    words = cause if stopped else error.message.replace("The engine", "it", 1)
    return words.removesuffix(".")
