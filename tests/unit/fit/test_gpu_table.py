"""Names of GPUs as drivers report them, against the table that the program ships."""

from __future__ import annotations

from pathlib import Path

import pytest

from localai_app.errors import AppError
from localai_app.fit.gpu_table import load_gpu_table
from localai_app.units import GIB
from tests.helpers.fit_subjects import GPU_TABLE_FILE, gpu_table

GPUS = gpu_table()


# (what the driver reports, GiB that it reports, row of the table or None where it is ambiguous or unknown)
NVML_NAMES: list[tuple[str, float | None, str | None]] = [
    ("NVIDIA GeForce RTX 5090", 31.8, "NVIDIA GeForce RTX 5090"),
    ("NVIDIA GeForce RTX 5090 Laptop GPU", 23.9, None),
    ("NVIDIA GeForce RTX 5090 D", 31.8, None),
    ("NVIDIA GeForce RTX 5070 Ti", 15.9, "NVIDIA GeForce RTX 5070 Ti"),
    ("NVIDIA GeForce RTX 5060 Ti", 7.96, "NVIDIA GeForce RTX 5060 Ti"),
    ("NVIDIA GeForce RTX 4090", 23.99, "NVIDIA GeForce RTX 4090"),
    ("NVIDIA GeForce RTX 4090 D", 23.99, "NVIDIA GeForce RTX 4090D"),
    ("NVIDIA GeForce RTX 4090 Laptop GPU", 15.99, "NVIDIA GeForce RTX 4090 Laptop GPU"),
    ("NVIDIA GeForce RTX 4080 SUPER", 15.99, "NVIDIA GeForce RTX 4080 SUPER"),
    ("NVIDIA GeForce RTX 4080 Laptop GPU", 11.99, "NVIDIA GeForce RTX 4080 Laptop GPU"),
    ("NVIDIA GeForce RTX 4070 Ti SUPER", 15.99, "NVIDIA GeForce RTX 4070 Ti Super"),
    ("NVIDIA GeForce RTX 4070 Laptop GPU", 7.99, "NVIDIA GeForce RTX 4070 Laptop GPU"),
    ("NVIDIA GeForce RTX 4060 Laptop GPU", 7.99, "NVIDIA GeForce RTX 4060 Laptop GPU"),
    ("NVIDIA GeForce RTX 3090", 24.0, "NVIDIA GeForce RTX 3090"),
    ("NVIDIA GeForce RTX 3080", 10.0, "NVIDIA GeForce RTX 3080"),
    ("NVIDIA GeForce RTX 3080", 12.0, None),
    ("NVIDIA GeForce RTX 3080 Ti Laptop GPU", 16.0, None),
    ("NVIDIA GeForce RTX 3060", 12.0, "NVIDIA GeForce RTX 3060"),
    ("NVIDIA GeForce RTX 3060", 8.0, None),
    ("NVIDIA GeForce RTX 3050", 6.0, None),
    ("NVIDIA GeForce RTX 2060", 12.0, "NVIDIA GeForce RTX 2060 12GB"),
    ("NVIDIA GeForce RTX 2070 with Max-Q Design", 8.0, None),
    ("NVIDIA GeForce GTX 1650", 4.0, None),
    ("NVIDIA GeForce GTX 1080 Ti", 11.0, None),
    ("NVIDIA GeForce RTX 9999", 24.0, None),
    ("NVIDIA TITAN RTX", 24.0, None),
    ("Quadro RTX 6000", 24.0, None),
    ("NVIDIA RTX A6000", 47.5, "NVIDIA RTX A6000"),
    ("NVIDIA RTX 6000 Ada Generation", 47.99, "NVIDIA RTX 6000 Ada"),
    ("NVIDIA RTX 5000 Ada Generation", 31.99, None),
    ("NVIDIA RTX PRO 6000 Blackwell Workstation Edition", 95.6, "NVIDIA RTX PRO 6000 WS"),
    ("NVIDIA RTX PRO 6000 Blackwell Max-Q Workstation Edition", 95.6, "NVIDIA RTX PRO 6000 Max-Q"),
    ("NVIDIA RTX PRO 6000 Blackwell Server Edition", 95.6, None),
    ("NVIDIA RTX PRO 5000 Blackwell Generation Laptop GPU", 23.9, None),
    ("NVIDIA RTX PRO 4500 Blackwell", 31.9, "NVIDIA RTX PRO 4500 WS"),
    ("NVIDIA H100 80GB HBM3", 79.6, "NVIDIA H100"),
    ("NVIDIA H100 80GB HBM2e", 79.6, "NVIDIA H100 PCIe"),
    ("NVIDIA H100 PCIe", 79.2, "NVIDIA H100 PCIe"),
    ("NVIDIA H100 NVL", 93.6, "NVIDIA H100 NVL"),
    ("NVIDIA H100 64GB HBM3", 63.6, None),
    ("NVIDIA H100 80GB HBM3 MIG 1g.10gb", 9.8, None),
    ("NVIDIA H200", 139.8, "NVIDIA H200"),
    ("NVIDIA H200 NVL", 139.8, None),
    ("NVIDIA GH200 480GB", 95.6, None),
    ("NVIDIA H20", 95.6, None),
    ("NVIDIA B200", 179.0, None),
    ("NVIDIA A100-SXM4-80GB", 79.2, "NVIDIA A100"),
    ("A100-SXM4-40GB", 39.4, "NVIDIA A100 40GB"),
    ("NVIDIA A100-PCIE-40GB", 39.4, "NVIDIA A100 40GB"),
    ("NVIDIA A100-PCIE-40GB", None, "NVIDIA A100 40GB"),
    ("NVIDIA A100 80GB PCIe", 79.1, "NVIDIA A100 80GB PCIe"),
    ("NVIDIA A100-SXM-64GB", 63.4, None),
    ("NVIDIA A100-SXM4-40GB MIG 1g.5gb", 4.75, None),
    ("NVIDIA A100", None, None),
    ("GRID A100-10C", 10.0, None),
    ("NVIDIA A800-SXM4-80GB", 79.2, None),
    ("NVIDIA L40S", 44.4, "NVIDIA L40S"),
    ("NVIDIA L4", 22.5, "NVIDIA L4"),
    ("NVIDIA A10G", 22.5, None),
    ("Tesla T4", 14.7, "NVIDIA Tesla T4"),
    ("Tesla V100-SXM2-16GB", 15.8, "NVIDIA Tesla V100"),
    ("Tesla V100-PCIE-32GB", 31.7, "NVIDIA Tesla V100"),
    ("Tesla V100S-PCIE-32GB", 31.7, None),
    ("NVIDIA GB10", None, "NVIDIA DGX Spark (GB10)"),
    ("Orin (nvgpu)", None, None),
]
METAL_NAMES: list[tuple[str, float | None, str | None]] = [
    ("Apple M1", 10.7, "Apple M1"), ("Apple M1 Pro", 21.3, "Apple M1 Pro"), ("Apple M1 Max", 48, "Apple M1 Max"),
    ("Apple M1 Ultra", 96, "Apple M1 Ultra"), ("Apple M2", 16, "Apple M2"), ("Apple M2 Pro", 21.3, "Apple M2 Pro"),
    ("Apple M2 Max", 48, "Apple M2 Max"), ("Apple M2 Ultra", 144, "Apple M2 Ultra (76-core GPU)"), ("Apple M3", 16, "Apple M3"),
    ("Apple M3 Pro", 24, "Apple M3 Pro"), ("Apple M3 Max", 48, None),
    ("Apple M3 Max (40-core GPU)", 48, "Apple M3 Max (40-core GPU)"),
    ("Apple M1 Max (32-core GPU)", 48, "Apple M1 Max"), ("Apple M5 Max (32-core GPU)", 48, None),
    ("Apple M3 Max (30-core GPU)", 24, "Apple M3 Max (30-core GPU)"), ("Apple M3 Ultra", 192, "Apple M3 Ultra (80-core GPU)"),
    ("Apple M4", 10.7, "Apple M4"), ("Apple M4 Pro", 36, "Apple M4 Pro"), ("Apple M4 Max", 48, None),
    ("Apple M5", 21.3, "Apple M5"),
    ("Apple M5 Pro", 36, "Apple M5 Pro"), ("Apple M5 Max", 48, None), ("Apple M9", 48, None),
]
AMD_NAMES: list[tuple[str, float | None, str | None]] = [
    ("AMD Radeon RX 7900 XTX", 23.98, "AMD Radeon RX 7900 XTX"),
    ("AMD Radeon RX 7900 XTX (RADV NAVI31)", 23.98, "AMD Radeon RX 7900 XTX"),
    ("AMD Radeon RX 7900 XT/7900 XTX/7900 GRE/7900M", 23.98, None),
    ("Navi 31 [Radeon RX 7900 XT/7900 XTX/7900 GRE/7900M]", 23.98, None),
    ("Navi 31 [Radeon RX 7900 XT/7900 XTX]", 23.98, "AMD Radeon RX 7900 XTX"),
    ("Navi 31 [Radeon RX 7900 XT/7900 XTX]", 19.98, "AMD Radeon RX 7900 XT"),
    ("Navi 31 [Radeon RX 7900 XT/7900 XTX]", None, None),
    ("AMD Radeon RX 7700 XT / 7800 XT", 15.98, "AMD Radeon RX 7800 XT"),
    ("Navi 32 [Radeon RX 7700 XT / 7800 XT]", 11.98, "AMD Radeon RX 7700 XT"),
    ("Navi 33 [Radeon RX 7600/7600 XT/7600M XT/7600S/7700S / PRO W7600]", 7.98, None),
    ("Navi 21 [Radeon RX 6800/6800 XT / 6900 XT]", 15.98, "AMD Radeon RX 6800"),
    ("Navi 22 [Radeon RX 6700/6700 XT/6750 XT / 6800M/6850M XT]", 11.98, None),
    ("Navi 23 [Radeon RX 6600/6600 XT/6600M]", 7.98, None),
    ("Navi 48 [Radeon RX 9070/9070 XT/9070 GRE]", 15.9, None),
    ("AMD Radeon RX 9070 XT", 15.9, "AMD Radeon RX 9070 XT"),
    ("AMD Radeon RX 6700M", 10.0, None),
    ("AMD Radeon RX 580 Series", 8.0, None),
    ("AMD Radeon PRO W7900", 44.9, "AMD Radeon PRO W7900"),
    ("AMD Instinct MI210", 63.98, "AMD MI210"),
    ("AMD Instinct MI300X", 191.5, "AMD Instinct MI300X"),
    ("AMD Instinct MI60 / MI50", 31.98, None),
    ("AMD Radeon(TM) 8060S Graphics", 64, "AMD Ryzen AI Max+ 395 (Radeon 8060S, Strix Halo)"),
    ("AMD Radeon Graphics / Radeon 8050S Graphics / Radeon 8060S Graphics", 96,
     "AMD Ryzen AI Max+ 395 (Radeon 8060S, Strix Halo)"),
    ("Strix [Radeon 880M / 890M]", 24, "AMD Radeon 880M"),
    ("AMD Radeon(TM) 890M Graphics", 24, "AMD Radeon 890M"),
    ("AMD Radeon 780M Graphics", None, "AMD Radeon 780M"),
    ("Rembrandt [Radeon 680M]", 16, "AMD Radeon 680M"),
    ("AMD Phoenix1", 16, None),
    ("AMD Radeon Graphics", 16, None),
    ("AMD GPU 1002:ffff", 16, None),
]
INTEL_NAMES: list[tuple[str, float | None, str | None]] = [
    ("Intel(R) Arc(TM) B580 Graphics", 11.9, "Intel Arc B580"), ("Battlemage G21 [Arc B580]", None, "Intel Arc B580"),
    ("Intel Arc B570", 9.9, "Intel Arc B570"), ("DG2 [Arc A770]", 15.9, "Intel Arc A770"),
    ("DG2 [Arc A770M]", 15.9, "Intel Arc A770M"),
    ("Intel(R) Arc(TM) A750 Graphics", 7.9, "Intel Arc A750"), ("Battlemage G21 [Arc Pro B50]", 15.9, None),
    ("Intel(R) Arc(TM) Graphics", 16, None), ("Intel(R) Arc(TM) 140V GPU (16GB)", 16, None),
    ("Intel(R) Iris(R) Xe Graphics", 8, None), ("Intel TigerLake-LP GT2 [Iris Xe Graphics]", 8, None),
    ("Intel(R) UHD Graphics 770", 16, None), ("Intel Data Center GPU Flex 170", 16, None),
]
ODD_NAMES: list[tuple[str, float | None, str | None]] = [
    ("DDR5-5600 dual channel (128-bit)", None, None), ("", None, None), ("/", None, None), ("[]", 8, None), ("NVIDIA", 8, None),
]


