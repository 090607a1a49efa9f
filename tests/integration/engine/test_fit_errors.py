"""The header basis against llama.cpp's own dry run: one model of each architecture of the catalog, at its true dimensions."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from localai_app.engine.protocol import KvType
from localai_app.fit.memory import ModelMemory
from localai_app.gguf.dimensions import geometry_of
from localai_app.gguf.reader import read_header_file
from localai_app.gguf.rearranged import rearranging_of
from localai_app.gguf.tensors import weights_of
from tests.helpers.fit_errors import (
    CATALOG_FOLDER,
    CATALOG_TOLERANCE,
    ROUNDING_BYTES,
    UBATCH,
    Case,
    Comparer,
    label_of,
    options_of,
    parts_of_buffers,
    parts_of_memory,
    running_comparer,
    smallest_of_each_architecture,
    source_rows,
    this_cpu_sets,
)
from tests.helpers.measured_load import loaded_buffers
from tests.helpers.synthetic import synthesise, write_sparse

pytestmark = pytest.mark.model

CASES = (
    Case(4096, KvType.F16), Case(4096, KvType.F16, use_repack=False), Case(32_768, KvType.Q8_0), Case(8192, KvType.Q4_0))
LOADED = (
    ("qwen3.5-0.8b", False), ("lfm2.5-1.2b-instruct", True), ("gemma-3-1b-it", False), ("llama-3.2-1b-instruct", True),
    ("gemma-4-e2b-it", False))
"""Models that are loaded for real, and whether their weights are rearranged then."""
FEWER_TOKENS = {"gemma-4-e2b-it": 32_768}
"""Mapping is work for the kernel, of 3.4 GB here, most of them a row for each token of 262,144, as many as Gemma 3 1B has."""


@pytest.fixture
def comparer(tmp_path: Path) -> Iterator[Comparer]:
    with running_comparer(tmp_path) as comparer:
        yield comparer


def rows_by_architecture() -> dict[str, dict[str, Any]]:
    return {row["gguf_arch"]: row for row in smallest_of_each_architecture()}


def test_every_architecture_of_the_catalog_is_here() -> None:
    sources = json.loads((CATALOG_FOLDER / "sources" / "models.json").read_text(encoding="utf-8"))
    assert {row["gguf_arch"] for row in sources} == set(rows_by_architecture())


@pytest.mark.parametrize("architecture", sorted(rows_by_architecture()))
def test_the_header_says_what_llama_cpp_plans(architecture: str, comparer: Comparer) -> None:
    for comparison in comparer.compare(rows_by_architecture()[architecture], CASES):
        if comparison.unknown_parts:
            assert comparison.header.kv != comparison.dry_run.kv
        else:
            assert comparison.misses() == [], comparison
            assert comparison.header.rearranged == comparison.dry_run.rearranged, comparison
            assert abs(comparison.catalog_error or 0.0) <= CATALOG_TOLERANCE, comparison


@pytest.mark.parametrize(("model_id", "use_repack"), LOADED)
def test_a_real_load_takes_what_the_header_says(model_id: str, use_repack: bool, tmp_path: Path) -> None:
    """The weights are zeros in a sparse file: mapped, they take no memory of their own."""
    row = next(row for row in source_rows() if row["id"] == model_id)
    row = row | {"n_vocab": FEWER_TOKENS.get(model_id, row["n_vocab"])}
    path = write_sparse(tmp_path / "model.gguf", synthesise(row, label_of(row)))
    case = Case(4096, KvType.F16, use_repack)
    header = read_header_file(path)
    memory = ModelMemory(
        geometry_of(header), weights_of([header]), UBATCH,
        rearranging=rearranging_of(this_cpu_sets()) if use_repack else None)
    expected, loaded = parts_of_memory(memory, case), parts_of_buffers(loaded_buffers(options_of(case, str(path)), tmp_path))
    assert loaded.kv == pytest.approx(expected.kv, abs=2 * ROUNDING_BYTES)
    assert loaded.compute == pytest.approx(expected.compute, rel=0.1)
    assert loaded.rearranged == pytest.approx(expected.rearranged, abs=ROUNDING_BYTES)
    if not use_repack:
        assert loaded.total == pytest.approx(expected.total, rel=0.01)
    # What is mapped goes from the first to the last tensor that is used as it is; the others lie between them or beyond.
    as_they_lie = expected.weights - expected.rearranged
    assert as_they_lie * 0.999 <= loaded.weights - loaded.rearranged <= expected.weights * 1.001
