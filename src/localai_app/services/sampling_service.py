"""Which values the sampling of an answer has, and where each comes from: chat, model, recommendation, program."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import msgspec

from localai_app.engine.sampling import SAMPLING_SPECS, Sampling
from localai_app.engine.sampling_values import SamplingValues
from localai_app.errors import AppError
from localai_app.services.chat_settings import ChatSettings
from localai_app.services.events import EventBus, SamplingChanged
from localai_app.services.library_service import LibraryService
from localai_app.services.settings_service import SettingsService
from localai_app.services.stored_json import stored_value
from localai_app.services.vendor_sampling import Recommendation, VendorSampling
from localai_app.store.database import Store

MAX_PRESET_NAME = 60


class Origin(StrEnum):
    """Where a value comes from; an earlier one goes before a later one."""

    CHAT = "chat"
    MODEL = "model"
    RECOMMENDED = "recommended"
    PROGRAM = "program"


@dataclass(frozen=True, slots=True)
class EffectiveSampling:
    """The values in force, and of each number where it comes from and what it would be without the chat's own."""

    sampling: Sampling
    origins: Mapping[str, Origin]
    recommendation: Recommendation | None
    below_chat: Sampling = field(default_factory=Sampling)

    def words(self, key: str) -> str:
        """Where a number comes from, for people."""
        match self.origins[key]:
            case Origin.CHAT:
                return "Set for this chat"
            case Origin.MODEL:
                return "Set for this model"
            case Origin.RECOMMENDED:
                return self.recommendation.words if self.recommendation is not None else "Recommended"
            case _:
                return "The program's own"


@dataclass(frozen=True, slots=True)
class Preset:
    """Values under a name; those that come with the program cannot be changed."""

    name: str
    values: SamplingValues
    is_built_in: bool = False


BUILT_IN_PRESETS = (
    Preset("Precise", SamplingValues(numbers={"temperature": 0.2, "top_p": 0.9, "top_k": 20, "min_p": 0.05}), is_built_in=True),
    Preset("Balanced", SamplingValues(numbers={"temperature": 0.7, "top_p": 0.95, "top_k": 40, "min_p": 0.05}),
           is_built_in=True),
    Preset("Creative", SamplingValues(numbers={"temperature": 1.1, "top_p": 1.0, "top_k": 0, "min_p": 0.05,
                                               "dry_multiplier": 0.8}), is_built_in=True),
)


class SamplingService:
    """Works out the sampling of answers, and keeps what is set for models and the user's presets."""

    def __init__(
        self, store: Store, events: EventBus, settings: SettingsService, library: LibraryService, vendor: VendorSampling,
    ) -> None:
        self._store = store
        self._events = events
        self._settings = settings
        self._library = library
        self._vendor = vendor

    def effective(self, model_key: str, chat: ChatSettings) -> EffectiveSampling:
        """The values for the next answer of a chat. Reads the model's file the first time: not for the window's thread."""
        recommendation = self.recommendation(model_key, chat.thinking)
        base = Sampling(
            temperature=self._settings.number("temperature"), max_tokens=self._settings.integer("max_answer_tokens") or None)
        layers = (
            (Origin.RECOMMENDED, SamplingValues(numbers=dict(recommendation.numbers) if recommendation is not None else {})),
            (Origin.MODEL, self.of_model(model_key)),
        )
        origins = {spec.key: Origin.PROGRAM for spec in SAMPLING_SPECS}
        for origin, values in layers:
            base = values.applied_to(base)
            origins |= dict.fromkeys(values.numbers, origin)
        sampling = msgspec.structs.replace(chat.sampling.applied_to(base), seed=chat.seed, logprobs=chat.logprobs)
        origins |= dict.fromkeys(chat.sampling.numbers, Origin.CHAT)
        return EffectiveSampling(sampling, origins, recommendation, base)

    def recommendation(self, model_key: str, thinking: str | None = None) -> Recommendation | None:
        """What the model's file or the catalog recommends; None where nothing does, or where the model is gone."""
        if not model_key:
            return None
        try:
            return self._vendor.of(self._library.get(model_key), thinking)
        except AppError:
            return None

    def of_model(self, model_key: str) -> SamplingValues:
        """What is set for a model; nothing where it makes no sense. AppError if the store cannot be read."""
        return _stored(self._store.chat_settings.of_model(model_key), model_key)

    def set_of_model(self, model_key: str, values: SamplingValues) -> None:
        """Remember this for all chats with a model; nothing set is the same as forgetting it."""
        if values == self.of_model(model_key):
            return
        self._store.chat_settings.set_of_model(model_key, msgspec.json.encode(values).decode())
        self._events.publish(SamplingChanged(model_key))

    def presets(self) -> tuple[Preset, ...]:
        """Those that come with the program, then the user's own by name."""
        own = self._store.chat_settings.presets()
        return (*BUILT_IN_PRESETS, *(Preset(name, _stored(text, name)) for name, text in own.items()))

    def save_preset(self, name: str, values: SamplingValues) -> str:
        """Keep values under a name, in place of the user's earlier ones; returns the name as kept, empty if it is no name."""
        kept = " ".join(name.split())[:MAX_PRESET_NAME]
        if not kept or any(kept.lower() == preset.name.lower() for preset in BUILT_IN_PRESETS):
            return ""
        self._store.chat_settings.set_preset(kept, msgspec.json.encode(values).decode())
        self._events.publish(SamplingChanged(""))
        return kept

    def remove_preset(self, name: str) -> None:
        """Forget one of the user's presets."""
        self._store.chat_settings.remove_preset(name)
        self._events.publish(SamplingChanged(""))


def _stored(text: str | None, name: str) -> SamplingValues:
    return (stored_value(text, SamplingValues, f"the sampling of {name}") or SamplingValues()).known()
