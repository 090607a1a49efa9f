"""Which variant of a model to accent where the list of suggestions does not say."""

from __future__ import annotations

from collections.abc import Sequence

from localai_app.fit.quality import GOOD_KLD, quantization_kld
from localai_app.fit.result import Verdict
from localai_app.gui.itemmodels.discovery_list_model import DiscoverEntry
from localai_app.services.views import DiscoveryRow, VariantRow

USUAL_LABEL = "Q4_K_M"
_ORDER = {Verdict.GPU: 3, Verdict.GPU_PARTIAL: 2, Verdict.CPU: 1}


def recommended_label(rows: Sequence[VariantRow], of_list: str = "") -> str:
    """What the list recommends if it is offered; else the usual variant if none runs better, else the best one that runs.

    Empty where nothing runs.
    """
    if any(row.label == of_list and (row.fit is None or row.fit.verdict is not Verdict.UNKNOWN) for row in rows):
        return of_list
    running = [row for row in rows if row.fit is not None and row.fit.verdict in _ORDER]
    if not running:
        return ""
    best = max(_place(row) for row in running)
    first = [row for row in running if _place(row) == best]
    good = [row for row in first if _loss(row) <= GOOD_KLD]
    usual = next((row for row in first if row.label == USUAL_LABEL), None)
    if usual is not None:
        return usual.label
    return min(good, key=lambda row: row.size_bytes).label if good else min(first, key=_loss).label


def label_of_list(rows: Sequence[DiscoveryRow], entry: DiscoverEntry | None) -> str:
    """The variant that the list of the catalog recommends for this computer; empty for what is not in it."""
    model = entry.model if entry is not None else None
    if model is None:
        return ""
    return next((row.file.label for row in rows if row.model.id == model.id and row.file is not None), "")


def _place(row: VariantRow) -> int:
    return _ORDER.get(row.fit.verdict, 0) if row.fit is not None else 0


def _loss(row: VariantRow) -> float:
    kld = quantization_kld(row.label)
    return 1.0 if kld is None else kld
