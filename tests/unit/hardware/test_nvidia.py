"""The NVIDIA probe against a real shared library with NVML's functions, in processes of their own."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.fake_nvml import GIB, PROBE, build_fake_nvml, compiler, gpu_line, run_with_nvml
from tests.helpers.fake_sysfs import write_files

pytestmark = [
    pytest.mark.skipif(compiler() is None, reason="no C compiler to build the fake NVML library with"),
    pytest.mark.skipif(os.name == "nt", reason="the fake library is found through LD_LIBRARY_PATH"),
]

NOT_SUPPORTED, NO_PERMISSION, NOT_LOADED, GPU_IS_LOST, MISMATCH, UNKNOWN = 3, 4, 9, 15, 18, 999


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_fake_nvml(tmp_path_factory.mktemp("nvml"))


@pytest.fixture
def probe(library: Path, tmp_path: Path) -> Callable[..., Any]:
    def run(lines: Sequence[str], *, folder: Path = library) -> Any:
        configuration = tmp_path / "nvml.txt"
        configuration.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return run_with_nvml(folder, configuration, PROBE, tmp_path)

    return run


def test_one_card_with_everything(probe) -> None:
    found = probe([
        "driver 580.95.05",
        gpu_line("NVIDIA GeForce RTX 4090", 24 * GIB, 20 * GIB, reserved=512 * 1024**2),
        "process 0 G 4000001 1073741824 /usr/bin/gnome-shell",
        "process 0 C 4000002 2147483648 /opt/games/game.x86_64",
        "process 0 G 4000002 2147483648 /opt/games/game.x86_64",
        "process 0 C 4000003 -1 -",
    ])
    (gpu,) = found["gpus"]
    assert found["notes"] == []
    assert (gpu["name"], gpu["vendor"], gpu["driver"], gpu["compute_capability"], gpu["source"], gpu["unified"]) == (
        "NVIDIA GeForce RTX 4090", "nvidia", "580.95.05", "8.9", "nvml", False)
    assert (gpu["total_bytes"], gpu["free_bytes"]) == (24 * GIB, 20 * GIB)
    # What the driver reserves is not held by other programs.
    assert gpu["used_by_others_bytes"] == 4 * GIB - 512 * 1024**2
    assert [(held["pid"], held["name"], held["held_bytes"]) for held in gpu["holders"]] == [
        (4000002, "game.x86_64", 2 * GIB), (4000001, "gnome-shell", GIB), (4000003, "process 4000003", None)]


def test_what_this_program_holds_is_not_held_by_others(library: Path, tmp_path: Path) -> None:
    script = f"""
import os
from pathlib import Path
Path({str(tmp_path / "nvml.txt")!r}).write_text(
    {gpu_line("RTX", 8 * GIB, 5 * GIB)!r} + f"\\nprocess 0 C {{os.getpid()}} {GIB} python\\n")