@pytest.mark.parametrize(("name", "gib", "row"), [*NVML_NAMES, *METAL_NAMES, *AMD_NAMES, *INTEL_NAMES, *ODD_NAMES])
def test_what_drivers_report_finds_its_row_or_nothing(name: str, gib: float | None, row: str | None) -> None:
    found = GPUS.find(name, None if gib is None else round(gib * GIB))
    assert (found.name if found is not None else None) == row


@pytest.mark.parametrize(("name", "gib", "gb_per_s"), [
    ("NVIDIA GeForce RTX 4090", 24, 1008), ("NVIDIA GeForce RTX 4090 Laptop GPU", 16, 576),
    ("NVIDIA H100 80GB HBM3", 79.6, 3350), ("NVIDIA H100 PCIe", 79.2, 2039), ("NVIDIA H100 NVL", 93.6, 3900),
    ("NVIDIA A100-SXM4-80GB", 79.2, 2039), ("NVIDIA A100 80GB PCIe", 79.1, 1935), ("NVIDIA A100-SXM4-40GB", 39.4, 1555),
    ("Tesla V100-SXM2-16GB", 15.8, 900), ("NVIDIA GB10", None, 273), ("Apple M4 Pro", 36, 273),
    ("Apple M3 Max (30-core GPU)", 27, 300), ("AMD Radeon 780M Graphics", None, 90)])
