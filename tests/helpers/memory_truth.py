"""Predicted memory of the two real models beside what llama.cpp logs of the load and what the worker's process grows by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from localai_app.engine.protocol import KvType
from localai_app.fit.result import Basis, FitResult, Request
from localai_app.services.app_services import AppServices
from tests.helpers.measured_load import MeasuredLoad, measured_load

MIB = 1024 * 1024
CONTEXTS = {"SmolLM2": (1024, 2048, 4096, 6144, 8192), "gemma": (1024, 4096, 8192, 16384, 32768)}
"""SmolLM2 was made for 8,192 tokens, Gemma 3 270M for 32,768."""
KV_TYPES = (KvType.F16, KvType.Q8_0)
LINE_BYTES = round(0.01 * MIB)
"""llama.cpp logs each buffer in MiB with two decimals."""


@dataclass(frozen=True)
class Truth:
    """One load: predicted, as llama.cpp logged it, and as the process grew."""

    ctx: int
    kv_type: KvType
    fit: FitResult
    load: MeasuredLoad

    @property
    def copied_bytes(self) -> int:
        """Weights that were rearranged for the processor; their originals stay mapped and count as well."""
        return sum(buffer.repacked_bytes for buffer in self.load.buffers)

    @property
    def predicted_bytes(self) -> int:
        """Buffers, tokenizer and the originals of rearranged weights."""
        return self.fit.total_bytes + self.copied_bytes

    def differences(self) -> dict[str, int]:
        """Predicted less allocated, by part."""
        buffers = self.load.buffers
        return {
            "weights": self.fit.weights_bytes - sum(one.weights_bytes - one.repacked_bytes for one in buffers),
            "kv": self.fit.kv_bytes - sum(one.kv_bytes for one in buffers),
            "compute": self.fit.compute_bytes - sum(one.compute_bytes + one.output_bytes for one in buffers)}


def truths(services: AppServices, path: Path, folder: Path, loads: Sequence[tuple[int, KvType]]) -> list[Truth]:
    """Predictions from llama.cpp's plan, and the loads that they are of."""
    found = []
    for ctx, kv_type in loads:
        fit = services.estimate.fit_installed(str(path), Request(ctx=ctx, kv_type=kv_type, gpu_layers=0))
        assert fit.basis is Basis.DRY_RUN
        assert fit.load_options is not None
        found.append(Truth(ctx, kv_type, fit, measured_load(fit.load_options, folder)))
    return found
