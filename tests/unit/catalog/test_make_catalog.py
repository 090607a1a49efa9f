"""The committed catalog: made from its sources, complete, and true to figures that were measured elsewhere."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from localai_app.catalog.load import load_catalog
from localai_app.catalog.model import Catalog, CatalogModel
from localai_app.catalog.subject import estimated_file_bytes

ROOT = Path(__file__).resolve().parents[3]
FOLDER = ROOT / "resources" / "catalog"
SCRIPT = ROOT / "scripts" / "make_catalog.py"


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return load_catalog(FOLDER / "models.json")


@pytest.fixture(scope="module")
def sources() -> list[dict[str, Any]]:
    return json.loads((FOLDER / "sources" / "models.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def by_id(catalog: Catalog) -> dict[str, CatalogModel]:
    return {model.id: model for model in catalog.models}


def test_the_committed_catalog_is_what_the_sources_give() -> None:
    done = subprocess.run([sys.executable, str(SCRIPT), "--check"], capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_catalog_that_differs_is_noticed(tmp_path: Path) -> None:
    copy = tmp_path / "repository"
    for name in ("scripts", "resources/catalog/sources"):
        (copy / name).mkdir(parents=True)
        for file in (ROOT / name).glob("*.*"):
            (copy / name / file.name).write_bytes(file.read_bytes())
    changed = (FOLDER / "models.json").read_bytes().replace(b"Qwen3-8B", b"Qwen3-9B", 1)
    (copy / "resources" / "catalog" / "models.json").write_bytes(changed)
    command = [sys.executable, str(copy / "scripts" / "make_catalog.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1
    assert "run scripts/make_catalog.py" in done.stderr


def test_every_model_of_the_sources_is_there_once(catalog: Catalog, sources: list[dict[str, Any]]) -> None:
    assert [model.id for model in catalog.models] == [facts["id"] for facts in sources]
    assert len(catalog.models) == 111
    assert Counter(model.id for model in catalog.models).most_common(1)[0][1] == 1


NAMED = [
    "DeepSeek-R1-0528",
    "DeepSeek-R1-0528-Qwen3-8B",
    "Gemma 3 270M it",
    "Gemma 3 1B it",
    "Gemma 3 4B it",
    "Gemma 3 12B it",
    "Gemma 3 27B it",
    "Phi-4 (14B)",
    "Phi-4-mini-instruct",
    "Phi-4-reasoning",
    "Qwen3-0.6B",
    "Qwen3-1.7B",
    "Qwen3-4B",
    "Qwen3-8B",
    "Qwen3-14B",
    "Qwen3-32B",
    "Qwen3-30B-A3B",
    "Qwen3-235B-A22B",
    "Mistral Small 3.1 24B Instruct (2503)",
    "Mistral Large 24.11 (123B)",
    "Codestral 22B v0.1",
    "Pixtral 12B (2409)",
    "Pixtral Large 2411 (124B)",
    "Llama 4 Scout 109B-A17B",
    "Llama 4 Maverick 400B-A17B",
    "SmolLM2 135M Instruct",
    "Llama 3.2 1B Instruct",
]


@pytest.mark.parametrize("name", NAMED)
def test_the_named_models_can_be_suggested(catalog: Catalog, name: str) -> None:
    (model,) = [model for model in catalog.models if model.name == name]
    assert model.repo_id.count("/") == 1
    assert model.geometry is not None
    assert model.files
    assert model.tasks


def test_every_model_is_described(catalog: Catalog) -> None:
    for model in catalog.models:
        assert 40 <= len(model.summary) <= 200, model.id
        assert model.summary.endswith(".")
        assert model.publisher
        assert model.license
        assert model.family
        assert model.sampling_source
        assert 1 <= model.quality <= 99
        assert model.quality_source
        assert model.quality_is_estimated == model.quality_source.startswith("estimated")
        assert all(score.source and 0 <= score.score <= 100 for score in model.scores)
    assert all(model.geometry.n_ff > 0 and model.geometry.head_dim > 0 for model in catalog.models if model.geometry)
    assert len({model.summary for model in catalog.models}) > 40


def test_models_without_a_repository_have_no_files(catalog: Catalog) -> None:
    without = {model.id for model in catalog.models if not model.repo_id}
    assert without == {"deepseek-v4-pro", "nemotron-3-super-120b-a12b", "minimax-m2.7"}
    assert all(not model.files for model in catalog.models if model.id in without)


def test_caches_are_those_that_were_computed_for_llama_cpp(
    by_id: dict[str, CatalogModel], sources: list[dict[str, Any]]
) -> None:
    checked = 0
    for facts in sources:
        geometry, cache = by_id[facts["id"]].geometry, facts["kv_f16"]
        if geometry is None:
            continue
        full = [layer for layer in geometry.cache_layers if not layer.sliding]
        sliding = [layer for layer in geometry.cache_layers if layer.sliding]
        assert len(full) == cache["full_attn_layers"], facts["id"]
        assert len(sliding) == cache["swa_layers"], facts["id"]
        assert sum(2 * (layer.k_elements + layer.v_elements) for layer in full) == cache["bytes_per_token"], facts["id"]
        assert sum(2 * (layer.k_elements + layer.v_elements) for layer in sliding) == cache["swa_bytes_per_cell"], facts["id"]
        assert geometry.recurrent_state_bytes == (cache["recurrent_state_bytes_per_seq"] or 0), facts["id"]
        assert bool(geometry.sliding_window) == bool(sliding)
        owners = [layer.block for layer in geometry.cache_layers]
        assert len({*owners, *geometry.recurrent_blocks}) == len(owners) + cache["recurrent_layers"], facts["id"]
        assert owners == sorted(owners)
        assert len(geometry.recurrent_blocks) == cache["recurrent_layers"], facts["id"]
        checked += 1
    assert checked >= 95


def test_hybrid_models_attend_in_the_blocks_of_their_pattern(by_id: dict[str, CatalogModel]) -> None:
    expected = {
        "nemotron-3-nano-30b-a3b": (5, 12, 19, 26, 33, 42),
        "lfm2.5-1.2b-instruct": (2, 5, 8, 10, 12, 14),
        "qwen3.5-9b": (3, 7, 11, 15, 19, 23, 27, 31),
    }
    for model_id, blocks in expected.items():
        geometry = by_id[model_id].geometry
        assert geometry is not None
        assert tuple(layer.block for layer in geometry.cache_layers) == blocks


MIB = 1024**2
MEASURED = {
    "qwen3-8b": 4608,
    "gemma-3-12b-it": 2528,
    "gpt-oss-20b": 786,
    "gemma-4-31b-it": 3760,
    "gemma-4-e4b-it": 552,
    "gemma-4-e2b-it": 204,
    "deepseek-r1-0528": 2196,
    "qwen3.5-27b": 2197.6,
}  # what llama.cpp reports for F16 caches at 32,768 tokens, micro-batch 512, in MiB


@pytest.mark.parametrize("model_id", MEASURED)
def test_caches_agree_with_measurements(by_id: dict[str, CatalogModel], model_id: str) -> None:
    geometry = by_id[model_id].geometry
    assert geometry is not None
    window_cells = -(-min(32768, geometry.sliding_window + 512) // 256) * 256
    total = geometry.recurrent_state_bytes + sum(
        2 * (layer.k_elements + layer.v_elements) * (window_cells if layer.sliding else 32768)
        for layer in geometry.cache_layers
    )
    assert total / MIB == pytest.approx(MEASURED[model_id], abs=0.1)


SERIES = [
    ["qwen3-0.6b", "qwen3-1.7b", "qwen3-4b", "qwen3-8b", "qwen3-14b", "qwen3-32b"],
    ["gemma-3-270m-it", "gemma-3-1b-it", "gemma-3-4b-it", "gemma-3-12b-it", "gemma-3-27b-it"],
    ["gemma-4-e2b-it", "gemma-4-e4b-it", "gemma-4-31b-it"],
    ["smollm2-135m-instruct", "smollm2-360m-instruct", "smollm2-1.7b-instruct"],
    ["llama-3.2-1b-instruct", "llama-3.2-3b-instruct", "llama-3.1-8b-instruct", "llama-3.1-70b-instruct"],
    ["ministral-3-3b-instruct", "ministral-3-8b-instruct", "ministral-3-14b-instruct"],
    ["qwen3.5-0.8b", "qwen3.5-2b", "qwen3.5-4b", "qwen3.5-9b", "qwen3.5-27b"],
    [
        "deepseek-r1-distill-qwen-1.5b",
        "deepseek-r1-distill-qwen-7b",
        "deepseek-r1-distill-qwen-14b",
        "deepseek-r1-distill-qwen-32b",
    ],
    ["gpt-oss-20b", "gpt-oss-120b"],
    ["llama-4-scout", "llama-4-maverick"],
]


@pytest.mark.parametrize("series", SERIES, ids=lambda series: series[0])
def test_larger_models_of_a_generation_are_not_worse(by_id: dict[str, CatalogModel], series: list[str]) -> None:
    values = [by_id[model_id].quality for model_id in series]
    assert values == sorted(values)
    assert values[-1] > values[0]


def test_quality_is_plausible(by_id: dict[str, CatalogModel]) -> None:
    ranked = sorted(by_id.values(), key=lambda model: model.quality)
    assert "smollm2-135m-instruct" in {model.id for model in ranked[:5]}
    assert by_id["smollm2-135m-instruct"].quality < 15
    assert by_id["deepseek-r1-0528"].quality > by_id["deepseek-v3.1"].quality > by_id["llama-3.1-8b-instruct"].quality
    assert by_id["qwen3-8b"].quality_is_estimated
    assert not by_id["gemma-3-27b-it"].quality_is_estimated


def test_quality_follows_the_benchmark_it_is_named_after(by_id: dict[str, CatalogModel]) -> None:
    pairs = [
        (score.score, model.quality)
        for model in by_id.values()
        for score in model.scores
        if score.benchmark == "MMLU-Pro" and model.id != "qwen3-235b-a22b"
    ]
    deviations = [abs(100 * (score - 10) / 90 - quality) for score, quality in pairs]
    assert len(pairs) > 30
    assert sum(deviations) / len(deviations) < 6


def test_every_model_has_a_quality_for_every_task_that_it_can_do(catalog: Catalog) -> None:
    for model in catalog.models:
        tasks = [known.task for known in model.task_quality]
        assert tasks == ["code", "reasoning", *(["vision"] if "vision" in model.tasks else []), "languages"], model.id
        for known in model.task_quality:
            assert known.is_estimated == known.source.startswith("estimated"), model.id
            assert abs(known.value - model.quality) < 25, (model.id, known)


def test_quality_for_a_task_follows_its_benchmarks(by_id: dict[str, CatalogModel]) -> None:
    scored = [
        (next(s.score for s in model.scores if s.benchmark == "LiveCodeBench"), model.quality_for("code").value, model.quality)
        for model in by_id.values() if any(score.benchmark == "LiveCodeBench" for score in model.scores)]
    assert len(scored) > 20

    def disorder(place: int) -> int:
        return sum((a[0] - b[0]) * (a[place] - b[place]) < 0 for a in scored for b in scored) // 2

    assert disorder(1) < disorder(2)
    for task, benchmark in (("code", "LiveCodeBench"), ("reasoning", "GPQA"), ("vision", "DocVQA")):
        found = [known for model in by_id.values() for known in model.task_quality if known.task == task]
        assert any(benchmark in known.source for known in found if not known.is_estimated)
    assert by_id["pixtral-12b"].quality_for("vision").value > by_id["pixtral-12b"].quality
    assert by_id["qwen3-coder-30b-a3b-instruct"].quality_for("code").value > by_id["qwen3-30b-a3b-instruct-2507"].quality_for(
        "code").value
    assert all(model.quality_for("languages").is_estimated for model in by_id.values()), "change TASK_MEANINGS"
    assert by_id["qwen3-8b"].quality_for("chat").value == by_id["qwen3-8b"].quality


def test_file_sizes(catalog: Catalog) -> None:
    for model in catalog.models:
        sizes = [file.size_bytes for file in model.files]
        if model.geometry is None or model.geometry.n_embd % 256 == 0:  # narrow rows take other types: 4 bits may be under 3
            assert sizes == sorted(sizes, reverse=True), model.id
        for file in model.files:
            assert 1.6 < file.size_bytes * 8 / model.params_total < 9.6, (model.id, file.label)
            assert file.source
    labels = {model.family: {file.label for file in model.files} for model in catalog.models if model.files}
    assert labels["gpt-oss"] == {"MXFP4"}
    assert labels["Qwen3"] == {"Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M", "IQ4_XS", "Q3_K_M", "Q2_K"}


def test_sizes_that_are_known_are_exact_and_the_computed_ones_agree_with_them(catalog: Catalog) -> None:
    known = json.loads((FOLDER / "sources" / "file_sizes.json").read_text(encoding="utf-8"))
    wanted = {(row["repo"].lower(), row["label"]): row for row in known["files"]}
    assert len(wanted) == len(known["files"]) >= 50
    errors = []
    for model in catalog.models:
        for file in model.files:
            row = wanted.pop((model.repo_id.lower(), file.label), None)
            assert file.is_exact == (row is not None), (model.id, file.label)
            if row is not None:
                assert (file.size_bytes, len(row.get("sha256", "0" * 64))) == (row["bytes"], 64)
                assert file.source.startswith(known["sources"][row["source"]])
                errors.append(abs(estimated_file_bytes(model, file.label) / row["bytes"] - 1))
    assert not wanted, "sizes of files that no model of the catalog has"
    errors.sort()
    assert errors[len(errors) // 2] < 0.005
    assert errors[len(errors) * 3 // 4] < 0.03
    assert errors[-1] < 0.1


def test_every_score_names_its_source() -> None:
    catalog = load_catalog(FOLDER / "models.json")
    vague = [(model.id, score.benchmark) for model in catalog.models for score in model.scores if len(score.source) < 6]
    assert not vague