""" + PROBE
    (gpu,) = run_with_nvml(library, tmp_path / "nvml.txt", script, tmp_path)["gpus"]
    assert gpu["used_by_others_bytes"] == 2 * GIB


@pytest.mark.parametrize("cards", [
    [("RTX 3060", 12)], [("RTX 3090", 24), ("RTX 3090", 24)], [("RTX 4090", 24), ("GTX 1070", 8)],
    [("T1000", 4), ("RTX 2060", 6), ("RTX 4060", 8), ("H200", 141)],
])
def test_several_cards_in_the_drivers_order(probe, cards: list[tuple[str, int]]) -> None:
    found = probe([gpu_line(name, size * GIB) for name, size in cards])
    assert [(gpu["name"], gpu["total_bytes"]) for gpu in found["gpus"]] == [(name, size * GIB) for name, size in cards]
    assert found["notes"] == []


@pytest.mark.parametrize("where", ["handle_error", "name_error"])
def test_an_error_midway_keeps_the_other_cards(probe, where: str) -> None:
    found = probe([gpu_line("first"), gpu_line("second", **{where: GPU_IS_LOST}), gpu_line("third")])
    assert [gpu["name"] for gpu in found["gpus"]] == ["first", "third"]
    (note,) = found["notes"]
    assert note["message"] == "NVIDIA GPU 1 does not answer: gpu is lost."
    assert "Restart" in note["remedy"]


def test_a_card_whose_memory_cannot_be_read_is_listed_without_figures(probe) -> None:
    found = probe([gpu_line("first", memory_error=UNKNOWN), gpu_line("second")])
    assert [(gpu["name"], gpu["total_bytes"], gpu["free_bytes"]) for gpu in found["gpus"]] == [
        ("first", None, None), ("second", 24 * GIB, 24 * GIB)]
    assert [note["message"] for note in found["notes"]] == ["The memory of first (GPU 0) cannot be read: unknown error."]


def test_a_part_without_memory_of_its_own_shares_main_memory(probe) -> None:
    found = probe([gpu_line("NVIDIA GB10", memory_error=NOT_SUPPORTED, compute="12.1")])
    (gpu,) = found["gpus"]
    assert (gpu["unified"], gpu["total_bytes"], gpu["free_bytes"], gpu["used_by_others_bytes"]) == (
        True, 128 * GIB, 100 * GIB, None)
    assert found["notes"] == []


@pytest.mark.parametrize(("code", "words"), [
    (MISMATCH, "was updated"), (NOT_LOADED, "not running"), (NO_PERMISSION, "refuses access"), (UNKNOWN, "does not answer"),
])
def test_a_driver_that_does_not_start_is_told_in_words(probe, code: int, words: str) -> None:
    found = probe([f"init {code}", gpu_line("RTX")])
    (note,) = found["notes"]
    assert found["gpus"] == []
    assert words in note["message"]
    assert note["remedy"]


def test_a_driver_older_than_cuda_12_is_told(probe) -> None:
    found = probe(["driver 470.256.02", gpu_line("GTX 680", 2 * GIB, compute="3.0")])
    assert [gpu["name"] for gpu in found["gpus"]] == ["GTX 680"]
    (note,) = found["notes"]
    assert "470.256.02 is too old" in note["message"]
    assert "newer" in note["remedy"]


def test_no_card_is_no_problem(probe) -> None:
    assert probe(["driver 580.95.05"]) == {"gpus": [], "notes": []}


@pytest.mark.parametrize(("missing", "expected"), [
    (["nvmlDeviceGetMemoryInfo_v2"], {"free_bytes": 20 * GIB, "used_by_others_bytes": 4 * GIB}),
    (["nvmlDeviceGetCudaComputeCapability"], {"compute_capability": None, "free_bytes": 20 * GIB}),
    (["nvmlDeviceGetComputeRunningProcesses_v3", "nvmlDeviceGetGraphicsRunningProcesses_v3"],
     {"holders": [{"pid": 4000001, "name": "game", "held_bytes": GIB}]}),
    (["nvmlDeviceGetMemoryInfo_v2", "nvmlDeviceGetMemoryInfo"], {"total_bytes": None, "free_bytes": None}),
])
def test_functions_that_an_old_driver_lacks_cost_only_their_answer(
    probe, tmp_path: Path, missing: list[str], expected: dict[str, object],
) -> None:
    old = build_fake_nvml(tmp_path / "old", without=missing)
    found = probe(
        [gpu_line("RTX", 24 * GIB, 20 * GIB, reserved=GIB), "process 0 C 4000001 1073741824 game"], folder=old)
    (gpu,) = found["gpus"]
    assert gpu["name"] == "RTX"
    assert {key: gpu[key] for key in expected} == expected
    assert len(found["notes"]) == (1 if gpu["total_bytes"] is None else 0)


def test_a_library_without_the_first_function_is_too_old(probe, tmp_path: Path) -> None:
    old = build_fake_nvml(tmp_path / "old", without=["nvmlInitWithFlags"])
    found = probe([gpu_line("RTX")], folder=old)
    (note,) = found["notes"]
    assert (found["gpus"], "too old" in note["message"]) == ([], True)


@pytest.mark.parametrize(("devices", "expected"), [
    ({}, "No NVIDIA driver was found."),
    ({"0000:01:00.0/vendor": "0x10de", "0000:01:00.0/class": "0x030000"},
     "There is an NVIDIA card, but NVIDIA's driver is not installed."),
    ({"0000:01:00.0/vendor": "0x1002", "0000:01:00.0/class": "0x030000"}, None),
    ({"0000:01:00.1/vendor": "0x10de", "0000:01:00.1/class": "0x040300"}, None),
])
def test_without_the_library_the_pci_bus_tells_what_is_missing(
    probe, tmp_path: Path, devices: dict[str, str], expected: str | None,
) -> None:
    write_files(tmp_path / "sys/bus/pci/devices", devices)
    found = probe([gpu_line("RTX")], folder=tmp_path)
    assert found["gpus"] == []
    assert [note["message"] for note in found["notes"]] == ([expected] if expected else [])


def test_a_file_that_is_no_library_counts_as_none(probe, tmp_path: Path) -> None:
    folder = tmp_path / "broken"
    folder.mkdir()
    (folder / "libnvidia-ml.so.1").write_bytes(b"not a library")
    assert [note["message"] for note in probe([], folder=folder)["notes"]] == ["No NVIDIA driver was found."]


METER = """
import sys
from pathlib import Path
import msgspec
from localai_app.hardware.detect import detect_hardware, measure_gpus
from localai_app.hardware.gpu_meter import GpuMeter
configuration, changed = Path(sys.argv[1]), sys.argv[2]
report = detect_hardware()
with GpuMeter(report.gpus) as meter:
    before = meter.measure(report.gpus)
