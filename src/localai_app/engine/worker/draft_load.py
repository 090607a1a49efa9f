"""What drafts tokens for a model that was just loaded, as its load options say."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from localai_app.engine.failure import RequestRefusedError
from localai_app.engine.protocol import KvType, LoadOptions
from localai_app.engine.worker.draft import Drafting, vocabulary_difference
from localai_app.engine.worker.llama_model import LlamaModel
from localai_app.errors import DRAFT_REFUSED

CANNOT_GO_BACK = "Nothing is drafted: the memory of this kind of model cannot take tokens back."


def load_drafting(
    library: Any, model: LlamaModel, options: LoadOptions, load: Callable[[LoadOptions], LlamaModel],
) -> tuple[Drafting | None, str]:
    """How tokens are drafted, None for not at all; and that in a sentence, empty where nothing was asked for.

    RequestRefusedError DRAFT_REFUSED where the draft model has another vocabulary, and what `load` raises.
    """
    if not is_wanted(options):
        return None, ""
    if model.has_state:
        return None, CANNOT_GO_BACK
    if not options.draft_path:
        return Drafting(None, options.draft_tokens, options.draft_gain), "Tokens are drafted from the conversation."
    name, draft_name = Path(options.model_path).name, Path(options.draft_path).name
    draft = load(draft_options(options))
    difference = vocabulary_difference(library, model, draft)
    if not difference and draft.has_state:
        difference = "its memory cannot take tokens back"
    if difference:
        draft.free()
        raise RequestRefusedError(DRAFT_REFUSED, draft=draft_name, name=name, reason=difference)
    return Drafting(draft, options.draft_tokens, options.draft_gain), f"Tokens are drafted by {draft_name}."


def is_wanted(options: LoadOptions) -> bool:
    """Whether anything is to be drafted."""
    return options.draft_tokens > 0 and (options.lookup or bool(options.draft_path))


def draft_options(options: LoadOptions) -> LoadOptions:
    """How the draft model of a load is loaded: with the same context, and cache in full precision."""
    return msgspec.structs.replace(
        options, model_path=options.draft_path, gpu_layers=options.draft_gpu_layers, kv_type=KvType.F16,
        tensor_split=(), cpu_expert_blocks=0, kept_bytes=0, draft_path="", draft_tokens=0, lookup=False)

