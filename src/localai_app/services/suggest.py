"""Which models to suggest on this computer for a task: pure functions over what `fit` found out.

Every card is the best of one trade between quality and speed, so the three differ only in how much quality a doubling of
the speed is worth. That needs no list of names and works for a catalog of two models as for one of a hundred.
"""

from __future__ import annotations

from collections.abc import Sequence

from localai_app.catalog.tasks import Task
from localai_app.fit.result import Verdict
from localai_app.services.candidates import (
    BALANCED_TRADE,
    READABLE_TPS,
    RUNS,
    Candidate,
    Trade,
    are_twins,
    candidate,
    candidates,
)
from localai_app.services.views import DiscoveryRow, Suggestion, SuggestionKind
from localai_app.units import format_gib, format_speed_range

STEADY_POINTS = 3.0
"""A card stays while its model is at most this much worse than the best one, so that cards do not flicker."""
_QUICKER = ((1.25, 5.0), (1.1, 10.0))
"""How many times as fast as the card before it a card has to be, and how much worse than a quicker one it may be."""
_WORTH_POINTS = 15.0
"""A balanced card that is worse than this against the best answers, by its own trade, is no advice."""
_AS_QUICK, _MUCH_SMALLER = 0.8, 0.75
"""Where nothing is quicker: about the same speed, with at most this share of the memory."""
_OTHER_FAMILY_POINTS = 10.0
"""A card shows another family than the cards before it, unless that costs more than this by its trade."""
_LITTLE_POINTS, _MUCH_POINTS = 10.0, 25.0
"""Quality that is not missed much, and quality whose loss everybody notices."""
_PLACES = {
    Verdict.GPU: "runs fully on the GPU", Verdict.GPU_PARTIAL: "runs partly on the GPU", Verdict.CPU: "runs on the processor",
}
_TRADES: dict[SuggestionKind, Trade] = {
    SuggestionKind.BEST_ANSWERS: Trade(0.5, 60.0),
    SuggestionKind.BALANCED: BALANCED_TRADE,
    SuggestionKind.FASTEST: Trade(12.0, 100.0),
}
_LEADS = {
    Task.CHAT: "answers", Task.CODE: "program code", Task.REASONING: "reasoning", Task.VISION: "answers about pictures",
    Task.LANGUAGES: "answers in many languages",
}


def suggest(
    rows: Sequence[DiscoveryRow], previous: Sequence[Suggestion] = (), *, task: Task = Task.CHAT,
    computer: str = "this computer",
) -> tuple[Suggestion, ...]:
    """Up to three cards with different models: best answers, balanced, fastest; fewer where fewer models run.

    Chat models come first; a base model is suggested only where no chat model is left. With `previous` (the cards on
    the screen, for the same task) a card keeps its model as long as that is nearly as good as the new best one. `computer`:
    what the reasons call the computer that the fits are for.
    """
    found = candidates(rows, task)
    chosen = _chosen([one for one in found if not one.model.is_base], tuple(SuggestionKind), previous)
    if len(chosen) < len(SuggestionKind):
        free = tuple(kind for kind in SuggestionKind if kind not in chosen)
        chosen |= _chosen([one for one in found if one.model.is_base], free, previous)
    return _cards(chosen, task, computer)


def same_suggestions(
    rows: Sequence[DiscoveryRow], previous: Sequence[Suggestion], *, task: Task = Task.CHAT, computer: str = "this computer",
) -> tuple[Suggestion, ...] | None:
    """The same models and variants with the fits of now; None where there are none, or one of them does not run any more."""
    by_id = {row.model.id: row for row in rows}
    chosen: dict[SuggestionKind, Candidate] = {}
    for card in previous:
        row = by_id.get(card.model.id)
        fit = row.fit_of(card.file.label) if row is not None else None
        if fit is None or fit.verdict not in RUNS:
            return None
        chosen[card.kind] = candidate(card.model, card.file, fit, task, fit.ctx)
    return _cards(chosen, task, computer) if chosen else None


def _cards(chosen: dict[SuggestionKind, Candidate], task: Task, computer: str) -> tuple[Suggestion, ...]:
    return tuple(
        Suggestion(kind, one.model, one.file, one.fit, _reason(kind, one, chosen, task, computer))
        for kind in SuggestionKind if (one := chosen.get(kind)) is not None)


def _chosen(
    found: list[Candidate], kinds: Sequence[SuggestionKind], previous: Sequence[Suggestion],
) -> dict[SuggestionKind, Candidate]:
    """One model per kind, each another one: the ends first, then what lies between them in speed.

    So the quickest card takes the best of all quick models; chosen last, it would have to be quicker than the middle one at
    any price. Where nothing lies in the wanted range of speeds, any model that is left will do.
    """
    chosen: dict[SuggestionKind, Candidate] = {}
    left = list(found)
    for kind in sorted(_fitting(kinds, len({one.model.id for one in found})), key=lambda kind: kind is SuggestionKind.BALANCED):
        pool = _pool(kind, left, chosen)
        pick = _steady(max(pool, key=lambda one: _order(one, kind)), pool, kind, previous)
        chosen[kind] = pick
        left = [one for one in left if one.model.id != pick.model.id]
    middle, fast = chosen.get(SuggestionKind.BALANCED), chosen.get(SuggestionKind.FASTEST)
    if middle is not None and fast is not None and middle.tps > fast.tps and middle.points >= fast.points - _WORTH_POINTS:
        chosen[SuggestionKind.BALANCED], chosen[SuggestionKind.FASTEST] = fast, middle
    return chosen


