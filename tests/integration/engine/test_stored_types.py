"""What is called unusual about a file's types, against what llama.cpp's quantizer says that it does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import prod
from pathlib import Path

import pytest

from localai_app.gguf.header import GgufHeader, TensorInfo
from localai_app.gguf.label import label_of_name
from localai_app.gguf.quant_types import QUANT_TYPES_BY_NAME
from localai_app.gguf.reader import read_header_file
from localai_app.gguf.stored_types import Reason, stored_types
from localai_app.gguf.stored_words import fallback_words
from tests.helpers.quantizer_program import quantizer_choices
from tests.helpers.real_models import gemma_path, smollm2_path

pytestmark = pytest.mark.model

LABELS = ("Q6_K", "Q4_K_M", "Q4_0", "Q3_K_M", "Q2_K", "IQ4_XS", "IQ2_M")
TABLE = "token_embd.weight"


@pytest.mark.parametrize("find", [smollm2_path, gemma_path])
def test_the_quantizers_own_choices_are_understood(find: Callable[[], Path]) -> None:
    path = find()
    header = read_header_file(path)
    for label, (types, fell_back) in quantizer_choices(path, LABELS).items():
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


def _matrices(header: GgufHeader) -> list[TensorInfo]:
    return [one for one in header.tensors if len(one.dimensions) > 1]


def _as_type(one: TensorInfo, type_name: str) -> TensorInfo:
    quant_type = QUANT_TYPES_BY_NAME[type_name]
    n_bytes = prod(one.dimensions) // quant_type.block_elements * quant_type.block_bytes
    return replace(one, quant_type=quant_type, n_bytes=n_bytes)


def _reason(header: GgufHeader, one: TensorInfo, label: str) -> Reason:
    (group,) = stored_types([replace(header, tensors=(one,))], label).groups
    return group.reason
