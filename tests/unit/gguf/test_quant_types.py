from __future__ import annotations

import pytest

from localai_app.gguf.quant_types import BITS_PER_WEIGHT, QUANT_TYPES, row_bytes

gguf_constants = pytest.importorskip("gguf.constants")


def test_sizes_are_those_of_the_official_package() -> None:
    # Q8_1 exists only while llama.cpp computes; the package still lists its older layout.
    official = {t.value: (t.name, *gguf_constants.GGML_QUANT_SIZES[t]) for t in gguf_constants.GGMLQuantizationType}
    ours = {code: (t.name, t.block_elements, t.block_bytes) for code, t in QUANT_TYPES.items()}
    shared = (official.keys() & ours.keys()) - {9}
    assert len(shared) >= 30
    assert {code: ours[code] for code in shared} == {code: official[code] for code in shared}
    assert official.keys() <= ours.keys()


@pytest.mark.parametrize(
    ("name", "elements", "expected"), [("q8_0", 1024, 1088), ("F16", 3, 6), ("q4_0", 64, 36), ("Q6_K", 512, 420)]
)
def test_row_bytes(name: str, elements: int, expected: int) -> None:
    assert row_bytes(name, elements) == expected


def test_row_bytes_refuses_a_part_of_a_block() -> None:
    with pytest.raises(ValueError, match="blocks of 32"):
        row_bytes("q8_0", 33)


def test_labels_are_ordered_by_size() -> None:
    sizes = [bits for label, bits in BITS_PER_WEIGHT.items() if not label.startswith("TQ")]
    assert sizes == sorted(sizes, reverse=True)
