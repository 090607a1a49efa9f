"""The image or audio part of a model (mmproj): a file of its own, counted only where it is asked for.

This version's engine chats in text and does not load it, so by default it is told of and not added to the need.
"""

from __future__ import annotations

import msgspec

from localai_app.fit.result import FitResult, Request, Subject, Verdict
from localai_app.units import format_gib


def counted_subject(subject: Subject, request: Request) -> Subject:
    """The subject as far as it will be loaded."""
    if request.with_projector or not subject.weights.projector_bytes:
        return subject
    weights = msgspec.structs.replace(subject.weights, projector_bytes=0)
    return msgspec.structs.replace(subject, weights=weights)


def with_projector_told(result: FitResult, subject: Subject, request: Request) -> FitResult:
    """The result, and in its reasons what the image or audio part takes or would take; `subject` as it came."""
    n_bytes = subject.weights.projector_bytes
    if not n_bytes or result.verdict is Verdict.UNKNOWN:
        return result
    if request.with_projector:
        reason = f"{format_gib(n_bytes)} of the weights are its image or audio part (mmproj)."
    else:
        reason = (
            f"Its image or audio part (mmproj) would take {format_gib(n_bytes)} more if it were loaded; this version chats in "
            "text only and leaves it out.")
    return msgspec.structs.replace(result, reasons=(*result.reasons, reason))
