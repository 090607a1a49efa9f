"""How a model is loaded where it differs from all others: remembered per model, in the store."""

from __future__ import annotations

import msgspec

from localai_app.engine.protocol import KvType
from localai_app.fit.result import Request
from localai_app.services.events import EventBus, LoadSettingsChanged
from localai_app.services.stored_json import stored_value
from localai_app.store.database import Store

MOST_PARTS = 16


def parse_parts(text: str) -> tuple[float, ...] | None:
    """The parts in which GPUs share layers, from `3,1` or `3 1`; None where that is not what it says."""
    words = text.replace(",", " ").split()
    try:
        parts = tuple(float(word) for word in words)
    except ValueError:
        return None
    is_sound = 0 < len(parts) <= MOST_PARTS and all(0 <= part < 1e6 for part in parts) and any(part > 0 for part in parts)
    return parts if is_sound else None


def split_words(parts: tuple[float, ...]) -> str:
    """Parts as they are typed; empty ones are automatic."""
    return ", ".join(f"{part:g}" for part in parts) or "automatic"


class LoadSettings(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is set for one model; what is None is as the program's settings say, or chosen to fit."""

    ctx: int | None = None
    kv_type: KvType | None = None
    gpu_layers: int | None = None
    experts_on_cpu: int | None = None
    """Blocks whose experts stay in main memory."""
    draft: str | None = None
    """Who drafts tokens: `lookup`, or the key of an installed model; None: nobody."""
    without_devices: tuple[str, ...] = ()
    """GPUs that are left alone, by llama.cpp's name or, where that is not known, by their own."""
    chat_template: str = ""
    """As in `LoadOptions`: empty for the model's own, the name of a family, or a text."""

    main_device: str = ""
    """The GPU that is used alone where the model fits on it, named as in `without_devices`."""
    tensor_split: tuple[float, ...] = ()
    """In which proportion the GPUs share the layers, in their order."""

    @property
    def is_default(self) -> bool:
        """Whether nothing is set."""
        return self == LoadSettings()

    def applied_to(self, request: Request) -> Request:
        """A request with what is set here in place of what it says."""
        return msgspec.structs.replace(
            request,
            ctx=self.ctx if self.ctx is not None else request.ctx,
            kv_type=self.kv_type or request.kv_type,
            gpu_layers=self.gpu_layers if self.gpu_layers is not None else request.gpu_layers,
            experts_on_cpu=self.experts_on_cpu if self.experts_on_cpu is not None else request.experts_on_cpu,
            draft=self.draft or request.draft,
            excluded_devices=self.without_devices or request.excluded_devices,
            main_device=self.main_device or request.main_device, tensor_split=self.tensor_split or request.tensor_split)


class LoadSettingsService:
    """Reads and changes what is remembered; every change is published as LoadSettingsChanged."""

    def __init__(self, store: Store, events: EventBus) -> None:
        self._store = store
        self._events = events

    def get(self, model_key: str) -> LoadSettings:
        """What is remembered for a model; nothing set where nothing is, or where it makes no sense.

        AppError if the store cannot be read.
        """
        text = self._store.load_settings.get(model_key)
        return stored_value(text, LoadSettings, f"what is set for loading {model_key}") or LoadSettings()

    def set(self, model_key: str, settings: LoadSettings) -> None:
        """Remember these; nothing set is the same as forgetting them."""
        if settings == self.get(model_key):
            return
        if settings.is_default:
            self._store.load_settings.remove(model_key)
        else:
            self._store.load_settings.set(model_key, msgspec.json.encode(settings).decode())
        self._events.publish(LoadSettingsChanged(model_key))
