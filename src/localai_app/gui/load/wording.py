"""How a model is loaded, in words."""

from __future__ import annotations

from localai_app.services.views import EngineState, EngineStatus
from localai_app.units import format_count


def in_force_words(state: EngineState) -> str:
    """What is in force of the loaded model: context, its precision, where it runs."""
    if state.status is EngineStatus.LOADING:
        return "Loading…"
    if state.loaded is None:
        return state.error.message if state.error is not None else "Not loaded"
    loaded, options = state.loaded, state.options
    kept = f" kept as {options.kv_type.value}" if options is not None else ""
    parts = [f"a context of {format_count(loaded.ctx)} tokens{kept}"]
    if loaded.gpu_layers:
        parts.append(f"{loaded.gpu_layers} of {loaded.n_layer} layers on the GPU")
        if options is not None and options.cpu_expert_blocks:
            parts.append(f"the experts of {options.cpu_expert_blocks} blocks in main memory")
    else:
        parts.append("on the processor")
    parts.append(f"{loaded.threads} {'thread' if loaded.threads == 1 else 'threads'}")
    return f"Loaded now: {', '.join(parts)}"
