"""Memory formulas against what llama.cpp planned and reserved for the same dimensions."""

from __future__ import annotations

from pathlib import Path

import pytest

from localai_app.catalog.load import load_catalog
from localai_app.engine.protocol import KvType
from localai_app.fit.compute import compute_shape
from localai_app.fit.kv_cache import kv_cache_bytes, padded_context, row_bytes, sliding_cells
from localai_app.fit.memory import ModelMemory
from localai_app.gguf.geometry import Geometry
from localai_app.units import MIB
from tests.helpers import fit_subjects as models

LLAMA_CPP_KV_MIB = {
    "Qwen3-8B": (models.QWEN3_8B, 4608),
    "Gemma 3 12B": (models.GEMMA3_12B, 2048 + 480),
    "gpt-oss-20b": (models.GPT_OSS_20B, 768 + 18),
    "Gemma 4 31B": (models.GEMMA4_31B, 2560 + 1200),
    "Gemma 4 E4B": (models.GEMMA4_E4B, 552),
    "DeepSeek-R1": (models.DEEPSEEK_R1, 2196),
    "Qwen3.5-27B": (models.QWEN35_27B, 2197.6),
}
"""f16 at a context of 32,768 tokens and a ubatch of 512, as llama.cpp reports it."""

LLAMA_CPP_COMPUTE_MIB = [
    (models.QWEN3_06B, 8192, 512, 34.01), (models.QWEN3_8B, 4096, 512, 108.01), (models.QWEN3_8B, 32_768, 512, 136.01),
    (models.QWEN3_8B, 32_768, 256, 68.01), (models.QWEN3_8B, 131_072, 512, 232.01), (models.QWEN3_32B, 8192, 512, 204.01),
    (models.LLAMA_70B, 32_768, 512, 264.01), (models.GEMMA3_12B, 8192, 512, 130.02), (models.GEMMA3_12B, 32_768, 256, 76.88),
    (models.QWEN3_30B_A3B, 32_768, 512, 120.01), (models.SMOLLM2_135M, 8192, 512, 21.51),
    (models.DEEPSEEK_R1, 32_768, 512, 440.0),
]
"""Compute buffers of dry runs with one row of logits and flash attention."""
CATALOG_COMPUTE_MIB = {
    "minimax-m2.7": 134.8, "gemma-3n-e4b-it": 185.0, "gemma-4-e4b-it": 146.0, "gemma-4-26b-a4b-it": 130.5,
    "qwen3-vl-8b-instruct": 184.6, "llama-4-scout": 139.4, "kimi-k2-instruct": 298.6, "gpt-oss-120b": 125.9, "glm-4.5": 228.6,
    "nemotron-3-super-120b-a12b": 232.0, "qwen3.5-0.8b": 75.4, "granite-4.0-h-tiny": 83.4, "mistral-small-4-119b-2603": 117.0,
}
"""The same at a context of 32,768 tokens, for what sets architectures apart: experts, side inputs, latent rows, states."""
CATALOG = load_catalog(Path(__file__).resolve().parents[3] / "resources" / "catalog" / "models.json")


@pytest.mark.parametrize("name", LLAMA_CPP_KV_MIB)
def test_kv_cache_is_what_llama_cpp_reserves(name: str) -> None:
    geometry, mib = LLAMA_CPP_KV_MIB[name]
    assert kv_cache_bytes(geometry, 32_768, KvType.F16) / MIB == pytest.approx(mib, abs=0.05)


@pytest.mark.parametrize(("geometry", "ctx", "ubatch", "mib"), LLAMA_CPP_COMPUTE_MIB)
def test_compute_buffer_is_close_to_dry_runs(geometry: Geometry, ctx: int, ubatch: int, mib: float) -> None:
    predicted = compute_shape(geometry, ubatch, 1).device_bytes(ctx, has_head=True) / MIB
    assert predicted == pytest.approx(mib, rel=0.08)


@pytest.mark.parametrize(("model_id", "mib"), CATALOG_COMPUTE_MIB.items())
def test_compute_buffer_of_catalog_models_is_close_to_dry_runs(model_id: str, mib: float) -> None:
    geometry = next(model.geometry for model in CATALOG.models if model.id == model_id)
    assert geometry is not None
    predicted = compute_shape(geometry, 512, 1).device_bytes(32_768, has_head=True) / MIB
    assert predicted == pytest.approx(mib, rel=0.09)


