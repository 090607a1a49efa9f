"""Which file is the reference: the one nearest to the original, not the largest one."""

from __future__ import annotations

import itertools

import pytest

from localai_app.compare.provenance import Provenance, default_reference, precision_bits


def file(key: str, bits: float, main_type: str = "", **more: object) -> Provenance:
    return Provenance(key=key, label=key, bits_per_weight=bits, main_type=main_type or key, **more)  # type: ignore[arg-type]


Q8_FROM_Q4 = file("again", 8.5, "Q8_0", source_label="Q4_1", source_bits_per_weight=5.0, size_bytes=900)


@pytest.mark.parametrize(("files", "chosen"), [
    ([file("F16", 16), file("Q8_0", 8.5), file("Q4_K_M", 4.9)], "F16"),
    ([file("F16", 16), file("BF16", 16), file("F32", 32)], "F32"),
    ([file("F16", 16.03), file("BF16", 16)], "BF16"),
    ([file("Q4_1", 5.0, size_bytes=500), Q8_FROM_Q4], "Q4_1"),
    ([file("Q6_K", 6.6, size_bytes=700), Q8_FROM_Q4], "Q6_K"),
    ([file("Q8_0", 8.5, source_label="F16", source_bits_per_weight=16), file("Q6_K", 6.6)], "Q8_0"),
    # Called F16, but its tensors have four bits.
    ([Provenance(key="fake", label="F16", bits_per_weight=4.5, main_type="Q4_0"), file("Q5_K_M", 5.7)], "Q5_K_M"),
    ([file("plain", 4.9, "Q4_K"), file("imatrix", 4.9, "Q4_K", has_importance_matrix=True)], "imatrix"),
    ([file("small", 4.9, "Q4_K", size_bytes=1), file("large", 4.9, "Q4_K", size_bytes=2)], "large"),
    ([], ""),
])
def test_the_highest_precision_by_provenance_is_chosen(files: list[Provenance], chosen: str) -> None:
    for order in itertools.permutations(files):
        assert default_reference(order) == chosen


def test_a_file_is_at_most_as_precise_as_its_source() -> None:
    assert precision_bits(Q8_FROM_Q4) == 5.0
    assert Q8_FROM_Q4.is_requantized
    assert not file("Q8_0", 8.5, source_label="BF16").is_requantized
    assert precision_bits(Provenance(key="unread")) == 0.0
