"""Measurements for tests."""

from __future__ import annotations

import msgspec

from localai_app.store.records import Measurement

MEASUREMENT = Measurement(
    time_s=1_700_000_000.0, model_key="tester/Tiny-GGUF:Q4_K_M", model_name="Tiny", label="Q4_K_M",
    description="llama 135M Q4_K", engine_build="test", processor="Test CPU", gpus=(), place="cpu", gpu_layers=0,
    kv_type="f16", ctx=4096)


def answer_of(model_key: str = MEASUREMENT.model_key, **fields: object) -> Measurement:
    """An answer; `fields` of a measurement."""
    return msgspec.structs.replace(MEASUREMENT, model_key=model_key, **{"tokens": 64, **fields})


def load_of(host: int | None = 0, gpu: int | None = None, **fields: object) -> Measurement:
    """A load that took so many bytes beyond what was calculated."""
    figures = {"predicted_bytes": 1_000, "measured_bytes": 1_100, "host_overhead_bytes": host, "gpu_overhead_bytes": gpu}
    return msgspec.structs.replace(MEASUREMENT, **{**figures, **fields})
