"""Published figures and well-known combinations of model and machine, each sum worked out by hand beside it.

Sums are in GiB unless they say GB; the machines have what is left when nothing else runs.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from localai_app.catalog.load import load_catalog
from localai_app.catalog.model import CatalogFile
from localai_app.catalog.subject import catalog_weights
from localai_app.engine.protocol import KvType
from localai_app.fit.decide import decide
from localai_app.fit.kv_cache import cell_bytes, kv_cache_bytes
from localai_app.fit.result import Basis, FitResult, Request, Subject, Verdict
from localai_app.gguf.geometry import Geometry
from localai_app.hardware.report import HardwareReport
from localai_app.units import GIB, MIB
from tests.helpers.fit_subjects import apple, computer, gpu_table, nvidia

CATALOG = load_catalog(Path(__file__).resolve().parents[3] / "resources" / "catalog" / "models.json")
BY_ID = {model.id: model for model in CATALOG.models}
GPUS = gpu_table()
GB = 10**9


def geometry(model_id: str) -> Geometry:
    found = BY_ID[model_id].geometry
    assert found is not None
    return found


def subject(model_id: str, label: str, file_gb: float) -> Subject:
    """A catalog model with a file of a published size."""
    model = BY_ID[model_id]
    file = CatalogFile(label=label, size_bytes=round(file_gb * GB), source="published")
    return Subject(
        name=model.name, geometry=geometry(model_id), weights=catalog_weights(model, file), basis=Basis.CATALOG, label=label)


def ask(hardware: HardwareReport, model: Subject, ctx: int, kv_type: KvType = KvType.F16) -> FitResult:
    return decide(hardware, model, Request(ctx=ctx, kv_type=kv_type), GPUS)


def test_gemma_3_27b_at_32k_keeps_a_window_in_most_layers() -> None:
    # 10 full layers of 16 heads x 128: 2 x 2,048 elements x 2 bytes x 32,768 positions x 10 = 2.50;
    # 52 sliding ones keep 1,024 + 512 = 1,536 positions: 8,192 bytes x 1,536 x 52 = 0.61. With all 62 full: 15.5.
    gemma = geometry("gemma-3-27b-it")
    assert kv_cache_bytes(gemma, 32_768, KvType.F16) == 8192 * (10 * 32_768 + 52 * 1536)
    assert kv_cache_bytes(gemma, 32_768, KvType.F16) / GIB == pytest.approx(3.11, abs=0.01)
    assert 8192 * 62 * 32_768 / GIB == 15.5


@pytest.mark.parametrize("model_id", ["deepseek-r1-0528", "deepseek-v3.1", "kimi-k2-instruct"])
def test_latent_attention_stores_one_latent_row_per_layer(model_id: str) -> None:
    # 61 layers x (512 latent + 64 rotary) elements x 2 bytes, and no values.
    latent = geometry(model_id)
    assert sum(cell_bytes(layer, KvType.F16) for layer in latent.cache_layers) == 61 * 576 * 2 == 70_272


def test_the_state_of_qwen_3_5_27b_does_not_grow() -> None:
    # 48 of 64 blocks: 3 x (6,144 + 2 x 16 x 128) of the convolution + 128 x 6,144 of the state = 817,152 elements x 4 bytes.
    qwen = geometry("qwen3.5-27b")
    assert qwen.recurrent_state_bytes == 48 * 817_152 * 4
    assert qwen.recurrent_state_bytes / MIB == pytest.approx(149.6, abs=0.05)
    grows = kv_cache_bytes(qwen, 32_768, KvType.F16) - kv_cache_bytes(qwen, 16_384, KvType.F16)
    assert grows == 16 * 2 * 4 * 256 * 2 * 16_384


def test_r1_in_less_than_two_bits_needs_more_than_128_gb_of_memory() -> None:
    # 162 GB = 150.9 of weights, 8,192 x 70,272 bytes = 0.5 of cache, 0.4 of activations, 2 kept free: 153.8.
    # 192 GB are 178.8, of which the system takes 4: 174.8. 128 GB are 119.2.
    r1 = subject("deepseek-r1-0528", "IQ1_S", 162)
    assert 162e9 * 8 / geometry("deepseek-r1-0528").params_total == pytest.approx(1.93, abs=0.005)
    assert ask(computer(178.8), r1, 8192).verdict is Verdict.CPU
    assert ask(computer(119.2), r1, 8192).verdict is Verdict.NO


MISTRAL_SMALL = subject("mistral-small-3.1-24b", "Q4_K_M", 14.33)
RTX_4090 = computer(64, 56, (nvidia("RTX 4090", 24),))
MAC_32_GB = computer(32, 27, (apple("Apple M2 Pro (19-core GPU)", 21.3),))


@pytest.mark.parametrize("machine", [RTX_4090, MAC_32_GB])
def test_mistral_small_runs_on_24_gb_at_32k_but_not_at_128k(machine: HardwareReport) -> None:
    # 14.33 GB = 13.3, of it 0.35 of token table in main memory; cache 40 layers x 2 x 8 x 128 x 2 bytes = 160 KiB per position:
    # 5.0 at 32k, 20.0 at 128k; activations 0.26 and 0.35. On the GPU: 18.25 and 33.3.
    # A card of 24 has 23.6 free, 1 kept: 22.6. A Mac of 32 GB lends 21.3 to the GPU, 1 kept: 20.3.
    result = ask(machine, MISTRAL_SMALL, 32_768)
    assert result.verdict is Verdict.GPU
    assert result.devices[0].total_bytes / GIB == pytest.approx(18.25, abs=0.05)
    assert ask(machine, MISTRAL_SMALL, 131_072).verdict is not Verdict.GPU


def test_llama_4_scout_runs_on_one_card_of_80_gb() -> None:
    # 107.8 billion weights at 4.85 bits = 65.4 GB = 60.9, of it 0.54 of token table in main memory; cache at 8k 48 layers x 2 x
    # 8 x 128 x 2 bytes = 192 KiB per position = 1.5 (the sliding layers keep 8,192 positions); activations 0.1.
    # On the card 62.0; with 1 kept free 63.0 of 79.6.
    result = ask(computer(128, 118, (nvidia("A100 80GB", 80),)), subject("llama-4-scout", "Q4_K_M", 65.4), 8192)
    assert result.verdict is Verdict.GPU
    assert result.devices[0].total_bytes / GIB == pytest.approx(62.0, abs=0.15)


MAC_16_GB = computer(16, 12.7, (apple("Apple M2", 10.67),))


@pytest.mark.parametrize(("ctx", "kv_type", "gpu_gib"), [
    (4096, KvType.F16, 9.10), (8192, KvType.Q8_0, 9.15), (8192, KvType.F16, None)])
def test_phi_4_on_a_mac_with_16_gb(ctx: int, kv_type: KvType, gpu_gib: float | None) -> None:
    # 9.05 GB = 8.43, of it 0.27 of token table beside the GPU's share: 8.16. Cache 40 layers x 2 x 10 x 128 x 2 bytes = 200 KiB
    # per position: 0.78 at 4k, 1.56 at 8k, 0.83 at 8k in q8_0. Activations 0.16. On the GPU: 9.10, 9.15 and 9.88.
    # The system lends 10.67 of 16 to the GPU, 1 kept: 9.67.
    result = ask(MAC_16_GB, subject("phi-4", "Q4_K_M", 9.05), ctx, kv_type)
    assert (result.verdict is Verdict.GPU) is (gpu_gib is not None), result.reasons
    if gpu_gib is not None:
        assert result.devices[0].total_bytes / GIB == pytest.approx(gpu_gib, abs=0.05)


def test_r1_qwen3_8b_in_16_bits_runs_in_20_gb() -> None:
    # 8.19 billion weights x 2 bytes = 16.4 GB = 15.3, of it 1.2 of token table in main memory; cache at 8k 1.1; activations
    # 0.1: 15.35 on the card, 16.5 altogether. 20 GB are 18.6; with 0.4 in use and 1 kept free 17.2.
    model = subject("deepseek-r1-0528-qwen3-8b", "BF16", 16.4)
    result = ask(computer(32, 26, (nvidia("RTX 4000 Ada", 18.6),)), model, 8192)
    assert result.verdict is Verdict.GPU
    assert result.devices[0].total_bytes / GIB == pytest.approx(15.35, abs=0.05)
    assert result.total_bytes / GB < 20
