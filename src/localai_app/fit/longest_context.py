"""The longest context for which memory suffices, found with as few questions as possible."""

from __future__ import annotations

from collections.abc import Callable

from localai_app.fit.kv_cache import CELL_STEP


def longest_context(room: Callable[[int], int], shortest: int, longest: int) -> int:
    """The longest context in tokens with `room(ctx) >= 0`, in steps of 256 or exactly `longest`; 0 where none has.

    `room`: bytes that are left at a context, never more at a longer one. As caches grow by the same bytes for each position,
    the place where nothing is left lies on the line between two answers; every third question halves what is left instead.
    """
    if longest < shortest:
        return 0
    beyond = room(longest)
    if beyond >= 0:
        return longest
    within = room(shortest)
    if within < 0:
        return 0
    low, high = shortest // CELL_STEP, -(-longest // CELL_STEP)
    asked = 0
    while high - low > 1:
        asked += 1
        middle = low + (high - low) * within // (within - beyond) if asked % 3 else (low + high) // 2
        middle = min(max(middle, low + 1), high - 1)
        left = room(middle * CELL_STEP)
        if left >= 0:
            low, within = middle, left
        else:
            high, beyond = middle, left
    return max(shortest, low * CELL_STEP)
