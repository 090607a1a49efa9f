"""Which types the matrices of a file are stored in, and what is unusual about it, in sentences."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localai_app.gguf.header import GgufHeader, TensorInfo
from localai_app.gguf.quant_types import BITS_PER_WEIGHT, QUANT_TYPES, QUANT_TYPES_BY_NAME
from localai_app.gguf.stored_types import Reason, StoredTypes, fallback_type, stored_types
from localai_app.gguf.stored_words import fallback_words, other_words, shares_words


def tensor(name: str, type_name: str, *dimensions: int) -> TensorInfo:
    quant_type = QUANT_TYPES_BY_NAME[type_name]
    n_elements = prod(dimensions)
    return TensorInfo(
        name, quant_type, dimensions, 0, n_elements, n_elements // quant_type.block_elements * quant_type.block_bytes)


def judged(label: str, tensors: Sequence[TensorInfo], *, n_experts: int = 0) -> StoredTypes:
    metadata = {"general.architecture": "llama", "llama.expert_count": n_experts}
    return stored_types([GgufHeader("m.gguf", 0, 3, metadata, tuple(tensors), 32, 0, 0)], label)


def reason(label: str, name: str, type_name: str, row: int = 256, *, n_experts: int = 0) -> Reason:
    (group,) = judged(label, [tensor(name, type_name, row, 8)], n_experts=n_experts).groups
    return group.reason


@pytest.mark.parametrize(("label", "name", "type_name", "row", "expected"), [
    ("Q4_K_M", "blk.0.ffn_up.weight", "Q4_K", 512, Reason.LABEL),
    ("Q4_K_M", "blk.0.ffn_down.weight", "Q6_K", 512, Reason.MIXTURE),
    ("Q4_K_M", "blk.0.ffn_up.weight", "Q5_0", 576, Reason.FALLBACK),
    ("Q4_K_M", "blk.0.ffn_up.weight", "Q5_0", 512, Reason.OTHER),
    ("Q4_K_M", "blk.0.attn_v.weight", "Q8_0", 640, Reason.FALLBACK),
    ("Q4_K_M", "token_embd.weight", "Q6_K", 512, Reason.TABLE),
    ("Q4_K_M", "token_embd.weight", "Q8_0", 512, Reason.TABLE),
    ("Q4_K_M", "token_embd.weight", "Q8_0", 576, Reason.FALLBACK),
    ("Q4_K_M", "token_embd.weight", "Q2_K", 512, Reason.OTHER),
    ("Q4_K_M", "blk.0.ffn_gate_inp.weight", "F32", 512, Reason.UNQUANTIZED),
    ("Q4_K_M", "blk.0.ffn_up.weight", "F16", 100, Reason.FALLBACK),
    ("Q4_1", "token_embd.weight", "Q8_0", 576, Reason.FALLBACK),
    ("Q8_0", "blk.0.ffn_up.weight", "F16", 100, Reason.FALLBACK),
    ("IQ2_XXS", "token_embd.weight", "Q2_K", 512, Reason.TABLE),
    ("Q3_K_M", "blk.0.attn_v.weight", "Q5_K", 512, Reason.MIXTURE),
    ("F16", "blk.0.ffn_up.weight", "F32", 512, Reason.MIXTURE),
    ("F16", "blk.0.ffn_up.weight", "Q4_0", 512, Reason.OTHER),
    ("", "blk.0.ffn_up.weight", "Q4_0", 512, Reason.OTHER),
    ("UD-Q4_K_XL", "blk.0.ffn_up.weight", "F16", 512, Reason.UNQUANTIZED)])
def test_the_label_the_shape_and_the_place_decide(label: str, name: str, type_name: str, row: int, expected: Reason) -> None:
    assert reason(label, name, type_name, row) is expected


def test_attention_is_raised_in_models_of_eight_experts_only() -> None:
    assert reason("Q4_0", "blk.0.attn_v.weight", "Q8_0", n_experts=8) is Reason.MIXTURE
    assert reason("Q4_0", "blk.0.attn_v.weight", "Q8_0", n_experts=4) is Reason.OTHER


def test_vectors_do_not_count() -> None:
    stored = judged("Q4_K_M", [
        tensor("blk.0.attn_norm.weight", "F32", 576), tensor("blk.0.bias", "F32", 576, 1), tensor("a.weight", "Q4_K", 512, 2)])
    assert (stored.n_tensors, stored.n_weights) == (1, 1024)


def test_a_file_without_matrices_has_nothing_to_say() -> None:
    stored = judged("Q4_K_M", [tensor("output_norm.weight", "F32", 576)])
    assert stored.shares == other_words(stored) == ()
    assert shares_words(stored) == fallback_words(stored) == ""


def test_the_sentences_name_count_share_type_and_rows() -> None:
    stored = judged("Q4_K_M", [
        *(tensor(f"blk.{n}.ffn_up.weight", "Q5_0", 576, 64) for n in range(3)), tensor("blk.0.attn_v.weight", "Q8_0", 576, 16),
        tensor("blk.0.ffn_down.weight", "Q4_K", 1536, 8), tensor("blk.1.ffn_down.weight", "Q6_K", 1536, 8),
        tensor("blk.0.ffn_gate.weight", "Q2_K", 1536, 8), tensor("blk.9.attn_q.weight", "BF16", 1536, 8)])
    assert shares_words(stored) == "Stored as Q5_0 (65% of the weights), BF16 (7%), Q2_K (7%), Q4_K (7%) and 2 others."
    assert fallback_words(stored) == (
        "4 of 8 matrices, 71% of the weights, are stored as Q5_0 or Q8_0, because their rows of 576 values do not divide by "
        "256: the file is larger and better than its label says.")
    assert other_words(stored) == (
        "1 of 8 matrices, 7% of the weights, is stored as Q6_K, as usual for Q4_K_M.",
        "1 of 8 matrices, 7% of the weights, is stored as Q2_K, which Q4_K_M does not call for: its publisher chose so.",
        "1 of 8 matrices, 7% of the weights, is left in BF16.")


def test_a_table_that_fell_back_is_called_by_its_name() -> None:
    stored = judged("Q4_1", [tensor("token_embd.weight", "Q8_0", 576, 9), tensor("blk.0.ffn_up.weight", "Q4_1", 576, 991)])
    assert fallback_words(stored).startswith("The table of tokens, under 1% of the weights, is stored as Q8_0, because its")


def test_rows_that_fill_no_blocks_at_all_are_left_in_f16() -> None:
    words = fallback_words(judged("Q8_0", [tensor("a.weight", "F16", 100, 2), tensor("b.weight", "F16", 100, 2)]))
    assert words.startswith("2 of 2 matrices, 100% of the weights, are stored as F16")
    assert "do not divide by 32:" in words


ROWS = st.sampled_from((32, 100, 256, 576, 640, 1024, 1536))
QUANTIZED = sorted(set(BITS_PER_WEIGHT) - {"F32", "F16", "BF16"})
NAMES = st.sampled_from(("token_embd", "output", "blk.0.attn_v", "blk.0.attn_q", "blk.0.ffn_down", "blk.0.ffn_gate_inp"))


@st.composite
def tensors(draw: st.DrawFn) -> TensorInfo:
    row = draw(ROWS)
    fitting = [one.name for one in QUANT_TYPES.values() if row % one.block_elements == 0]
    stack = (draw(st.integers(1, 9)), draw(st.integers(1, 3)))
    return tensor(f"{draw(NAMES)}.weight", draw(st.sampled_from(fitting)), row, *stack)


@given(st.lists(tensors(), max_size=8), st.sampled_from([*BITS_PER_WEIGHT, "UD-Q4_K_XL", "", "no label"]))
def test_every_matrix_is_in_one_group_and_every_sentence_ends(found: list[TensorInfo], label: str) -> None:
    stored = judged(label, found)
    matrices = [one for one in found if one.dimensions[1] > 1 or one.dimensions[2] > 1]
    assert stored.n_tensors == len(matrices)
    assert stored.n_weights == sum(one.n_elements for one in matrices)
    assert sum(share for _, share in stored.shares) == pytest.approx(1.0 if matrices else 0.0)
    assert list(stored.shares) == sorted(stored.shares, key=lambda item: (-item[1], item[0]))
    assert bool(fallback_words(stored)) == bool(stored.of(Reason.FALLBACK))
    assert all(words.endswith(".") for words in (shares_words(stored), fallback_words(stored), *other_words(stored)) if words)


@given(st.sampled_from(QUANTIZED), ROWS, st.integers(1, 9))
def test_what_the_quantizer_does_with_a_row_is_recognised(label: str, row: int, n_rows: int) -> None:
    """The label's main type, or what takes its place in rows that it does not fit, is never called strange."""
    main = _main_type(label)
    stored_as = fallback_type(main, row)
    (group,) = judged(label, [tensor("blk.0.ffn_up.weight", stored_as, row, n_rows + 1)]).groups
    assert row % QUANT_TYPES_BY_NAME[stored_as].block_elements == 0
    assert group.reason is (Reason.LABEL if stored_as == main else Reason.FALLBACK)
    bits = QUANT_TYPES_BY_NAME[stored_as].bits_per_weight
    assert bits >= QUANT_TYPES_BY_NAME[main].bits_per_weight, "what falls back is larger, as the sentence says"


def _main_type(label: str) -> str:
    main = {"IQ3_XS": "IQ3_S", "IQ3_M": "IQ3_S", "IQ2_S": "IQ2_XS", "IQ2_M": "IQ2_S"}
    return main.get(label, label if label in QUANT_TYPES_BY_NAME else label[:4])