def _pool(kind: SuggestionKind, left: list[Candidate], chosen: dict[SuggestionKind, Candidate]) -> list[Candidate]:
    """What a card is chosen from: no twin of another card, different enough from it, and of another family."""
    taken = list(chosen.values())
    distinct = [one for one in left if not any(are_twins(one.model, other.model) for other in taken)] or left
    slow, trade = chosen.get(SuggestionKind.BEST_ANSWERS), _TRADES[kind]
    if slow is None:
        return distinct
    if kind is SuggestionKind.FASTEST:
        pool = [one for one in distinct if one.tps > _QUICKER[0][0] * slow.tps]
    else:
        pool = _between(distinct, slow, chosen.get(SuggestionKind.FASTEST), trade)
    pool = pool or distinct
    families = {other.model.family for other in taken}
    others = [one for one in pool if one.model.family not in families]
    if not others:
        return pool
    price = max(one.value(trade) for one in pool) - max(one.value(trade) for one in others)
    return others if price <= _OTHER_FAMILY_POINTS else pool


def _between(found: list[Candidate], slow: Candidate, fast: Candidate | None, trade: Trade) -> list[Candidate]:
    """Models that are worth a card between two others: clearly quicker, or as quick with much less memory.

    Where there are none: quicker ones that may be quicker than the other end as well, then any that are not much slower.
    """
    worth = slow.value(trade) - _WORTH_POINTS
    for quicker, worse_points in _QUICKER:
        pool = [
            one for one in found
            if one.tps >= quicker * slow.tps and one.value(trade) >= worth
            and (fast is None or (quicker * one.tps <= fast.tps and one.points >= fast.points - worse_points))]
        if pool:
            return pool
    smaller = [
        one for one in found
        if one.tps >= _AS_QUICK * slow.tps and one.value(trade) >= worth and (fast is None or one.tps <= fast.tps)
        and one.fit.total_bytes <= _MUCH_SMALLER * slow.fit.total_bytes]
    return (
        smaller
        or [one for one in found if one.tps >= _QUICKER[-1][0] * slow.tps and one.value(trade) >= worth]
        or [one for one in found if one.tps >= _AS_QUICK * slow.tps])


def _fitting(kinds: Sequence[SuggestionKind], count: int) -> Sequence[SuggestionKind]:
    """The kinds that `count` models can fill: two show the ends, not the middle."""
    if count >= len(kinds):
        return kinds
    return (kinds[0], kinds[-1])[:count] if count <= 2 else kinds


def _order(one: Candidate, kind: SuggestionKind) -> tuple[float, float, str]:
    return one.value(_TRADES[kind]), one.tps, one.model.id


def _steady(best: Candidate, pool: list[Candidate], kind: SuggestionKind, previous: Sequence[Suggestion]) -> Candidate:
    before = next((card.model.id for card in previous if card.kind is kind), None)
    kept = next((one for one in pool if one.model.id == before), None)
    trade = _TRADES[kind]
    if kept is not None and kept.value(trade) >= best.value(trade) - STEADY_POINTS:
        return kept
    return best


def _reason(
    kind: SuggestionKind, one: Candidate, chosen: dict[SuggestionKind, Candidate], task: Task, computer: str,
) -> str:
    place = _PLACES[one.fit.verdict]
    speed, need = one.fit.speed, format_gib(one.fit.total_bytes)
    pace = f" at {format_speed_range(speed.low, speed.high)}" if speed.low is not None and speed.high is not None else ""
    return f"{_lead(kind, one, chosen, task, computer, has_pace=bool(pace))}: it {place} with {need}{pace}."


def _lead(
    kind: SuggestionKind, one: Candidate, chosen: dict[SuggestionKind, Candidate], task: Task, computer: str, *, has_pace: bool,
) -> str:
    """What speaks for a card, no more than is true."""
    slow = chosen.get(SuggestionKind.BEST_ANSWERS, one)
    best = f"The best {_LEADS[task]} that {computer} gives"
    if one.model.is_base:
        return "Continues texts and does not chat"
    if kind is SuggestionKind.BEST_ANSWERS:
        return best if not has_pace else f"{best} at a readable speed" if one.tps >= READABLE_TPS else f"{best}, if slowly"
    lost = slow.points - one.points
    if kind is SuggestionKind.FASTEST and one.tps >= max(other.tps for other in chosen.values()):
        return f"The quickest answers{_price(lost)}"
    if kind is SuggestionKind.BALANCED and one.tps >= _QUICKER[-1][0] * slow.tps:
        return "Nearly as good as the best answers, and quicker" if lost <= _LITTLE_POINTS else "Quicker than the best answers"
    if one.fit.total_bytes <= _MUCH_SMALLER * slow.fit.total_bytes:
        return f"Takes {format_gib(slow.fit.total_bytes - one.fit.total_bytes)} less memory than the best answers"
    return "Runs here as well"


def _price(lost_points: float) -> str:
    """What the quickest answers cost in quality, against the best ones."""
    if lost_points <= _LITTLE_POINTS:
        return " without giving up much quality"
    return f", {'somewhat' if lost_points <= _MUCH_POINTS else 'much'} less good than the best ones"
