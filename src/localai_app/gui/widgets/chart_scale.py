"""Round marks for an axis."""

from __future__ import annotations

import math

_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)


def round_marks(highest: float, count: int = 4) -> tuple[float, ...]:
    """Marks from 0 to a round value of at least `highest`, about `count` steps of 1, 2, 2.5 or 5 times a power of ten."""
    if not math.isfinite(highest) or highest <= 0:
        return (0.0, 1.0)
    rough = highest / max(1, count)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in _STEPS if power * factor >= rough * (1 - 1e-9))
    return tuple(step * number for number in range(math.ceil(highest / step - 1e-9) + 1))


def binary_marks(highest: float, count: int = 4) -> tuple[float, ...]:
    """The same in steps of a power of two, for bytes and tokens: to 32 for 31.2, to 8,192 for 8,000."""
    if not math.isfinite(highest) or highest <= 0:
        return (0.0, 1.0)
    step = 2.0 ** math.ceil(math.log2(highest / max(1, count)) - 1e-9)
    return tuple(step * number for number in range(math.ceil(highest / step - 1e-9) + 1))


def marks_between(lowest: float, highest: float, count: int = 4) -> tuple[float, ...]:
    """Round marks of which the first is at most `lowest` and the last at least `highest`; two at least."""
    # Nearer together than that, they are the same to a calculation with steps between them.
    nearest = 1e-12 * max(abs(lowest), abs(highest), 1e-290)
    if not (math.isfinite(lowest) and math.isfinite(highest)) or highest - lowest <= nearest:
        lowest, highest = (lowest - 0.5, lowest + 0.5) if math.isfinite(lowest) and lowest else (0.0, 1.0)
    rough = (highest - lowest) / max(1, count)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in _STEPS if power * factor >= rough * (1 - 1e-9))
    first, last = math.floor(lowest / step + 1e-9), math.ceil(highest / step - 1e-9)
    return tuple(step * number for number in range(first, max(last, first + 1) + 1))
