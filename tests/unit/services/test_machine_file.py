"""Computers from files: reports, answers of `what-if`, a few lines by hand, and files that are none of these."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from localai_app.errors import AppError
from localai_app.hardware.report import Vendor
from localai_app.paths import resources_dir
from localai_app.services.machine_file import machine_words, read_machine, write_machine
from localai_app.services.machine_parts import KnownGpu, load_known_gpus
from localai_app.services.what_if import PRESETS, build_machine
from localai_app.units import GIB
from tests.helpers.fit_subjects import computer, nvidia


@pytest.fixture(scope="module")
def known() -> tuple[KnownGpu, ...]:
    return load_known_gpus(resources_dir() / "catalog" / "gpus.json")


def written(folder: Path, content: object) -> Path:
    path = folder / "machine.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def test_a_report_is_taken_as_it_is(tmp_path: Path, known: tuple[KnownGpu, ...]) -> None:
    report = computer(64, 50, (nvidia("RTX 4090", 24, free_gib=20),))
    path = tmp_path / "machine.json"
    path.write_bytes(msgspec.json.encode(report))
    assert read_machine(path, known) == report
    path.write_bytes(msgspec.json.encode({"computer": "x", "hardware": report, "rows": []}))
    assert read_machine(path, known) == report
    assert machine_words(report) == "NVIDIA GeForce RTX 4090, 64.0 GiB"


def test_memory_alone_is_a_computer(tmp_path: Path, known: tuple[KnownGpu, ...]) -> None:
    report = read_machine(written(tmp_path, {"ram_gib": 16}), known)
    assert report.memory.total_bytes == 16 * GIB
    assert report.gpus == ()
    assert report.memory.bandwidth_bytes_per_s
    assert machine_words(report) == "no GPU, 16.0 GiB"


def test_everything_can_be_said_in_a_few_lines(tmp_path: Path, known: tuple[KnownGpu, ...]) -> None:
    report = read_machine(written(tmp_path, {
        "name": "mine", "ram_gib": 128, "ram_gbs": 200, "cores": 24,
        "gpus": [{"name": "RTX 4090"}, {"name": "RTX 3060", "count": 2, "vram_gib": 12}]}), known)
    assert [gpu.name for gpu in report.gpus] == [
        "NVIDIA GeForce RTX 4090", "NVIDIA GeForce RTX 3060", "NVIDIA GeForce RTX 3060"]
    assert [gpu.total_bytes for gpu in report.gpus] == [24 * GIB, 12 * GIB, 12 * GIB]
    assert report.cpu.physical_cores == 24
    faster = read_machine(written(tmp_path, {"ram_gib": 128, "ram_gbs": 400}), known)
    assert faster.memory.bandwidth_bytes_per_s == 2 * (report.memory.bandwidth_bytes_per_s or 0)


def test_a_mac_has_its_working_set_limit(tmp_path: Path, known: tuple[KnownGpu, ...]) -> None:
    report = read_machine(written(tmp_path, {"ram_gib": 16, "gpus": [{"name": "Apple M4"}]}), known)
    assert report.system == "macos"
    assert report.gpus[0].vendor is Vendor.APPLE
    assert report.gpus[0].total_bytes == 16 * GIB * 2 // 3


@pytest.mark.parametrize("key", PRESETS)
def test_every_ready_made_computer_can_be_written_and_read(tmp_path: Path, known: tuple[KnownGpu, ...], key: str) -> None:
    path = tmp_path / "machine.json"
    write_machine(path, PRESETS[key])
    assert read_machine(path, known) == build_machine(PRESETS[key], known)
    assert "null" not in path.read_text(encoding="utf-8")


@pytest.mark.parametrize(("content", "code", "said"), [
    ("{}", "file_invalid", "neither `ram_gib` nor"),
    ("[1, 2]", "file_invalid", "Expected `object`"),
    ("not json", "file_invalid", "JSON is malformed"),
    ("", "file_invalid", "truncated"),
    ({"ram_gib": "much"}, "file_invalid", "$.ram_gib"),
    ({"ram_gib": 16, "gpu": "RTX 4090"}, "file_invalid", "unknown field `gpu`"),
    ({"ram_gib": 16, "gpus": ["RTX 4090"]}, "file_invalid", "$.gpus[0]"),
    ({"ram_gib": 16, "gpus": [{"name": "Voodoo 2"}]}, "gpu_unknown", "Voodoo 2"),
    ({"ram_gib": 16, "gpus": [{"name": "m4 max"}]}, "gpu_ambiguous", "m4 max"),
    ({"ram_gib": -1}, "machine_invalid", "memory"),
    ({"ram_gib": 1e300}, "machine_invalid", "memory"),
    ({"ram_gib": 16, "gpus": [{"name": "RTX 4090", "count": 99}]}, "machine_invalid", "16 GPUs"),
    ({"ram_gib": 16, "gpus": [{"name": "RTX 4090", "vram_gib": 7}]}, "machine_invalid", "sold with 24"),
    ({"ram_gib": 16, "cores": 0}, "machine_invalid", "cores"),
    ({"ram_gib": 16, "ram_gbs": -3}, "machine_invalid", "speed"),
    ({"system": "linux"}, "file_invalid", "cpu"),
    ({"hardware": {"system": "linux"}}, "file_invalid", "cpu"),
    ("[" * 100_000, "file_invalid", ""),
])
def test_what_is_no_computer_is_said_in_words(
    tmp_path: Path, known: tuple[KnownGpu, ...], content: object, code: str, said: str,
) -> None:
    with pytest.raises(AppError) as refused:
        read_machine(written(tmp_path, content), known)
    assert refused.value.code == code
    assert said in refused.value.message


def test_a_file_that_is_not_there_or_no_file(tmp_path: Path, known: tuple[KnownGpu, ...]) -> None:
    for path in (tmp_path, tmp_path / "missing.json"):
        with pytest.raises(AppError) as refused:
            read_machine(path, known)
        assert refused.value.code == "file_unreadable"
    with pytest.raises(AppError) as refused:
        write_machine(tmp_path / "no folder" / "machine.json", PRESETS["server-h100"])
    assert refused.value.code == "file_unwritable"
