"""What llama.cpp's own plan of a load says beyond the formulas, in words."""

from __future__ import annotations

import msgspec

from localai_app.fit.memory import ModelMemory
from localai_app.fit.placement import Placer
from localai_app.fit.result import FitResult
from localai_app.fit.shares import Placement
from localai_app.units import MIB, format_gib

WORTH_TELLING = 0.02
WORTH_TELLING_BYTES = 16 * MIB
"""Differences up to this share of cache and buffers, or up to this size, are not mentioned."""


def difference_reason(placement: Placement, memory: ModelMemory) -> str:
    """A whole sentence; empty where nothing was planned, or where the formulas agree."""
    if not placement.is_planned and not memory.is_planned(placement.kv_type, on_gpu=bool(placement.gpus)):
        return ""
    formula_bytes = formula_working_bytes(placement, memory)
    planned_bytes = sum(share.kv_bytes + share.compute_bytes for share in placement.shares)
    if abs(planned_bytes - formula_bytes) <= max(WORTH_TELLING * planned_bytes, WORTH_TELLING_BYTES):
        return ""
    percent = round(abs(formula_bytes - planned_bytes) / max(1, planned_bytes) * 100)
    return (
        f"Context and buffers take {format_gib(planned_bytes)} by llama.cpp's own plan; the formula alone says "
        f"{format_gib(formula_bytes)}, {percent}% {'more' if formula_bytes > planned_bytes else 'less'}.")


def basis_reason(fit: FitResult, rough: FitResult) -> FitResult:
    """The fit, and in its reasons how far from it the estimate from the file's size alone was; unchanged where they agree."""
    planned_bytes, rough_bytes = fit.total_bytes, rough.total_bytes
    is_same_question = (fit.ctx, fit.kv_type, fit.verdict) == (rough.ctx, rough.kv_type, rough.verdict)
    apart = abs(planned_bytes - rough_bytes)
    if not rough_bytes or not is_same_question or apart <= max(WORTH_TELLING * planned_bytes, WORTH_TELLING_BYTES):
        return fit
    percent = round(apart / max(1, planned_bytes) * 100)
    reason = (
        f"From the size of the file alone the estimate was {format_gib(rough_bytes)}, {percent}% "
        f"{'more' if rough_bytes > planned_bytes else 'less'}.")
    return msgspec.structs.replace(fit, reasons=(*fit.reasons, reason))


def repacked_reason(placement: Placement, memory: ModelMemory) -> str:
    """A whole sentence about weights that lie in main memory twice; empty where they are few.

    They count once: the originals are pages of the file, which the system takes back when memory is short.
    """
    repacked_bytes = placement.host.repacked_bytes
    if repacked_bytes <= WORTH_TELLING * memory.sums.file_bytes:
        return ""
    return (
        f"llama.cpp rearranges {format_gib(repacked_bytes)} of the weights for this processor; the originals show up "
        "as memory in use too, which the system takes back when others need it.")


def formula_working_bytes(placement: Placement, memory: ModelMemory) -> int:
    """Cache and buffers of a placement on all devices by the formulas alone, in bytes."""
    formula = Placer(memory.by_formula(), placement.host.budget).again(placement)
    return sum(share.kv_bytes + share.compute_bytes for share in formula.shares)
