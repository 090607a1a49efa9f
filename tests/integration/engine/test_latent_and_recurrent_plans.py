"""Latent attention and recurrent blocks at true dimensions: caches by formula are byte for byte those that llama.cpp plans."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from localai_app.engine.launch import planner_command
from localai_app.engine.protocol import KvType, LoadOptions, PlannedBuffer
from localai_app.fit.kv_cache import kv_cache_bytes
from localai_app.gguf.dimensions import geometry_of
from localai_app.gguf.reader import read_header_file
from localai_app.gguf.tensors import weights_of
from localai_app.services.planner import Planner
from tests.helpers.synthetic import synthesise, write_sparse

pytestmark = pytest.mark.model

SOURCES = Path(__file__).resolve().parents[3] / "resources" / "catalog" / "sources" / "models.json"
ROWS = {row["id"]: row for row in json.loads(SOURCES.read_text(encoding="utf-8"))}
MODELS = (
    "deepseek-r1-0528", "deepseek-v3.1", "kimi-k2-instruct", "glm-4.7-flash",
    "mistral-large-3-675b", "qwen3-next-80b-a3b-instruct", "qwen3.5-9b",
    "qwen3.5-27b", "qwen3.5-35b-a3b", "qwen3.5-122b-a10b", "qwen3.5-397b-a17b", "lfm2.5-1.2b-instruct", "granite-4.0-h-tiny",
    "nemotron-3-nano-30b-a3b", "nemotron-3-super-120b-a12b")
INDEXER, COMPRESSED = "the cache of the sparse-attention indexer", "the compressed attention caches"
UNKNOWN_PARTS = {"deepseek-v3.2": INDEXER, "glm-5.2": INDEXER, "deepseek-v4-flash": COMPRESSED}
CONTEXTS = (512, 8192, 100_000)


@pytest.fixture
def planner(tmp_path: Path) -> Iterator[Planner]:
    planner = Planner(planner_command(), tmp_path / "worker")
    yield planner
    planner.close()


def planned(planner: Planner, path: Path, ctx: int, kv_type: KvType = KvType.F16, ubatch: int = 512) -> PlannedBuffer:
    """The buffers in main memory."""
    options = LoadOptions(model_path=str(path), ctx=ctx, kv_type=kv_type, ubatch=ubatch, gpu_layers=0)
    (buffer,) = planner.plan(path, options).buffers
    return buffer


@pytest.mark.parametrize("model_id", MODELS)
def test_caches_and_weights_are_those_of_the_plan(model_id: str, tmp_path: Path, planner: Planner) -> None:
    path = write_sparse(tmp_path / "model.gguf", synthesise(ROWS[model_id]))
    header = read_header_file(path)
    geometry = geometry_of(header)
    assert geometry.unknown_parts == ()
    for kv_type in KvType:
        for ctx in CONTEXTS:
            buffer = planned(planner, path, ctx, kv_type)
            assert kv_cache_bytes(geometry, ctx, kv_type) == buffer.kv_bytes, (kv_type, ctx)
            assert weights_of([header]).file_bytes == buffer.weights_bytes


@pytest.mark.parametrize("model_id", UNKNOWN_PARTS)
def test_what_the_formula_does_not_know_it_says_and_the_plan_has(model_id: str, tmp_path: Path, planner: Planner) -> None:
    path = write_sparse(tmp_path / "model.gguf", synthesise(ROWS[model_id]))
    geometry = geometry_of(read_header_file(path))
    assert geometry.unknown_parts == (UNKNOWN_PARTS[model_id],)
    for ctx in CONTEXTS:
        assert planned(planner, path, ctx).kv_bytes > kv_cache_bytes(geometry, ctx, KvType.F16)
