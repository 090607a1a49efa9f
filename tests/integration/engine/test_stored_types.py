"""What is called unusual about a file's types, against what llama.cpp's quantizer says that it does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import prod
from pathlib import Path

import pytest

from localai_app.gguf.header import GgufHeader, TensorInfo
from localai_app.gguf.label import label_of_name
from localai_app.gguf.planned_types import QuantizerPlan, data_bytes
from localai_app.gguf.quant_types import QUANT_TYPES_BY_NAME
from localai_app.gguf.reader import read_header_file
from localai_app.gguf.stored_types import Reason, stored_types
from localai_app.gguf.stored_words import fallback_words
from tests.helpers.fit_errors import source_rows
from tests.helpers.quantizer_program import quantizer_choices
from tests.helpers.real_models import gemma_path, smollm2_path
from tests.helpers.synthetic import synthesise, write_sparse

pytestmark = pytest.mark.model

LABELS = ("Q6_K", "Q4_K_M", "Q4_0", "Q3_K_M", "Q2_K", "IQ4_XS", "IQ2_M")
PLANNED = ("BF16", "Q8_0", "Q5_K_M", "Q4_K_M", "Q4_K_S", "Q3_K_M", "Q3_K_L", "IQ4_XS", "IQ3_M", "IQ3_S", "Q2_K")
TABLE = "token_embd.weight"


@pytest.mark.parametrize(("find", "labels"), [(smollm2_path, LABELS), (gemma_path, ("Q4_K_M", "Q4_0", "IQ2_M"))])
def test_the_quantizers_own_choices_are_understood(find: Callable[[], Path], labels: Sequence[str]) -> None:
    path = find()
    header = read_header_file(path)
    for label, (types, fell_back) in quantizer_choices(path, labels).items():
        reasons = {one.name: _reason(header, _as_type(one, types[one.name]), label) for one in _matrices(header)}
        assert Reason.OTHER not in reasons.values(), label
        ours = {name for name, reason in reasons.items() if reason is Reason.FALLBACK}
        # A table whose rows do not fit is given Q8_0 without a word.
        assert ours - {TABLE} == set(fell_back) - {TABLE}, label


@pytest.mark.parametrize(("find", "beginning"), [
    (smollm2_path, "The table of tokens, 21% of the weights, is stored as Q8_0, because its rows of 576 values"),
    (gemma_path, "91 of 127 matrices, 87% of the weights, are stored as Q8_0 or Q5_0, because their rows of 640 values")])
def test_real_files_say_what_is_unusual_about_them(find: Callable[[], Path], beginning: str) -> None:
    path = find()
    assert fallback_words(stored_types([read_header_file(path)], label_of_name(path.name))).startswith(beginning)


@pytest.mark.parametrize(("find", "labels"), [(smollm2_path, PLANNED), (gemma_path, ("Q4_K_M", "Q3_K_M", "IQ3_M"))])
def test_the_types_of_a_file_are_known_before_it_is_made(find: Callable[[], Path], labels: Sequence[str]) -> None:
    path = find()
    header = read_header_file(path)
    for label, (types, _) in quantizer_choices(path, labels).items():
        assert {one.name: one.quant_type.name for one in QuantizerPlan([header]).tensors(label)} == types, label
    assert data_bytes(QuantizerPlan([header]).header(label_of_name(path.name))) == path.stat().st_size


@pytest.mark.parametrize("model_id", ["llama-3.3-70b-instruct", "gpt-oss-20b", "nemotron-3-nano-30b-a3b", "deepseek-v4-flash"])
def test_the_types_of_large_models_and_of_experts_are_known_too(model_id: str, tmp_path: Path) -> None:
    row = next(row for row in source_rows() if row["id"] == model_id)
    path = write_sparse(tmp_path / "f16.gguf", synthesise(row, "F16"))
    header = read_header_file(path)
    for label, (types, _) in quantizer_choices(path, ["Q3_K_M", "Q4_K_S", "IQ3_M"]).items():
        assert {one.name: one.quant_type.name for one in QuantizerPlan([header]).tensors(label)} == types, label


def _matrices(header: GgufHeader) -> list[TensorInfo]:
    return [one for one in header.tensors if len(one.dimensions) > 1]


def _as_type(one: TensorInfo, type_name: str) -> TensorInfo:
    quant_type = QUANT_TYPES_BY_NAME[type_name]
    n_bytes = prod(one.dimensions) // quant_type.block_elements * quant_type.block_bytes
    return replace(one, quant_type=quant_type, n_bytes=n_bytes)


def _reason(header: GgufHeader, one: TensorInfo, label: str) -> Reason:
    (group,) = stored_types([replace(header, tensors=(one,))], label).groups
    return group.reason
