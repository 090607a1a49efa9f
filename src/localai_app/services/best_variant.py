"""Which variant of a model to offer on a computer: pure functions over what `fit` found out."""

from __future__ import annotations

from collections.abc import Sequence

from localai_app.catalog.model import CatalogFile, CatalogModel
from localai_app.fit.quality import GOOD_KLD, NOTICEABLE_KLD, quantization_kld
from localai_app.fit.result import FitResult, Verdict
from localai_app.services.candidates import READABLE_TPS, RUNS, typical_tps

COMFORTABLE_TPS = 20.0
"""Above this, a variant of higher quality is worth more than further speed."""
_TARGET_KLD = 0.03
"""Q4_K_M or better: the usual target where speed is short."""


def best_file(model: CatalogModel, fits: Sequence[FitResult | None]) -> CatalogFile | None:
    """The variant of a model to offer here; `fits` has one entry per `model.files`.

    A loss that is hardly noticed and the quickest way to run come before everything; then the whole context, then the
    highest quality that is still comfortably fast. Where nothing runs: the smallest, so that its fit says what is missing.
    None where no fit is known.
    """
    known = [(file, fit) for file, fit in zip(model.files, fits, strict=True) if fit is not None]
    runnable = [(file, fit) for file, fit in known if fit.verdict in RUNS]
    if runnable:
        wanted_ctx = max(fit.ctx for _file, fit in runnable)
        return max(runnable, key=lambda pair: _file_rank(model, pair[0], pair[1], wanted_ctx))[0]
    too_large = [file for file, fit in known if fit.verdict is Verdict.NO]
    return min(too_large, key=lambda file: file.size_bytes) if too_large else None


def _file_rank(model: CatalogModel, file: CatalogFile, fit: FitResult, wanted_ctx: int) -> tuple[float, ...]:
    """Higher is better: loss and place together, then the whole context, then comfortable speed, then quality."""
    kld = quantization_kld(file.label)
    loss = GOOD_KLD if kld is None else kld
    tier = 2 if loss <= GOOD_KLD else 1 if loss <= NOTICEABLE_KLD else 0
    tps = typical_tps(fit, model)
    place = {Verdict.GPU: 3.0, Verdict.GPU_PARTIAL: 2.0 if tps >= READABLE_TPS else 1.4, Verdict.CPU: 1.0}[fit.verdict]
    group = 3 * (tier == 2) + 2 * place if tier else place
    has_context = float(fit.ctx >= wanted_ctx)
    if tps >= COMFORTABLE_TPS:
        return group, has_context, 1.0, -loss, -file.size_bytes
    return group, has_context, 0.0, float(loss <= _TARGET_KLD), tps, -file.size_bytes
