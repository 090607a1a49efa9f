"""What llama.cpp's log says about a quantization: tensors that fell back to another type, and their sizes."""

from __future__ import annotations

from pathlib import Path

import pytest

from localai_app.engine.failure import RequestRefusedError
from localai_app.engine.protocol import TensorFallback
from localai_app.engine.quantizing import FILE_TYPES, NEEDS_IMPORTANCE_MATRIX
from localai_app.engine.worker.quantizing import fallbacks_in, require_space, weights_in
from localai_app.gguf.quant_types import BITS_PER_WEIGHT

LINES = [
    "warning: blk.0.attn_k.weight                  - ncols    576 not divisible by 256 (required for type    q2_K)",
    "-> falling back to    q4_0",
    "llama_model_quantize_impl: something else",
    "warning: odd.weight                           - ncols    100 not divisible by 256 (required for type    q6_K)",
    "(WARNING: must use F16 due to unusual shape)",
    "-> falling back to     f16",
    "[   1/ 272] token_embd.weight                    - [  576, 49152,     1,     1], type =   q8_0,",
    "size = 28.688 MiB",
    "[   2/ 272] blk.0.attn_norm.weight               - [  576,     1,     1,     1], type =    f32,",
]


def test_fallbacks_are_read_across_the_parts_of_a_message() -> None:
    assert fallbacks_in(LINES) == (
        TensorFallback(name="blk.0.attn_k.weight", wanted="Q2_K", used="Q4_0"),
        TensorFallback(name="odd.weight", wanted="Q6_K", used="F16"))


def test_a_fallback_in_one_line_is_read_too() -> None:
    assert fallbacks_in([f"{LINES[0]} {LINES[1]}"]) == (TensorFallback(name="blk.0.attn_k.weight", wanted="Q2_K", used="Q4_0"),)


def test_lines_of_other_matters_say_nothing() -> None:
    assert fallbacks_in(["-> falling back to q4_0", "", "warning: nothing"]) == ()
    assert weights_in(["[   1/  10]", "", "[x/y] a - [1], type"]) == {}


def test_weights_of_tensors_are_counted() -> None:
    assert weights_in(LINES) == {"token_embd.weight": 576 * 49152, "blk.0.attn_norm.weight": 576}


def test_a_file_that_the_disk_has_no_room_for_is_not_begun(tmp_path: Path) -> None:
    require_space(tmp_path / "small.gguf", 1000)
    with pytest.raises(RequestRefusedError) as refused:
        require_space(tmp_path / "large.gguf", 10**18)
    assert refused.value.spec.code == "no_space"
    assert refused.value.fields["folder"] == str(tmp_path)


def test_every_label_that_can_be_made_has_its_bits() -> None:
    assert set(FILE_TYPES) <= set(BITS_PER_WEIGHT)
    assert not set(FILE_TYPES) & NEEDS_IMPORTANCE_MATRIX
    assert list(FILE_TYPES) == sorted(FILE_TYPES, key=lambda label: -BITS_PER_WEIGHT[label])