configuration.write_text(changed)
after = measure_gpus(report)
sys.stdout.write(msgspec.json.encode([report.gpus, before, after]).decode())
"""


def test_a_report_and_its_gauges_with_several_cards(library: Path, tmp_path: Path) -> None:
    configuration = tmp_path / "nvml.txt"
    cards = [("small", 8, 7), ("twin", 24, 20), ("twin", 24, 10)]
    configuration.write_text("\n".join(gpu_line(name, size * GIB, free * GIB) for name, size, free in cards))
    changed = [("small", 8, 1), ("twin", 24, 2), ("twin", 24, 3)]
    text = "\n".join(gpu_line(name, size * GIB, free * GIB) for name, size, free in changed)
    report, before, after = run_with_nvml(library, configuration, METER, configuration, text)
    assert [(gpu["index"], gpu["name"], gpu["free_bytes"] // GIB) for gpu in report] == [
        (0, "twin", 20), (1, "twin", 10), (2, "small", 7)]
    assert before == report
    assert [(gpu["name"], gpu["free_bytes"] // GIB) for gpu in after] == [("twin", 2), ("twin", 3), ("small", 1)]


HANGING = """
import sys, time
import msgspec
from localai_app.hardware.detect import detect_hardware
begin = time.monotonic()
report = detect_hardware(timeout_s=0.5)
took_s = time.monotonic() - begin
sys.stdout.write(msgspec.json.encode([took_s, [note.message for note in report.notes], report.cpu.model]).decode())
sys.stdout.flush()
"""


def test_a_driver_that_hangs_costs_the_time_limit_and_nothing_else(library: Path, tmp_path: Path) -> None:
    configuration = tmp_path / "nvml.txt"
    configuration.write_text("hang\n")
    took_s, notes, cpu = run_with_nvml(library, configuration, HANGING)
    assert 0.4 < took_s < 5
    assert notes == ["The question for NVIDIA GPUs was not answered in 0.5 s."]
    assert cpu
