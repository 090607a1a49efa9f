"""The cells of a comparison: in which order they are asked, what is left of them, and how long that takes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from localai_app.compare.comparison import CellKey, ComparisonSpec, Way


def cells_of(spec: ComparisonSpec, contestant: int) -> tuple[CellKey, ...]:
    """All cells of one contestant as they are asked: every prompt once, then the next repeat."""
    return tuple(
        CellKey(contestant, prompt, repeat) for repeat in range(spec.repeats) for prompt in range(len(spec.prompts)))


def cells_left(spec: ComparisonSpec, contestant: int, finished: Iterable[CellKey]) -> tuple[CellKey, ...]:
    """Those of them that are not finished."""
    known = set(finished)
    return tuple(key for key in cells_of(spec, contestant) if key not in known)


def seconds_left(
    way: Way, n_left: Sequence[int], cell_s: Sequence[float | None], load_s: Sequence[float | None],
) -> float | None:
    """Estimate of what is left; None before anything is known. All sequences by the contestants' places.

    `cell_s`: mean of the cells so far; a contestant that has none counts as the mean of the others. `load_s`: what a load
    that is still to come takes, None where there is none.
    """
    known = [seconds for seconds in cell_s if seconds is not None]
    if not known:
        return None
    usual = sum(known) / len(known)
    each = [
        (load or 0.0) + count * (usual if seconds is None else seconds)
        for count, seconds, load in zip(n_left, cell_s, load_s, strict=True) if count]
    if way is Way.SIDE_BY_SIDE:
        return max(each, default=0.0)
    return sum(each)
