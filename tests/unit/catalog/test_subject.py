"""Bytes by place from dimensions, against real files and sizes on the Hub."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from localai_app.catalog.load import load_catalog
from localai_app.catalog.model import CatalogFile, CatalogModel
from localai_app.catalog.subject import catalog_weights, estimated_file_bytes
from localai_app.gguf.dimensions import geometry_of
from localai_app.gguf.reader import read_header_file
from localai_app.gguf.tensors import weights_of
from tests.helpers.real_models import gemma_path, smollm2_path
from tests.helpers.synthetic import BUILDERS, synthesise, write_sparse

FOLDER = Path(__file__).resolve().parents[3] / "resources" / "catalog"
CATALOG = load_catalog(FOLDER / "models.json")
BY_ID = {model.id: model for model in CATALOG.models}
SYNTHETIC = [
    row for row in json.loads((FOLDER / "sources" / "models.json").read_text(encoding="utf-8"))
    if row["gguf_arch"] in BUILDERS and row["gguf_arch"] != "gpt-oss" and BY_ID[row["id"]].geometry]
GIB = 1024**3


def _file(label: str, size_bytes: int) -> CatalogFile:
    return CatalogFile(label=label, size_bytes=size_bytes, source="test")


@pytest.mark.model
@pytest.mark.parametrize(
    ("model_id", "label", "path"), [("smollm2-135m-instruct", "Q4_1", smollm2_path), ("gemma-3-270m-it", "Q4_K_M", gemma_path)]
)
def test_real_files(model_id: str, label: str, path: object) -> None:
    file = path()
    real = weights_of([read_header_file(file)])
    made = catalog_weights(BY_ID[model_id], _file(label, file.stat().st_size))
    assert made.file_bytes == pytest.approx(real.file_bytes, rel=0.02)
    assert made.tied_embeddings == real.tied_embeddings
    assert len(made.layers_bytes) == len(real.layers_bytes)
    if label == "Q4_K_M":
        assert made.input_bytes == pytest.approx(real.input_bytes, rel=0.02)
        assert sum(made.layers_bytes) == pytest.approx(sum(real.layers_bytes), rel=0.05)
        assert estimated_file_bytes(BY_ID[model_id], label) == pytest.approx(file.stat().st_size, rel=0.05)


@pytest.mark.model
@pytest.mark.parametrize(("model_id", "path"), [("smollm2-135m-instruct", smollm2_path), ("gemma-3-270m-it", gemma_path)])
def test_catalog_and_header_agree_on_the_dimensions(model_id: str, path: object) -> None:
    made, real = BY_ID[model_id].geometry, geometry_of(read_header_file(path()))
    assert made is not None
    assert made.params_total == pytest.approx(real.params_total, rel=1e-3)
    same = {"params_total": 0, "params_active": 0}
    assert msgspec.structs.replace(made, **same) == msgspec.structs.replace(real, **same)


@pytest.mark.parametrize("row", {row["gguf_arch"]: row for row in SYNTHETIC}.values(), ids=lambda row: row["id"])
def test_a_header_with_true_dimensions_says_what_the_catalog_says(row: dict[str, Any], tmp_path: Path) -> None:
    made = BY_ID[row["id"]].geometry
    real = geometry_of(read_header_file(write_sparse(tmp_path / "model.gguf", synthesise(row))))
    assert made is not None
    assert made.params_total == pytest.approx(real.params_total, rel=0.003)
    assert made.params_active == pytest.approx(real.params_active, rel=0.03)
    differs = ("params_total", "params_active", "ctx_train", "n_layer_unused")
    fields = [name for name in made.__struct_fields__ if name not in differs]
    assert {name: getattr(made, name) for name in fields} == {name: getattr(real, name) for name in fields}


@pytest.mark.parametrize(
    ("model_id", "label", "gib"),
    [
        ("qwen3-32b", "Q4_K_M", 18.4),
        ("llama-3.3-70b-instruct", "Q4_K_M", 39.6),
        ("qwen3-coder-30b-a3b-instruct", "Q4_K_M", 17.3),
        ("deepseek-r1-0528", "Q4_K_M", 377.1),
        ("gpt-oss-120b", "MXFP4", 59.0),
        ("mistral-small-4-119b-2603", "Q4_K_M", 67.6),
        ("mistral-large-3-675b", "Q4_K_M", 379.0),
        ("llama-3.1-8b-instruct", "Q4_K_M", 4.58),
        ("llama-3.1-8b-instruct", "Q8_0", 7.95),
    ],
)
def test_estimated_sizes_are_near_those_on_the_hub(model_id: str, label: str, gib: float) -> None:
    assert estimated_file_bytes(BY_ID[model_id], label) / GIB == pytest.approx(gib, rel=0.025)


def test_a_dense_model_with_a_head_of_its_own() -> None:
    model = BY_ID["qwen3-8b"]
    weights = catalog_weights(model, next(file for file in model.files if file.label == "Q4_K_M"))
    table = 151936 * 4096
    assert weights.output_bytes == int(table * 6.5625 / 8)
    assert weights.input_bytes == int(table * 4.5 / 8)
    assert weights.layers_expert_bytes == (0,) * 36
    assert max(weights.layers_bytes) - min(weights.layers_bytes) <= 1


def test_experts_hold_most_of_a_mixture() -> None:
    model = BY_ID["qwen3-30b-a3b"]
    weights = catalog_weights(model, next(file for file in model.files if file.label == "Q4_K_M"))
    experts = 48 * 128 * 3 * 2048 * 768
    share = experts / (30_532_108_288 - 2 * 151936 * 2048)
    assert sum(weights.layers_expert_bytes) / sum(weights.layers_bytes) == pytest.approx(share, rel=0.01)


@pytest.mark.parametrize(("model_id", "blocks"), [
    ("deepseek-r1-0528", range(3, 61)), ("llama-4-maverick", range(1, 48, 2)), ("qwen3-30b-a3b", range(48))])
def test_experts_lie_in_the_blocks_that_have_them(model_id: str, blocks: range) -> None:
    model = BY_ID[model_id]
    weights = catalog_weights(model, model.files[0])
    assert [block for block, size in enumerate(weights.layers_expert_bytes) if size] == list(blocks)
    assert all(weights.layers_bytes[block] > weights.layers_expert_bytes[block] for block in range(len(weights.layers_bytes)))


@pytest.mark.parametrize("label", ["Q4_K_M", "Q8_0"])
@pytest.mark.parametrize("row", SYNTHETIC, ids=lambda row: row["id"])
def test_estimated_bytes_are_those_of_a_header_with_true_dimensions(row: dict[str, Any], label: str) -> None:
    """Blocks that predict further tokens are left out; so is the vocabulary, which a synthesised header does not have."""
    model = BY_ID[row["id"]]
    assert model.geometry is not None
    unused = f"blk.{model.geometry.n_layer}."
    tensors = [tensor for tensor in synthesise(row, label).tensors if not tensor.name.startswith(unused)]
    weights = catalog_weights(model, _file(label, estimated_file_bytes(model, label)))
    assert weights.file_bytes == pytest.approx(sum(tensor.n_bytes for tensor in tensors), rel=0.025)
    experts = sum(tensor.n_bytes for tensor in tensors if "_exps." in tensor.name)
    assert sum(weights.layers_expert_bytes) == pytest.approx(experts, rel=0.025)


def test_labels_that_are_not_known_still_have_places() -> None:
    model = BY_ID["qwen3-30b-a3b"]
    weights = catalog_weights(model, _file("UD-Q4_K_XL", 18_000_000_000))
    assert 0 < sum(weights.layers_expert_bytes) < weights.file_bytes < 18_000_000_000


def test_per_layer_embeddings_stay_in_main_memory() -> None:
    model = BY_ID["gemma-4-e4b-it"]
    weights = catalog_weights(model, next(file for file in model.files if file.label == "Q4_K_M"))
    assert model.per_layer_embedding_params == 262144 * 42 * 256
    assert weights.input_bytes > 2.8e9 * 6.5 / 8
    assert weights.tied_embeddings


@given(st.sampled_from([model for model in CATALOG.models if model.geometry and model.files]), st.floats(0.3, 3.0))
def test_bytes_are_never_lost_or_negative(model: CatalogModel, factor: float) -> None:
    for file in model.files:
        resized = msgspec.structs.replace(file, size_bytes=int(file.size_bytes * factor))
        weights = catalog_weights(model, resized)
        assert resized.size_bytes // 2 <= weights.file_bytes <= resized.size_bytes
        if factor > 0.8:
            assert weights.file_bytes >= 0.85 * resized.size_bytes
        assert min(*weights.layers_bytes, weights.input_bytes, weights.output_bytes) > 0
        assert all(0 <= part <= whole for part, whole in zip(weights.layers_expert_bytes, weights.layers_bytes, strict=True))


def test_a_model_without_dimensions_has_no_weights_by_place() -> None:
    model = BY_ID["qwen3.8-27b"]
    assert model.geometry is None
    with pytest.raises(ValueError, match="not known"):
        catalog_weights(model, model.files[0])
