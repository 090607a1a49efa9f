"""How long measuring losses will take, said before it begins."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from localai_app.compare.loss import LossResult
from localai_app.fit.result import SpeedRange
from localai_app.units import format_wait

_SURE = (0.8, 1.3)
"""Around what the same pair took before: chunks are of one length, but other programs may compute as well."""


def expected_s(
    reference_key: str, variant_keys: Sequence[str], n_tokens: int, earlier: Sequence[LossResult],
    speed_of: Callable[[str], SpeedRange | None],
) -> tuple[float, float] | None:
    """Fewest and most seconds for all variants; None where nothing is known of one of them.

    What the same two files took before counts most; else both read every token, at the speeds that are expected of them.
    """
    low = high = 0.0
    for key in variant_keys:
        span = _measured(reference_key, key, n_tokens, earlier) or _computed(reference_key, key, n_tokens, speed_of)
        if span is None:
            return None
        low, high = low + span[0], high + span[1]
    return low, high


def expected_words(span: tuple[float, float] | None) -> str:
    """ "About 40 s to 2 min." """
    if span is None:
        return "How long it takes is known once it runs."
    low, high = (format_wait(max(1.0, seconds)) for seconds in span)
    return f"About {low}." if low == high else f"About {low} to {high}."


def _measured(
    reference_key: str, variant_key: str, n_tokens: int, earlier: Sequence[LossResult],
) -> tuple[float, float] | None:
    pairs = [one for one in earlier if (one.reference.key, one.variant.key) == (reference_key, variant_key)]
    known = [one for one in pairs if one.seconds > 0 and one.n_tokens > 0]
    if not known:
        return None
    newest = max(known, key=lambda one: one.measured_s)
    seconds = newest.seconds * n_tokens / newest.n_tokens
    return _SURE[0] * seconds, _SURE[1] * seconds


def _computed(
    reference_key: str, variant_key: str, n_tokens: int, speed_of: Callable[[str], SpeedRange | None],
) -> tuple[float, float] | None:
    low = high = 0.0
    for key in (reference_key, variant_key):
        speed = speed_of(key)
        if speed is None or not speed.prompt_low or not speed.prompt_high:
            return None
        low, high = low + n_tokens / speed.prompt_high, high + n_tokens / speed.prompt_low
    return low, high
