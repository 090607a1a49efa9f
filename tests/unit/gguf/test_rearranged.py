"""Which weights a processor rearranges: by its instructions, the type, the number of rows, and what multiplies with them."""

from __future__ import annotations

from math import prod

import pytest
from msgspec.structs import replace

from localai_app.fit.memory import ModelMemory
from localai_app.gguf.header import GgufHeader, TensorInfo
from localai_app.gguf.quant_types import QUANT_TYPES_BY_NAME
from localai_app.gguf.rearranged import Rearranging, is_rearranged, rearranging_of
from localai_app.gguf.tensors import weights_of
from tests.helpers import fit_subjects as models


def tensor(name: str, type_name: str, *dimensions: int) -> TensorInfo:
    quant_type = QUANT_TYPES_BY_NAME[type_name]
    n_elements = prod(dimensions)
    return TensorInfo(
        name, quant_type, dimensions, 0, n_elements, n_elements // quant_type.block_elements * quant_type.block_bytes)


@pytest.mark.parametrize(("sets", "way"), [
    (("avx2", "fma"), Rearranging.AVX2), (("avx2", "avx512f"), Rearranging.AVX512), (("avx", "sse4_2"), None),
    (("asimd", "asimddp"), Rearranging.NEON), (("asimd",), None), (("neon",), Rearranging.NEON),
    (("neon", "dotprod", "i8mm"), Rearranging.NEON), ((), None)])
def test_the_instructions_decide_the_way(sets: tuple[str, ...], way: Rearranging | None) -> None:
    assert rearranging_of(sets) is way


@pytest.mark.parametrize(("type_name", "ways"), [
    ("Q4_K", set(Rearranging)), ("Q4_0", set(Rearranging)), ("MXFP4", set(Rearranging)),
    ("Q2_K", {Rearranging.AVX512}), ("Q6_K", {Rearranging.NEON}), ("Q8_0", {Rearranging.NEON}),
    ("Q5_0", set()), ("F16", set())])
def test_the_type_decides_whether(type_name: str, ways: set[Rearranging]) -> None:
    matrix = tensor("blk.0.ffn_up.weight", type_name, 256, 64)
    assert {way for way in Rearranging if is_rearranged(matrix, way, is_experts=False)} == ways


def test_rows_that_do_not_come_in_eights_stay_as_they_are() -> None:
    assert not is_rearranged(tensor("blk.0.attn_v.weight", "Q4_K", 256, 12), Rearranging.AVX2, is_experts=False)


def test_stacks_of_matrices_are_rearranged_for_experts_only() -> None:
    stack = tensor("blk.0.ffn_up_exps.weight", "Q4_K", 256, 64, 8)
    assert is_rearranged(stack, Rearranging.AVX2, is_experts=True)
    assert not is_rearranged(stack, Rearranging.AVX2, is_experts=False)


def header(*tensors: TensorInfo) -> GgufHeader:
    metadata = {"general.architecture": "llama", "llama.block_count": 2}
    return GgufHeader("m.gguf", 0, 3, metadata, tensors, 32, 0, 0)


def test_rearranged_weights_count_once_and_a_tied_head_becomes_a_tensor_of_its_own() -> None:
    table, block = tensor("token_embd.weight", "Q6_K", 256, 64), tensor("blk.1.ffn_up.weight", "Q4_K", 256, 64)
    weights = weights_of([header(table, tensor("blk.0.ffn_up.weight", "F16", 256, 64), block)])
    geometry = replace(models.SMOLLM2_135M, n_layer=2, cache_layers=())
    on_pc = ModelMemory(geometry, weights, 512, rearranging=Rearranging.AVX2)
    on_mac = ModelMemory(geometry, weights, 512, rearranging=Rearranging.NEON)
    plain = ModelMemory(geometry, weights, 512)
    assert on_pc.host_weights(2, has_head=True) == plain.host_weights(2, has_head=True) == weights.file_bytes
    assert on_mac.host_weights(2, has_head=True) == weights.file_bytes + table.n_bytes
    assert on_pc.rearranged_bytes(2, has_head=True) == block.n_bytes
    assert on_mac.rearranged_bytes(2, has_head=True) == block.n_bytes + table.n_bytes
    assert (on_pc.rearranged_bytes(1, has_head=False), plain.rearranged_bytes(2, has_head=True)) == (0, 0)
