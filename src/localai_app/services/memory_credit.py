"""Memory that loaded models give back when they are unloaded, as a request of `fit` counts it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import msgspec
import psutil

from localai_app.fit.result import Request
from localai_app.services.views import LoadedModel


def credited(request: Request, models: Sequence[LoadedModel]) -> Request:
    """A request that counts what these models give back: their workers' own memory, and their share of each GPU."""
    if not models:
        return request
    on_gpus: Counter[str] = Counter()
    for model in models:
        for name, held in gpu_shares(model):
            on_gpus[name] += held
    own = sum(private_bytes(model.pid) for model in models if model.pid is not None)
    return msgspec.structs.replace(request, credit_bytes=own, device_credits=tuple(on_gpus.items()))


def gpu_shares(model: LoadedModel) -> tuple[tuple[str, int], ...]:
    """What a model was planned to hold on each GPU: (llama.cpp's name, or the GPU's own; bytes)."""
    devices = model.state.fit.devices if model.state.fit is not None else ()
    return tuple(
        (device.engine_name or device.name, device.total_bytes)
        for device in devices if device.kind == "gpu" and device.total_bytes > 0)


def private_bytes(pid: int) -> int:
    """Main memory that the end of a process gives back, mapped files left out: their pages count as available already."""
    try:
        process = psutil.Process(pid)
        memory = process.memory_info()
        if hasattr(memory, "shared"):
            return max(0, int(memory.rss - memory.shared))
        return int(process.memory_full_info().uss)
    except psutil.Error:
        return 0
