"""Names of GPUs as drivers report them, against the table that the program ships."""

from __future__ import annotations

from pathlib import Path

import pytest

from localai_app.errors import AppError
from localai_app.fit.gpu_table import load_gpu_table
from localai_app.units import GIB
from tests.helpers.fit_subjects import GPU_TABLE_FILE, gpu_table

GPUS = gpu_table()


@pytest.mark.parametrize(("name", "gib", "gb_per_s"), [
    ("NVIDIA GeForce RTX 4090", 23.99, 1008), ("NVIDIA GeForce RTX 4090 Laptop GPU", 15.99, 576), ("NVIDIA H200", 139.8, 4800),
    ("NVIDIA H100 80GB HBM3", 79.6, 3350), ("NVIDIA A100-SXM4-80GB", 79.2, 2039), ("Tesla V100-SXM2-16GB", 15.8, 900),
    ("NVIDIA GeForce RTX 3080", 10, 760.3), ("NVIDIA GeForce RTX 2060", 12, 336), ("NVIDIA GB10", None, 273),
    ("NVIDIA GeForce RTX 4070 Ti SUPER", 16, 672), ("NVIDIA RTX PRO 6000 Blackwell Workstation Edition", 95.6, 1792),
    ("NVIDIA RTX 6000 Ada Generation", 47.5, 960), ("AMD Radeon RX 7900 XTX (RADV NAVI31)", 24, 960),
    ("Navi 21 [Radeon RX 6800/6800 XT / 6900 XT]", 16, 512), ("AMD Radeon(TM) 8060S Graphics", 64, 256),
    ("AMD Radeon 780M Graphics", None, 90), ("Intel(R) Arc(TM) B580 Graphics", 12, 456), ("Apple M4 Pro", 36, 273),
    ("Apple M3 Max (40-core GPU)", 48, 400), ("Apple M3 Max (30-core GPU)", 27, 300), ("Apple M2 Ultra", 96, 800)])
def test_bandwidth_of_a_known_gpu(name: str, gib: float | None, gb_per_s: float) -> None:
    found = GPUS.find(name, None if gib is None else round(gib * GIB))
    assert found is not None
    assert found.bandwidth_bytes_per_s == pytest.approx(gb_per_s * 1e9)


@pytest.mark.parametrize(("name", "gib"), [
    ("NVIDIA H100 PCIe", 80), ("NVIDIA A100-SXM4-40GB", 40), ("NVIDIA A100-PCIE-40GB", 40), ("NVIDIA A100 80GB PCIe", 80),
    ("NVIDIA GeForce RTX 3080", 12), ("NVIDIA GeForce RTX 3060", 8), ("Apple M3 Max", 48), ("Apple M5 Max", 48),
    ("Navi 31 [Radeon RX 7900 XT/7900 XTX/7900 GRE/7900M]", 24), ("AMD Radeon Graphics", 16), ("NVIDIA GeForce RTX 9999", 24),
    ("NVIDIA H100 80GB HBM3 MIG 1g.10gb", 10), ("GRID A100-10C", 10), ("DDR5-5600 dual channel (128-bit)", None), ("", None)])
def test_unknown_and_ambiguous_names_find_nothing(name: str, gib: float | None) -> None:
    assert GPUS.find(name, None if gib is None else gib * GIB) is None


def test_laptop_parts_differ_from_cards_of_the_same_number() -> None:
    laptop, card = GPUS.find("NVIDIA GeForce RTX 4070 Laptop GPU"), GPUS.find("NVIDIA GeForce RTX 4070")
    assert laptop is not None
    assert card is not None
    assert laptop.bandwidth_bytes_per_s < card.bandwidth_bytes_per_s


def test_a_missing_or_broken_table_is_an_error_in_words(tmp_path: Path) -> None:
    with pytest.raises(AppError) as missing:
        load_gpu_table(tmp_path / "none.json")
    assert missing.value.code == "file_unreadable"
    broken = tmp_path / "gpus.json"
    broken.write_bytes(GPU_TABLE_FILE.read_bytes()[:-30])
    with pytest.raises(AppError) as damaged:
        load_gpu_table(broken)
    assert damaged.value.code == "file_invalid"
