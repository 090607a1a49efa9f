"""Measuring and making of smaller files, in words."""

from __future__ import annotations

from collections.abc import Callable

from localai_app import errors
from localai_app.errors import AppError
from localai_app.services.compare.loss_state import LossState, LossStatus, QuantizingState, QuantizingStatus
from localai_app.units import format_count, format_file_size, format_wait


def measuring_words(state: LossState, title_of: Callable[[str], str]) -> str:
    """ "Measuring Q4_0 (2 of 3), 40%, 20 s left"; `title_of`: what the model of a key is called."""
    if not state.is_running:
        return ""
    verb = "Loading for" if state.status is LossStatus.LOADING else "Measuring"
    place = ""
    if len(state.variant_keys) > 1 and state.variant_key in state.variant_keys:
        place = f" ({state.variant_keys.index(state.variant_key) + 1} of {len(state.variant_keys)})"
    return f"{verb} {title_of(state.variant_key)}{place}, {round(100 * state.fraction)}%{_left_words(state.left_s)}"


def making_words(state: QuantizingState) -> str:
    """ "Making Q4_0, 92 MB, 40%, 20 s left"."""
    size = f", {format_file_size(state.size_bytes)}" if state.size_bytes else ""
    return f"Making {state.label}{size}, {round(100 * state.fraction)}%{_left_words(state.left_s)}"


def made_words(state: QuantizingState) -> str:
    """What became of a re-quantization: size, and what fell back; empty where there is nothing to say."""
    if state.status is QuantizingStatus.STOPPED:
        return f"Stopped; nothing is left of {state.label}."
    if state.status is not QuantizingStatus.DONE:
        return ""
    words = f"{state.label} is made: {format_file_size(state.size_bytes)}, and it is among your installed models."
    if state.fallbacks:
        used = sorted({one.used for one in state.fallbacks})
        n = len(state.fallbacks)
        tensors = "1 tensor is" if n == 1 else f"{format_count(n)} tensors are"
        words += (
            f" {tensors} stored as {' or '.join(used)}, because {'its' if n == 1 else 'their'} rows do not fill whole blocks: "
            "the file is larger and better than its label says.")
    return words


def failed_words(error: AppError, variant: str) -> AppError:
    """The error as it is told: an engine's own speaks of chats, and not of what was measured."""
    if not variant or error.spec.code.startswith("loss_"):
        return error
    return AppError(errors.LOSS_FAILED, variant=variant, reason=error.message, detail=error.detail)


def _left_words(left_s: float | None) -> str:
    return f", {format_wait(left_s)} left" if left_s is not None else ""