def test_bandwidth_of_a_known_gpu(name: str, gib: float | None, gb_per_s: float) -> None:
    found = GPUS.find(name, None if gib is None else round(gib * GIB))
    assert found is not None
    assert found.bandwidth_bytes_per_s == pytest.approx(gb_per_s * 1e9)


@pytest.mark.parametrize(("name", "tflops"), [
    # Two operations for each weight and token that its own benchmark reports, or that of its relatives times listed TFLOPS.
    ("NVIDIA A100-SXM4-80GB", 2 * 8.03e9 * 5947.64 / 1e12), ("NVIDIA H100 PCIe", 2 * 8.03e9 * 8125.45 / 1e12),
    ("NVIDIA H100 80GB HBM3", 2 * 8.95e9 * 8106.35 / 1e12), ("NVIDIA A100 80GB PCIe", 1.2 * 77.97),
    ("NVIDIA H200", 0.54 * 241.3),
    ("NVIDIA GeForce RTX 4060 Laptop GPU", 2 * 11.61), ("Apple M5", 2 * 7.24e9 * 608.05 / 1e12), ("Apple M5 Pro", 1.5 * 11.4),
    ("Apple M2", 0.7 * 3.6), ("Apple M4 Max (32-core GPU)", 0.7 * 14.72)])
def test_operations_per_second_in_prompts(name: str, tflops: float) -> None:
    found = GPUS.find(name)
    assert found is not None
    assert found.prompt_flops == pytest.approx(tflops * 1e12, rel=1e-3)


@pytest.mark.parametrize("name", [
    "NVIDIA H100 NVL", "Tesla T4", "NVIDIA GeForce RTX 3050", "Navi 21 [Radeon RX 6800/6800 XT / 6900 XT]"])
def test_prompts_are_unknown_where_nothing_was_measured(name: str) -> None:
    found = GPUS.find(name)
    assert found is not None
    assert found.prompt_flops is None


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
