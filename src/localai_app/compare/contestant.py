"""One of the models that are compared, with the settings that it answers with."""

from __future__ import annotations

import msgspec

from localai_app.engine.load_options import KvType
from localai_app.engine.sampling_values import SamplingValues

MIN_CONTESTANTS, MAX_CONTESTANTS = 2, 6


class ContestantSettings(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a contestant has of its own; None: as the comparison, and else as the program's settings and the model say."""

    system_prompt: str | None = None
    sampling: SamplingValues = SamplingValues()
    thinking: str | None = None
    """One of the model's choices (`ChatFormat.thinking`)."""
    ctx: int | None = None
    kv_type: KvType | None = None
    gpu_layers: int | None = None


class Contestant(msgspec.Struct, frozen=True, kw_only=True):
    """A model, its variant and its settings. The same model may stand for several contestants."""

    model_key: str
    """As `InstalledModel.key`."""
    name: str
    """Of the model, for people."""
    label: str = ""
    """Quantization label, or empty."""
    settings: ContestantSettings = ContestantSettings()
