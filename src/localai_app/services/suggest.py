"""Which models to suggest on this computer, and which variant of each: pure functions over what `fit` found out.

Every card is the best of one trade between quality and speed, so the three differ only in how much quality a doubling of
the speed is worth. That needs no list of names and works for a catalog of two models as for one of a hundred.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from localai_app.catalog.model import CatalogFile, CatalogModel
from localai_app.fit.quality import GOOD_KLD, NOTICEABLE_KLD, quantization_kld
from localai_app.fit.result import FitResult, Verdict
from localai_app.services.views import DiscoveryRow, Suggestion, SuggestionKind
from localai_app.units import format_gib, format_speed_range

READABLE_TPS = 8.0
"""About as fast as people read."""
COMFORTABLE_TPS = 20.0
"""Above this, a variant of higher quality is worth more than further speed."""
STEADY_POINTS = 3.0
"""A card stays while its model is at most this much worse than the best one, so that cards do not flicker."""
_MIDDLE_POINTS = 5.0
"""The balanced model may be this much worse than the fastest one, which is quicker as well."""
_POINTS_PER_KLD = 60.0
"""Makes a model at 2 or 3 bits give way to a smaller one at 4 of nearly its quality."""
_TARGET_KLD = 0.03
"""Q4_K_M or better: the usual target where speed is short."""
_SLOW_POINTS_PER_HALVING = 25.0
_READABLE_PARAMETERS = 4e9
"""Weights per token that a processor of unknown speed is trusted with."""
_UNKNOWN_SPEED_TPS = {Verdict.GPU: 25.0, Verdict.GPU_PARTIAL: 10.0, Verdict.CPU: 8.0}
"""Where the speed is not known: what a device of that kind reaches at least with a model of four billion weights."""
_RUNS = (Verdict.GPU, Verdict.GPU_PARTIAL, Verdict.CPU)
_PLACES = {
    Verdict.GPU: "runs fully on the GPU", Verdict.GPU_PARTIAL: "runs partly on the GPU", Verdict.CPU: "runs on the processor",
}


@dataclass(frozen=True, slots=True)
class _Trade:
    """What a kind of card looks for: points of quality per doubling of the speed, up to a speed that is enough."""

    kind: SuggestionKind
    points_per_doubling: float
    enough_tps: float


_TRADES = (
    _Trade(SuggestionKind.BEST_ANSWERS, 0.5, 60.0),
    _Trade(SuggestionKind.BALANCED, 6.0, 80.0),
    _Trade(SuggestionKind.FASTEST, 12.0, 100.0),
)


@dataclass(frozen=True, slots=True)
class _Candidate:
    model: CatalogModel
    file: CatalogFile
    fit: FitResult

    @property
    def quality(self) -> float:
        """The model's quality less what its quantization loses, in points of the catalog's scale."""
        kld = quantization_kld(self.file.label)
        return self.model.quality - _POINTS_PER_KLD * min(1.0, GOOD_KLD if kld is None else kld)

    @property
    def tps(self) -> float:
        """Tokens per second to compare by."""
        return typical_tps(self.fit, self.model)

    def value(self, trade: _Trade) -> float:
        """Points for a trade. Below reading speed every halving costs so much that quality hardly makes up for it."""
        doublings = math.log2(max(0.1, min(self.tps, trade.enough_tps)) / READABLE_TPS)
        per_doubling = trade.points_per_doubling if doublings >= 0 else max(trade.points_per_doubling, _SLOW_POINTS_PER_HALVING)
        return self.quality + per_doubling * doublings


def suggest(
    rows: Sequence[DiscoveryRow], previous: Sequence[Suggestion] = (), *, computer: str = "this computer",
) -> tuple[Suggestion, ...]:
    """Up to three cards with different models: best answers, balanced, fastest; fewer where fewer models run.

    Chat models come first; a base model is suggested only where no chat model is left. With `previous` (the cards on
    the screen) a card keeps its model as long as that is nearly as good as the new best one. `computer`: what the reasons
    call the computer that the fits are for.
    """
    candidates = [
        _Candidate(row.model, row.file, row.fit)
        for row in rows
        if row.file is not None and row.fit is not None and row.fit.verdict in _RUNS
    ]
    chats = _chosen([one for one in candidates if not one.model.is_base], _TRADES, previous)
    if len(chats) < len(_TRADES):
        taken = {trade.kind for trade, _one in chats}
        free = tuple(trade for trade in _TRADES if trade.kind not in taken)
        chats += _chosen([one for one in candidates if one.model.is_base], free, previous)
    order = [trade.kind for trade in _TRADES]
    chats.sort(key=lambda choice: order.index(choice[0].kind))
    quickest_tps = max((one.tps for _trade, one in chats), default=0.0)
    return tuple(
        Suggestion(trade.kind, one.model, one.file, one.fit, _reason(trade.kind, one, quickest_tps, computer))
        for trade, one in chats)


def best_file(model: CatalogModel, fits: Sequence[FitResult | None]) -> CatalogFile | None:
    """The variant of a model to offer here; `fits` has one entry per `model.files`.

    A loss that is hardly noticed and the quickest way to run come before everything; then the whole context, then the
    highest quality that is still comfortably fast. Where nothing runs: the smallest, so that its fit says what is missing.
    None where no fit is known.
    """
    known = [(file, fit) for file, fit in zip(model.files, fits, strict=True) if fit is not None]
    runnable = [(file, fit) for file, fit in known if fit.verdict in _RUNS]
    if runnable:
        wanted_ctx = max(fit.ctx for _file, fit in runnable)
        return max(runnable, key=lambda pair: _file_rank(model, pair[0], pair[1], wanted_ctx))[0]
    too_large = [file for file, fit in known if fit.verdict is Verdict.NO]
    return min(too_large, key=lambda file: file.size_bytes) if too_large else None


def typical_tps(fit: FitResult, model: CatalogModel) -> float:
    """The middle of the speed range in tokens per second; a cautious guess from size and device where it is not known."""
    if fit.speed.low is not None and fit.speed.high is not None:
        return (fit.speed.low + fit.speed.high) / 2
    active = model.params_active or model.params_total or _READABLE_PARAMETERS
    return _UNKNOWN_SPEED_TPS.get(fit.verdict, 1.0) * _READABLE_PARAMETERS / active


def _chosen(
    candidates: list[_Candidate], trades: Sequence[_Trade], previous: Sequence[Suggestion],
) -> list[tuple[_Trade, _Candidate]]:
    """One model per trade, each another one: the ends first, then what lies between them in speed.

    So the quickest card takes the best of all quick models; chosen last, it would have to be quicker than the middle one at
    any price. Where nothing lies in the wanted range of speeds, any model that is left will do.
    """
    chosen: dict[SuggestionKind, _Candidate] = {}
    trades = _fitting(trades, len({one.model.id for one in candidates}))
    left = list(candidates)
    for trade in sorted(trades, key=lambda trade: trade.kind is SuggestionKind.BALANCED):
        slow, fast = (chosen.get(kind) for kind in (SuggestionKind.BEST_ANSWERS, SuggestionKind.FASTEST))
        pool = [
            one for one in left
            if (slow is None or one.tps > slow.tps)
            and (fast is None or (one.tps < fast.tps and one.quality >= fast.quality - _MIDDLE_POINTS))
        ] or left
        pick = _steady(max(pool, key=lambda one: _order(one, trade)), pool, trade, previous)
        chosen[trade.kind] = pick
        left = [one for one in left if one.model.id != pick.model.id]
    return [(trade, chosen[trade.kind]) for trade in trades]


def _fitting(trades: Sequence[_Trade], count: int) -> list[_Trade]:
    """The trades that `count` models can fill: two show the ends, not the middle."""
    if count >= len(trades):
        return list(trades)
    return [trades[0], trades[-1]][:count] if count <= 2 else list(trades)


def _order(one: _Candidate, trade: _Trade) -> tuple[float, float, str]:
    return one.value(trade), one.tps, one.model.id


def _steady(best: _Candidate, pool: list[_Candidate], trade: _Trade, previous: Sequence[Suggestion]) -> _Candidate:
    before = next((card.model.id for card in previous if card.kind is trade.kind), None)
    kept = next((one for one in pool if one.model.id == before), None)
    if kept is not None and kept.value(trade) >= best.value(trade) - STEADY_POINTS:
        return kept
    return best


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


def _reason(kind: SuggestionKind, one: _Candidate, quickest_tps: float, computer: str) -> str:
    place = _PLACES[one.fit.verdict]
    speed, need = one.fit.speed, format_gib(one.fit.total_bytes)
    pace = f" at {format_speed_range(speed.low, speed.high)}" if speed.low is not None and speed.high is not None else ""
    lead = {
        SuggestionKind.BEST_ANSWERS: f"The best answers that {computer} gives at a readable speed",
        SuggestionKind.BALANCED: "Good answers and quick ones",
        SuggestionKind.FASTEST: "The quickest answers without giving up much quality",
    }[kind]
    if one.model.is_base:
        lead = "Continues texts and does not chat"
    elif kind is SuggestionKind.BEST_ANSWERS and not pace:
        lead = f"The best answers that {computer} gives"
    elif kind is SuggestionKind.BEST_ANSWERS and one.tps < READABLE_TPS:
        lead = f"The best answers that {computer} gives, if slowly"
    elif kind is SuggestionKind.FASTEST and one.tps < quickest_tps:
        lead = "Runs here as well"
    return f"{lead}: it {place} with {need}{pace}."
