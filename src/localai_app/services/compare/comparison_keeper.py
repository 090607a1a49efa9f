"""Comparisons as they lie in the store, and as values."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar

import msgspec

from localai_app import errors
from localai_app.compare.blind import BlindNames
from localai_app.compare.comparison import (
    AnswerRecord,
    Comparison,
    ComparisonSpec,
    ComparisonState,
    ContestantRun,
    Schedule,
    Vote,
)
from localai_app.errors import AppError
from localai_app.services.stored_json import stored_value
from localai_app.store.comparisons import ComparisonContents, ComparisonRow, ComparisonStore

T = TypeVar("T")


class ComparisonHead(msgspec.Struct, frozen=True, kw_only=True):
    """What the store keeps of a comparison beside its runs, answers and votes."""

    spec: ComparisonSpec
    schedule: Schedule | None = None
    hardware: dict[str, Any] = {}
    app_version: str = ""
    peak_bytes: int = 0


class ComparisonKeeper:
    """Reads and writes; AppError where the store cannot be used."""

    def __init__(self, store: ComparisonStore) -> None:
        self._store = store

    def add(self, spec: ComparisonSpec, app_version: str) -> int:
        """Keep a comparison that begins; its number."""
        head = ComparisonHead(spec=spec, app_version=app_version)
        blank = Comparison(id=0, created_s=0.0, state=ComparisonState.RUNNING, spec=spec)
        return self._store.add(blank.title, ComparisonState.RUNNING, _json(head), searched=searched_text(blank)).id

    def restore(self, comparison: Comparison, *, keeps_id: bool) -> int:
        """Keep a whole comparison that was deleted or comes from a file; its number, the one that it has if that is free."""
        state = ComparisonState.CANCELLED if comparison.state is ComparisonState.RUNNING else comparison.state
        row = ComparisonRow(
            comparison.id, comparison.created_s, state.value, comparison.title, _json(_head(comparison)), 0, 0)
        contents = ComparisonContents(
            runs=[(run.contestant, _json(run)) for run in comparison.runs],
            answers=[(answer.key, _json(answer)) for answer in comparison.answers],
            votes=[(vote.prompt, vote.repeat, vote.judge, _json(vote)) for vote in comparison.votes])
        return self._store.restore(row, contents, searched=searched_text(comparison), keeps_id=keeps_id)

    def refresh_search(self, comparison_id: int) -> None:
        """Let a blind comparison be found by its contestants once all of their names are told, and not before."""
        row = self._store.get(comparison_id)
        head = stored_value(row.json, ComparisonHead, f"comparison {comparison_id}") if row is not None else None
        if row is not None and head is not None and head.spec.is_blind:
            judged = Comparison(
                id=row.id, created_s=row.created_s, state=ComparisonState(row.state), spec=head.spec,
                votes=_values(self._store.votes(comparison_id), Vote))
            self._store.set_searched(comparison_id, searched_text(judged))

    def get(self, comparison_id: int) -> Comparison:
        """A comparison with everything; AppError COMPARISON_MISSING where there is none, or it cannot be read."""
        row = self._store.get(comparison_id)
        head = stored_value(row.json, ComparisonHead, f"comparison {comparison_id}") if row is not None else None
        if row is None or head is None:
            raise AppError(errors.COMPARISON_MISSING, id=comparison_id)
        return Comparison(
            id=row.id, created_s=row.created_s, state=ComparisonState(row.state), spec=head.spec, schedule=head.schedule,
            hardware=head.hardware, app_version=head.app_version, peak_bytes=head.peak_bytes,
            runs=_values(self._store.runs(comparison_id), ContestantRun),
            answers=_values(self._store.answers(comparison_id), AnswerRecord),
            votes=_values(self._store.votes(comparison_id), Vote))

    def rows(self, search: str) -> tuple[ComparisonRow, ...]:
        """Heads, newest first; with `search` those in which it is found."""
        return self._store.list(search)

    def set_state(self, comparison_id: int, state: ComparisonState) -> None:
        """How far it is."""
        self._store.set_state(comparison_id, state)

    def set_circumstances(
        self, comparison: Comparison, *, schedule: Schedule | None = None, hardware: dict[str, Any] | None = None,
        peak_bytes: int | None = None,
    ) -> Comparison:
        """Keep how it runs and on what; None: as it was. The comparison with that."""
        changed = msgspec.structs.replace(
            comparison, schedule=schedule if schedule is not None else comparison.schedule,
            hardware=hardware if hardware is not None else comparison.hardware,
            peak_bytes=peak_bytes if peak_bytes is not None else comparison.peak_bytes)
        self._store.set_head(comparison.id, _json(_head(changed)))
        return changed

    def set_run(self, comparison_id: int, run: ContestantRun) -> None:
        """How a contestant was loaded."""
        self._store.set_run(comparison_id, run.contestant, _json(run))

    def add_answer(self, comparison_id: int, answer: AnswerRecord) -> None:
        """A finished cell."""
        self._store.add_answer(comparison_id, answer.key, _json(answer))

    def forget_answers(self, comparison: Comparison, contestants: Iterable[int]) -> None:
        """Forget what is asked again, and the judgements on it."""
        chosen = set(contestants)
        for contestant in chosen:
            self._store.remove_answers(comparison.id, contestant)
        for vote in comparison.votes:
            if not vote.rivals or chosen & set(vote.rivals):
                self._store.remove_vote(comparison.id, vote.prompt, vote.repeat, vote.judge)

    def set_vote(self, comparison_id: int, vote: Vote) -> None:
        """A judgement, in place of an earlier one of the same judge on the same answers."""
        self._store.set_vote(comparison_id, vote.prompt, vote.repeat, vote.judge, _json(vote))

    def remove_vote(self, comparison_id: int, prompt: int, repeat: int, judge: str) -> None:
        """Take a judgement back."""
        self._store.remove_vote(comparison_id, prompt, repeat, judge)

    def delete(self, comparison_id: int) -> None:
        """Forget a comparison with all that belongs to it."""
        self._store.delete(comparison_id)


def searched_text(comparison: Comparison) -> str:
    """In what a search finds a comparison beside its answers: prompts, and names that may be told."""
    spec = comparison.spec
    told = spec.contestants if BlindNames(comparison).all_revealed else ()
    names = [f"{contestant.name} {contestant.label}" for contestant in told]
    return "\n".join((spec.set_name, *(prompt.text for prompt in spec.prompts), *names))


def _head(comparison: Comparison) -> ComparisonHead:
    return ComparisonHead(
        spec=comparison.spec, schedule=comparison.schedule, hardware=comparison.hardware, app_version=comparison.app_version,
        peak_bytes=comparison.peak_bytes)


def _values(texts: Iterable[str], kind: type[T]) -> tuple[T, ...]:
    """Those that make sense; one that does not costs itself and nothing else."""
    values = (stored_value(text, kind, f"a {kind.__name__}") for text in texts)
    return tuple(value for value in values if value is not None)


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
