"""How often a test that can go on for hours repeats itself: a bounded number in CI, the whole number where it is wanted."""

from __future__ import annotations

import os

VARIABLE = "LOCALAI_TORTURE"
"""Set to 1 for the whole number, as a nightly run does."""


def rounds(in_ci: int, whole: int) -> int:
    """How often to repeat something."""
    return whole if os.environ.get(VARIABLE) == "1" else in_ci
