"""Which loaded models make room for another one: none where it fits beside them, else as the user wants it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from localai_app import errors
from localai_app.errors import AppError
from localai_app.fit.result import FitResult
from localai_app.services.load_way import LoadPlan
from localai_app.services.memory_credit import gpu_shares, private_bytes
from localai_app.services.settings_service import SettingsService
from localai_app.services.views import EngineStatus, LoadedModel
from localai_app.units import format_gib

PlanInsteadOf = Callable[[Sequence[LoadedModel]], LoadPlan]
"""How a model would be loaded after these were unloaded; AppError where it would not be."""


class MemoryShort(StrEnum):
    """What happens where a model does not fit beside those that are loaded."""

    UNLOAD = "unload"
    """The one used longest ago leaves, then the next."""
    ASK = "ask"
    ONE = "one"
    """There is never more than one model."""


@dataclass(frozen=True, slots=True)
class RoomRules:
    """The user's wishes. `most_models` 0: as many as fit."""

    when_short: MemoryShort
    most_models: int


def room_rules(settings: SettingsService) -> RoomRules:
    """The wishes that stand in the settings."""
    return RoomRules(MemoryShort(settings.text("memory_short")), settings.integer("most_models"))


class EngineRoom:
    """Plans are cheap once llama.cpp was asked about a model: a few of them tell how many models have to leave."""

    def __init__(self, rules: Callable[[], RoomRules]) -> None:
        self._rules = rules

    def leaving(
        self, plan: PlanInsteadOf, others: Sequence[LoadedModel], *, may_ask: bool,
    ) -> tuple[LoadedModel, ...]:
        """The models to unload for the one that `plan` is about, in their order.

        AppError MODEL_IN_THE_WAY or MODEL_ANSWERING where the user has to be asked first and `may_ask`.
        """
        rules = self._rules()
        # Those that answer leave last, and of the others first what was used longest ago.
        ranked = sorted(others, key=lambda model: (is_answering(model), model.used_s))
        leaving = tuple(ranked) if rules.when_short is MemoryShort.ONE else self._needed(plan, ranked, rules.most_models)
        answering = [model for model in leaving if is_answering(model)]
        if may_ask and answering:
            raise AppError(errors.MODEL_ANSWERING, others=names(answering))
        is_over_limit = 0 < rules.most_models <= len(others)
        if may_ask and leaving and rules.when_short is MemoryShort.ASK and not is_over_limit:
            raise _question(plan, leaving)
        return leaving

    def _needed(self, plan: PlanInsteadOf, ranked: Sequence[LoadedModel], most_models: int) -> tuple[LoadedModel, ...]:
        """As few as it takes for a load that is as good as if all of them left; none where not even that would help."""
        least = max(0, len(ranked) + 1 - most_models) if most_models else 0
        try:
            best = plan(ranked).fit
        except AppError:
            return ()
        if best is None:
            return tuple(ranked)
        for count in range(least, len(ranked)):
            if _is_as_good(plan, ranked[:count], best):
                return tuple(ranked[:count])
        return tuple(ranked)


def is_answering(model: LoadedModel) -> bool:
    """Whether a model is in the middle of an answer."""
    return model.state.status is EngineStatus.ANSWERING


def names(models: Sequence[LoadedModel]) -> str:
    """Models as part of a sentence."""
    found = [model.state.model_name or model.key for model in models]
    return found[0] if len(found) == 1 else f"{', '.join(found[:-1])} and {found[-1]}"


def held_bytes(model: LoadedModel) -> int:
    """What the end of a model gives back: main memory of its own, and its share of GPUs."""
    own = private_bytes(model.pid) if model.pid is not None else 0
    return own + sum(held for _name, held in gpu_shares(model))


def _is_as_good(plan: PlanInsteadOf, instead_of: Sequence[LoadedModel], best: FitResult) -> bool:
    """Whether a load gives nothing up where only these leave."""
    try:
        fit = plan(instead_of).fit
    except AppError:
        return False
    if fit is None or fit.load_options is None or best.load_options is None:
        return False
    options, other = fit.load_options, best.load_options
    return (
        fit.verdict is best.verdict and fit.ctx >= best.ctx and options.gpu_layers >= other.gpu_layers
        and options.cpu_expert_blocks <= other.cpu_expert_blocks and options.ubatch >= other.ubatch)


def _question(plan: PlanInsteadOf, leaving: Sequence[LoadedModel]) -> AppError:
    held = format_gib(sum(held_bytes(model) for model in leaving))
    found = plan(leaving)
    needed = format_gib(found.fit.total_bytes) if found.fit is not None else "more memory"
    return AppError(errors.MODEL_IN_THE_WAY, name=found.model.name, needed=needed, others=names(leaving), held=held)
