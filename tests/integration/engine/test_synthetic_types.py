"""The types of a synthesised file are those that llama.cpp's own quantizer picks, tensor by tensor."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.helpers.fit_errors import source_rows
from tests.helpers.quantizer_program import quantizer_types
from tests.helpers.synthetic import synthesise, write_sparse

pytestmark = pytest.mark.model

MODELS = (
    "llama-3.3-70b-instruct", "gemma-3-270m-it", "gemma-3n-e2b-it", "gemma-4-26b-a4b-it", "phi-4-mini-instruct", "gpt-oss-20b",
    "glm-4.5-air", "deepseek-r1-0528", "deepseek-v4-flash", "nemotron-3-nano-30b-a3b", "qwen3.5-9b")
"""Every rule once: larger types for some layers, rows that do not fill blocks, tied heads, routers, states, experts."""


@pytest.mark.parametrize("model_id", MODELS)
def test_types_are_those_of_the_quantizer(model_id: str, tmp_path: Path) -> None:
    row = next(row for row in source_rows() if row["id"] == model_id)
    path = write_sparse(tmp_path / "f16.gguf", synthesise(row, "F16"))
    types = {tensor.name: tensor.type_name for tensor in synthesise(row, "Q4_K_M").tensors}
    assert quantizer_types(path, "Q4_K_M") == types


def test_one_type_for_all_is_that_of_the_quantizer(tmp_path: Path) -> None:
    row = next(row for row in source_rows() if row["id"] == "smollm2-135m-instruct")
    path = write_sparse(tmp_path / "f16.gguf", synthesise(row, "F16"))
    assert quantizer_types(path, "Q8_0") == {tensor.name: tensor.type_name for tensor in synthesise(row, "Q8_0").tensors}
