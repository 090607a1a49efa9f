"""Synthesised headers: as many weights as the model has, files of the published sizes (but for the vocabulary), readable."""

from __future__ import annotations

import json
from math import prod
from pathlib import Path
from typing import Any

import pytest

from localai_app.gguf.dimensions import geometry_of
from localai_app.gguf.reader import read_header_file
from tests.helpers.synthetic import BUILDERS, synthesise, write_sparse

ROWS = json.loads(
    (Path(__file__).resolve().parents[3] / "resources" / "catalog" / "sources" / "models.json").read_text(encoding="utf-8"))
KNOWN = [
    row for row in ROWS if row["gguf_arch"] in BUILDERS and row["n_layer"] and row["n_vocab"] and row["n_head"]
    and (row["recurrent"] is None or row["recurrent"]["d_state"] or row["recurrent"]["l_cache"])]
COUNTED = [row for row in KNOWN if row["gguf_arch"] != "deepseek4"]
"""Not DeepSeek V4, whose published number is that of a revision with parts that llama.cpp does not run."""
GB = 10**9


def row_of(model_id: str) -> dict[str, Any]:
    return next(row for row in ROWS if row["id"] == model_id)


@pytest.mark.parametrize("row", COUNTED, ids=lambda row: row["id"])
def test_a_header_holds_as_many_weights_as_the_model(row: dict[str, Any]) -> None:
    last_block = f"blk.{row['n_layer']}."
    model = synthesise(row)
    count = sum(prod(tensor.dimensions) for tensor in model.tensors if not tensor.name.startswith(last_block))
    assert count == pytest.approx(row["params_total"], rel=0.002)


def test_every_catalog_architecture_of_these_families_has_a_row() -> None:
    assert {row["gguf_arch"] for row in KNOWN} >= set(BUILDERS)


@pytest.mark.parametrize(("model_id", "label", "published_gb"), [
    ("llama-3.1-8b-instruct", "Q4_K_M", 4.92), ("llama-3.3-70b-instruct", "Q4_K_M", 42.52), ("gemma-3-27b-it", "Q4_K_M", 16.55),
    ("qwen3-30b-a3b", "Q4_K_M", 18.56), ("gpt-oss-20b", "MXFP4", 12.11), ("smollm2-135m-instruct", "Q8_0", 0.145),
    ("phi-4", "F16", 29.3), ("deepseek-r1-0528", "Q4_K_M", 404.9),
])
def test_a_label_gives_files_of_the_published_size(tmp_path: Path, model_id: str, label: str, published_gb: float) -> None:
    path = write_sparse(tmp_path / "model.gguf", synthesise(row_of(model_id), label))
    assert path.stat().st_size / GB == pytest.approx(published_gb, rel=0.01, abs=0.003)


@pytest.mark.parametrize("model_id", ["llama-3.2-1b-instruct", "gemma-3-12b-it"])
def test_a_header_reads_back_with_the_dimensions_it_was_made_from(tmp_path: Path, model_id: str) -> None:
    row = row_of(model_id)
    geometry = geometry_of(read_header_file(write_sparse(tmp_path / "model.gguf", synthesise(row))))
    assert (geometry.n_layer, geometry.n_embd, geometry.n_vocab) == (row["n_layer"], row["n_embd"], row["n_vocab"])
    assert sum(2 * (layer.k_elements + layer.v_elements) for layer in geometry.cache_layers if not layer.sliding) == (
        row["kv_f16"]["bytes_per_token"])
    assert sum(2 * (layer.k_elements + layer.v_elements) for layer in geometry.cache_layers if layer.sliding) == (
        row["kv_f16"]["swa_bytes_per_cell"])
