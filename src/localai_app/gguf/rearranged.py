"""Which weights llama.cpp rearranges ("repacks") for the processor: it holds them in a copy of its own.

Rules: `ggml_repack_get_optimal_repack_type` and `supports_op` of ggml/src/ggml-cpu/repack.cpp, for builds that use what the
processor has. Builds with AMX or KleidiAI rearrange others; there only a dry run tells.
"""

from __future__ import annotations

from collections.abc import Collection
from enum import StrEnum

from localai_app.gguf.header import TensorInfo


class Rearranging(StrEnum):
    """The ways of processors, by the instructions that decide."""

    AVX2 = "avx2"
    AVX512 = "avx512"
    NEON = "neon"


_AVX2_ROWS = {"Q4_0": 8, "Q4_K": 8, "IQ4_NL": 8, "MXFP4": 8}
_ROWS = {
    Rearranging.AVX2: _AVX2_ROWS,
    Rearranging.AVX512: {**_AVX2_ROWS, "Q2_K": 8},
    Rearranging.NEON: {
        "Q4_0": 4, "Q4_K": 8, "Q5_K": 8, "Q6_K": 8, "IQ4_NL": 4, "MXFP4": 4, "Q8_0": 4, "Q1_0": 4},
}
"""Types that are rearranged, and by how many rows at a time: the number of rows must be a multiple."""


def rearranging_of(instruction_sets: Collection[str]) -> Rearranging | None:
    """The way of a processor with these sets (`hardware.report.Cpu.instruction_sets`); None: it uses weights as they are."""
    sets = set(instruction_sets)
    if "avx2" in sets:
        return Rearranging.AVX512 if "avx512f" in sets else Rearranging.AVX2
    # Linux lists asimd without asimddp for processors that lack the dot product; other systems run on none of these.
    has_dot_product = "asimddp" in sets if "asimd" in sets else bool(sets & {"neon", "dotprod"})
    return Rearranging.NEON if has_dot_product else None


def is_rearranged(tensor: TensorInfo, way: Rearranging, *, is_experts: bool) -> bool:
    """Whether a tensor that takes part in matrix products is rearranged. `is_experts`: it holds one matrix per expert."""
    rows = _ROWS[way].get(tensor.quant_type.name)
    n_dimensions = 3 if is_experts else 2
    return rows is not None and len(tensor.dimensions) == n_dimensions and tensor.dimensions[1] % rows == 0
