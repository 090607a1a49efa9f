"""Says by how much memory a verdict changed: memory that other programs took or gave back since the last answer."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from localai_app.fit.result import FitResult, Verdict
from localai_app.units import MIB, format_gib

REMEMBERED_S = 600.0
"""A change is told for so long."""
LEAST_BYTES = 64 * MIB
"""Less than this explains no change."""
MAX_ANSWERS = 20_000
_RANK = {Verdict.GPU: 3, Verdict.GPU_PARTIAL: 2, Verdict.CPU: 1, Verdict.NO: 0}
_WAS = {
    Verdict.GPU: "all of it fitted on the GPU", Verdict.GPU_PARTIAL: "a part of it fitted on the GPU",
    Verdict.CPU: "it fitted into main memory", Verdict.NO: "it did not fit",
}


@dataclass(frozen=True, slots=True)
class _Answer:
    verdict: Verdict
    free: tuple[tuple[str, str, int], ...]
    """(kind, name, free bytes) of every device."""
    at_s: float


@dataclass(frozen=True, slots=True)
class _Change:
    verdict: Verdict
    sentence: str
    at_s: float


class VerdictChanges:
    """Remembers the last answer to every question, and what changed since. Can be used from several threads."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._answers: dict[str, _Answer] = {}
        self._changes: dict[str, _Change] = {}

    def told(self, question: str, fit: FitResult) -> FitResult:
        """The fit with the reason of its change, for as long as that is news. `question`: what was asked, memory aside."""
        if fit.verdict not in _RANK:
            return fit
        now = _Answer(
            fit.verdict, tuple((device.kind, device.name, device.free_bytes) for device in fit.devices), self._clock())
        with self._lock:
            if len(self._answers) > MAX_ANSWERS:
                self._answers.clear()
                self._changes.clear()
            before = self._answers.get(question)
            self._answers[question] = now
            if before is not None and before.verdict is not now.verdict:
                sentence = _sentence(before, now)
                self._changes.pop(question, None)
                if sentence:
                    self._changes[question] = _Change(now.verdict, sentence, now.at_s)
            change = self._changes.get(question)
        if change is None or now.at_s - change.at_s > REMEMBERED_S:
            return fit
        return msgspec.structs.replace(fit, reasons=(*fit.reasons[:1], change.sentence, *fit.reasons[1:]))


def _sentence(before: _Answer, now: _Answer) -> str:
    """Which device's memory explains the change, or empty where none does."""
    if [device[:2] for device in before.free] != [device[:2] for device in now.free]:
        return ""
    is_worse = _RANK[now.verdict] < _RANK[before.verdict]
    moves = [
        (new[2] - old[2], new[0], new[1]) for old, new in zip(before.free, now.free, strict=True)
        if (new[2] < old[2]) == is_worse]
    moved, kind, name = max(moves, key=lambda move: abs(move[0]), default=(0, "", ""))
    if abs(moved) < LEAST_BYTES:
        return ""
    place = f"on {name}" if kind == "gpu" else "of main memory"
    amount = f"{format_gib(abs(moved))} {'less' if is_worse else 'more'}"
    then = time.strftime("%H:%M", time.localtime(before.at_s))
    return f"{amount} is free {place} than at {then}, when {_WAS[before.verdict]}."
