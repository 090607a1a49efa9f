"""Measured losses for tests."""

from __future__ import annotations

import msgspec

from localai_app.compare.loss import Estimate, LossModel, LossResult
from localai_app.services.app_services import AppServices

REFERENCE = LossModel(
    key="tester/Tiny-Chat-GGUF:F32", name="Tiny Chat", label="F32", size_bytes=540_000_000, tps=40.0, prompt_tps=300.0)


def loss_of(
    label: str = "Q4_0", kld: float = 0.07, size_bytes: int = 92_000_000, *, tps: float = 80.0, key: str = "",
    reference: LossModel = REFERENCE, **fields: object,
) -> LossResult:
    """A result of a variant of the reference; `fields` of a result."""
    result = LossResult(
        n_scored=4096, reference_perplexity=Estimate(value=20.0, error=0.5), variant_perplexity=Estimate(value=21.3, error=0.6),
        log_ratio=Estimate(value=0.063, error=0.01), kld=Estimate(value=kld, error=kld / 20), kld_median=kld / 2,
        kld_p90=2 * kld, kld_p99=5 * kld, kld_p999=9 * kld, kld_max=20 * kld, same_top=Estimate(value=0.912, error=0.004),
        p_diff=Estimate(value=-0.01, error=0.001), p_diff_rms=Estimate(value=0.05, error=0.002), measured_s=1_700_000_000.0,
        reference=reference, variant=LossModel(
            key=key or f"tester/Tiny-Chat-GGUF:{label}", name="Tiny Chat", label=label, size_bytes=size_bytes, tps=tps,
            prompt_tps=200.0),
        text_name="Mixed English (built in)", text_sha256="ab" * 32, n_tokens=8192, ctx=512, seconds=60.0, threads=8,
        engine_build="llama-cpp-python 0.3.36; CPU : AVX2 = 1", processor="Test CPU 9000")
    return msgspec.structs.replace(result, **fields)


def keep_loss(services: AppServices, *results: LossResult) -> None:
    """Put results into the store, as a measurement would."""
    for result in results:
        services.store.losses.add(msgspec.json.encode(result).decode())