@pytest.mark.parametrize("model_id", ["gemma-4-e4b-it", "qwen3-vl-8b-instruct", "gpt-oss-120b"])
def test_another_ubatch_and_the_figures_at_a_context_are_those_of_the_shape(model_id: str) -> None:
    geometry = next(model.geometry for model in CATALOG.models if model.id == model_id)
    assert geometry is not None
    shape = compute_shape(geometry, 256)
    assert compute_shape(geometry, 512).with_ubatch(256) == shape
    moment = ModelMemory(geometry, models.weights(geometry), 512).with_ubatch(256).at(8192, KvType.F16)
    assert moment.inputs == shape.input_bytes(8192)
    assert moment.host_with_head == shape.device_bytes(8192, has_head=True)


@pytest.mark.parametrize(("geometry", "mib"), [
    (models.QWEN3_8B, 312.75), (models.GEMMA3_12B, 527.0), (models.SMOLLM2_135M, 98.25), (models.LLAMA_70B, 282.5)])
def test_logits_of_a_whole_ubatch_rule_the_buffer(geometry: Geometry, mib: float) -> None:
    predicted = compute_shape(geometry, 512, None).device_bytes(8192, has_head=True) / MIB
    assert predicted == pytest.approx(mib, rel=0.01)


def test_the_head_alone_needs_logits() -> None:
    shape = compute_shape(models.GEMMA3_12B, 512, None)
    assert shape.device_bytes(8192, has_head=False) < shape.device_bytes(8192, has_head=True)


def test_cache_types_use_their_block_sizes() -> None:
    assert [row_bytes(kv_type, 1024) for kv_type in KvType] == [2048, 1088, 576]
    assert row_bytes(KvType.Q8_0, 33) == 68


@pytest.mark.parametrize(("ctx", "cells"), [(1, 256), (256, 256), (257, 512), (8192, 8192), (8193, 8448)])
def test_contexts_are_rounded_up(ctx: int, cells: int) -> None:
    assert padded_context(ctx) == cells


@pytest.mark.parametrize(("ctx", "window", "ubatch", "cells"), [
    (32_768, 1024, 512, 1536), (32_768, 128, 512, 768), (1024, 1024, 512, 1024), (32_768, 1024, 100, 1280)])
def test_sliding_layers_keep_a_window_and_a_batch(ctx: int, window: int, ubatch: int, cells: int) -> None:
    assert sliding_cells(ctx, window, ubatch) == cells


@pytest.mark.parametrize("geometry", [geometry for geometry, _mib in LLAMA_CPP_KV_MIB.values()])
@pytest.mark.parametrize("kv_type", list(KvType))
def test_parts_of_a_model_add_up_to_the_whole(geometry: Geometry, kv_type: KvType) -> None:
    memory = ModelMemory(geometry, models.weights(geometry), 512)
    middle = geometry.n_layer // 3
    halves = memory.at(5000, kv_type).kv(0, middle) + memory.at(5000, kv_type).kv(middle, geometry.n_layer)
    assert halves == kv_cache_bytes(geometry, 5000, kv_type)
    both = memory.weights_between(0, middle) + memory.weights_between(middle, geometry.n_layer)
    assert both == sum(memory.weights.layers_bytes)


def test_hybrid_models_attend_in_every_fourth_block() -> None:
    memory = ModelMemory(models.QWEN35_27B, models.weights(models.QWEN35_27B), 512)
    state_of_three = memory.at(4096, KvType.F16).kv(0, 3)
    with_attention = memory.at(4096, KvType.F16).kv(0, 4)
    assert with_attention - state_of_three == 4096 * 2 * 4 * 256 * 2
    assert state_of_three == pytest.approx(156_893_184 * 3 / 48, abs=3)


def test_models_that_share_caches_own_them_in_the_first_blocks() -> None:
    memory = ModelMemory(models.GEMMA4_E4B, models.weights(models.GEMMA4_E4B), 512)
    assert memory.at(8192, KvType.F16).kv(24, 42) == 0
    assert memory.at(8192, KvType.F16).kv(0, 24) == kv_cache_bytes(models.GEMMA4_E4B, 8192, KvType.F16)


def test_tied_heads_are_stored_twice_on_a_gpu_and_once_on_the_processor() -> None:
    tied = models.weights(models.SMOLLM2_135M, tied=True)
    memory = ModelMemory(models.SMOLLM2_135M, tied, 512)
    assert memory.host_weights(30, has_head=True) == tied.file_bytes
    assert memory.host_weights(0, has_head=False) == tied.input_bytes
