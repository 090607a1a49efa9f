"""Who drafts tokens for a model: whether that is possible, what it takes, and what it gained here before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from localai_app.engine.protocol import LoadOptions
from localai_app.errors import DRAFT_REFUSED, AppError
from localai_app.fit.result import DRAFT_BY_LOOKUP, FitResult, Request
from localai_app.gguf.dimensions import vocabulary_size
from localai_app.gguf.header import GgufHeader
from localai_app.services.estimate_service import EstimateService
from localai_app.services.library_service import LibraryService
from localai_app.services.tuning_memory import TuningMemory
from localai_app.services.views import InstalledModel
from localai_app.units import format_gib

DRAFT_TOKENS = 8
"""Verified at once at most; how many are, the rule decides while answering."""
LOGIT_BYTES = 4
_SAME_KEYS = ("tokenizer.ggml.model", "tokenizer.ggml.pre")


@dataclass(frozen=True, slots=True)
class DraftPlan:
    """What drafting adds to a load. `fit`: of the draft model by itself, None without one."""

    path: str = ""
    gain: float = 0.0
    rows_bytes: int = 0
    """Of main memory, for the logits of the drafted tokens."""
    fit: FitResult | None = None

    def room_in(self, request: Request) -> Request:
        """The request with so much less free memory as the draft takes."""
        host, on_gpus = self.rows_bytes, dict(request.device_credits)
        for device in self.fit.devices if self.fit is not None else ():
            if device.kind == "gpu" and device.total_bytes:
                name = device.engine_name or device.name
                on_gpus[name] = on_gpus.get(name, 0) - device.total_bytes
            else:
                host += device.total_bytes
        return msgspec.structs.replace(
            request, credit_bytes=request.credit_bytes - host, device_credits=tuple(on_gpus.items()))

    def applied_to(self, options: LoadOptions) -> LoadOptions:
        """The load options with drafting."""
        layers = self.fit.load_options.gpu_layers if self.fit is not None and self.fit.load_options is not None else 0
        return msgspec.structs.replace(
            options, draft_path=self.path, draft_tokens=DRAFT_TOKENS, lookup=not self.path, draft_gain=self.gain,
            draft_gpu_layers=layers)

    def told_in(self, result: FitResult) -> FitResult:
        """The fit of the model with what the draft takes beside it, in words."""
        if self.fit is None:
            return result
        taken = format_gib(self.fit.total_bytes + self.rows_bytes)
        return msgspec.structs.replace(
            result, reasons=(*result.reasons, f"The model that drafts tokens takes {taken} more, which is kept free for it."))


class DraftPlanner:
    """Plans drafting for installed models. Reads headers: not for the window's thread."""

    def __init__(self, library: LibraryService, estimate: EstimateService, memory: TuningMemory) -> None:
        self._library = library
        self._estimate = estimate
        self._memory = memory

    def plan(self, model: InstalledModel, request: Request) -> DraftPlan | None:
        """What the drafting that a request asks for takes; None where it asks for none.

        AppError where the draft model is not there, has another vocabulary, or does not fit by itself.
        """
        if not request.draft:
            return None
        gain = self._memory.draft_gain(model, request.draft)
        if request.draft == DRAFT_BY_LOOKUP:
            return DraftPlan(gain=gain)
        draft = self._library.get(request.draft)
        headers = self._estimate.headers_of(draft)
        if draft.key == model.key or not _same_vocabulary(self._estimate.headers_of(model), headers):
            raise AppError(DRAFT_REFUSED, draft=draft.name, name=model.name, reason=(
                "it is the same model" if draft.key == model.key else "its vocabulary is another one"))
        alone = msgspec.structs.replace(
            request, draft="", ctx=request.ctx or request.default_ctx, gpu_layers=None if request.gpu_layers != 0 else 0,
            experts_on_cpu=None)
        fit = self._estimate.fit_headers(draft, headers, alone, asks_engine=False)
        if fit.load_options is None:
            raise AppError(DRAFT_REFUSED, draft=draft.name, name=model.name, reason="there is no room for it")
        rows_bytes = DRAFT_TOKENS * vocabulary_size(headers[0]) * LOGIT_BYTES
        return DraftPlan(str(draft.paths[0]), gain, rows_bytes, fit)

    def candidates(self, model: InstalledModel) -> tuple[InstalledModel, ...]:
        """Smaller installed models whose vocabulary seems to be the same; the engine compares its words when it loads them."""
        try:
            headers = self._estimate.headers_of(model)
        except AppError:
            return ()
        return tuple(
            other for other in self._library.models()
            if other.size_bytes < model.size_bytes and other.is_complete and self._could_draft(other, headers))

    def _could_draft(self, other: InstalledModel, headers: Sequence[GgufHeader]) -> bool:
        try:
            return _same_vocabulary(headers, self._estimate.headers_of(other))
        except AppError:
            return False


def drafter_of(options: LoadOptions, models: Sequence[InstalledModel]) -> str:
    """By which name the memory knows who drafts in a load; empty for nobody."""
    if options.draft_path:
        return next((model.key for model in models if str(model.paths[0]) == options.draft_path), "")
    return DRAFT_BY_LOOKUP if options.lookup else ""


def _same_vocabulary(headers: Sequence[GgufHeader], others: Sequence[GgufHeader]) -> bool:
    one, other = headers[0], others[0]
    return vocabulary_size(one) == vocabulary_size(other) and all(one.text(key) == other.text(key) for key in _SAME_KEYS)
