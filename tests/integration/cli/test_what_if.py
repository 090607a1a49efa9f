"""Other hardware on the command line: `what-if`, and `suggest` for a report from a file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from localai_app.catalog.load import load_catalog
from localai_app.paths import resources_dir
from tests.helpers.gguf_files import write_tiny_gguf
from tests.helpers.hub_server import HubServer, RepoFixture
from tests.helpers.program import run_program

RUNS = ("gpu", "gpu_partial", "cpu")
GIB = 1024**3


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "data"


def test_what_can_be_chosen_is_listed(data_dir: Path) -> None:
    document = run_program("what-if", "--list", "--json", "--data-dir", data_dir).document
    names = {gpu["name"] for gpu in document["gpus"]}
    assert {"NVIDIA GeForce RTX 4090", "Apple M4", "AMD Radeon RX 7900 XTX"} <= names
    assert "desktop-rtx-4090" in {computer["id"] for computer in document["computers"]}
    words = run_program("what-if", "--list", "--data-dir", data_dir)
    assert words.code == 0
    assert "NVIDIA GeForce RTX 4090 " in words.stdout
    assert "1008 GB/s" in words.stdout


def test_a_gpu_and_memory_give_a_report_suggestions_and_every_model(data_dir: Path, tmp_path: Path) -> None:
    outcome = run_program("what-if", "RTX 4090", "--ram-gib", "64", "--json", "--data-dir", data_dir)
    assert outcome.code == 0
    document = outcome.document
    assert document["hardware"]["gpus"][0]["name"] == "NVIDIA GeForce RTX 4090"
    assert document["hardware"]["memory"]["total_bytes"] == 64 * GIB
    known = load_catalog(resources_dir() / "catalog" / "models.json").models
    assert [row["id"] for row in document["rows"]] == [model.id for model in known]
    assert document["runnable"] == sum(row["verdict"] in RUNS for row in document["rows"])
    assert [card["kind"] for card in document["suggestions"]] == ["best_answers", "balanced", "fastest"]
    small = next(row for row in document["rows"] if row["id"] == "qwen3-8b")
    assert small["verdict"] == "gpu"
    assert small["speed"]["low"] < small["speed"]["high"]

    file = tmp_path / "machine.json"
    file.write_text(json.dumps(document["hardware"]), encoding="utf-8")
    again = run_program("suggest", "--hardware", file, "--json", "--data-dir", data_dir).document
    assert again["suggestions"] == document["suggestions"]
    assert (again["runnable"], again["total"]) == (document["runnable"], document["total"])


def test_more_hardware_never_runs_fewer_models(data_dir: Path) -> None:
    counts = [
        run_program("what-if", *machine, "--json", "--data-dir", data_dir).document["runnable"]
        for machine in (("--ram-gib", "4"), ("RTX 4060", "--ram-gib", "16"), ("desktop-rtx-4090", "--gpus", "2"))]
    assert counts == sorted(counts)
    assert counts[0] < counts[-1]


def test_a_ready_made_computer_in_words_can_be_changed(data_dir: Path) -> None:
    outcome = run_program("what-if", "node-8x-h100", "--gpus", "4", "--cores", "8", "--ram-gbs", "100", "--data-dir", data_dir)
    assert outcome.code == 0
    assert outcome.stdout.startswith("Data-centre node with eight H100, 2 TB, changed")
    assert outcome.stdout.count("Graphics   NVIDIA H100, 80.0 GiB") == 4
    assert "8 cores" in outcome.stdout
    assert "Best answers: " in outcome.stdout
    assert "this computer" not in outcome.stdout.lower()


@pytest.mark.parametrize(("arguments", "code"), [
    (("Voodoo 2",), "gpu_unknown"), (("m4 max",), "gpu_ambiguous"), (("Apple M4", "--gpus", "2"), "machine_invalid"),
    (("RTX 4090", "--vram-gib", "7"), "machine_invalid"), (("--ram-gib", "8", "--gpus", "2"), "machine_invalid"),
])
def test_what_there_is_not_is_said_in_words(data_dir: Path, arguments: tuple[str, ...], code: str) -> None:
    outcome = run_program("what-if", *arguments, "--json", "--data-dir", data_dir)
    assert outcome.code == 1
    assert outcome.document["error"]["code"] == code


def test_a_computer_has_to_be_named(data_dir: Path) -> None:
    assert run_program("what-if", "--data-dir", data_dir).code == 2


def test_suggest_refuses_a_file_that_is_no_report(data_dir: Path, tmp_path: Path) -> None:
    file = tmp_path / "bad.json"
    file.write_text("{}", encoding="utf-8")
    outcome = run_program("suggest", "--hardware", file, "--json", "--data-dir", data_dir)
    assert (outcome.code, outcome.document["error"]["code"]) == (1, "file_invalid")


def test_a_computer_of_a_few_lines_is_taken_by_every_command(data_dir: Path, tmp_path: Path) -> None:
    """Two different cards, and experts of a large model in main memory."""
    file = tmp_path / "machine.json"
    file.write_text(json.dumps({
        "ram_gib": 96, "ram_gbs": 90, "cores": 16, "gpus": [{"name": "RTX 4090"}, {"name": "RTX 4060", "count": 1}]}))
    answer = run_program("what-if", "--hardware", file, "--task", "code", "--json", "--data-dir", data_dir).document
    assert answer["computer"] == "NVIDIA GeForce RTX 4090, NVIDIA GeForce RTX 4060, 96.0 GiB"
    assert answer["task"] == "code"
    assert answer["runnable"] == sum(row["verdict"] in RUNS for row in answer["rows"])
    large = next(row for row in answer["rows"] if row["id"] == "gpt-oss-120b")
    assert large["verdict"] == "gpu_partial"
    assert any("experts" in reason for reason in large["reasons"])
    assert {device["name"] for device in large["devices"]} >= {"NVIDIA GeForce RTX 4090", "NVIDIA GeForce RTX 4060"}

    suggested = run_program("suggest", "--hardware", file, "--task", "code", "--json", "--data-dir", data_dir).document
    assert suggested["suggestions"] == answer["suggestions"]
    report = tmp_path / "report.json"
    report.write_text(json.dumps(answer["hardware"]))
    again = run_program("what-if", "--hardware", report, "--task", "code", "--json", "--data-dir", data_dir).document
    assert again["rows"] == answer["rows"]
    model = write_tiny_gguf(tmp_path / "tiny.gguf")
    fit = run_program("fit", model, "--hardware", file, "--json", "--data-dir", data_dir)
    assert (fit.code, fit.document["verdict"]) == (0, "gpu")


def test_show_takes_a_computer_from_a_file(data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "machine.json"
    file.write_text(json.dumps({"ram_gib": 64, "gpus": [{"name": "RTX 4090"}]}))
    files = {"tiny-F32.gguf": write_tiny_gguf(tmp_path / "tiny.gguf").read_bytes()}
    with HubServer({"tester/Tiny-GGUF": RepoFixture(files)}) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.endpoint)
        shown = run_program("show", "tester/Tiny-GGUF", "--hardware", file, "--json", "--data-dir", data_dir)
    (variant,) = shown.document["variants"]
    assert variant["verdict"] == "gpu"
    assert "NVIDIA GeForce RTX 4090" in [device["name"] for device in variant["devices"]]


@pytest.mark.parametrize("command", [("what-if",), ("suggest",), ("fit", "any.gguf"), ("show", "a/b")])
def test_a_wrong_file_is_refused_in_words(data_dir: Path, tmp_path: Path, command: tuple[str, ...]) -> None:
    file = tmp_path / "machine.json"
    file.write_text('{"ram_gib": 64, "gpu": "RTX 4090"}')
    outcome = run_program(*command, "--hardware", file, "--json", "--data-dir", data_dir)
    assert (outcome.code, outcome.document["error"]["code"]) == (1, "file_invalid")
    assert "unknown field `gpu`" in outcome.document["error"]["message"]


def test_a_file_and_parts_of_a_computer_do_not_go_together(data_dir: Path, tmp_path: Path) -> None:
    file = tmp_path / "machine.json"
    file.write_text('{"ram_gib": 64}')
    assert run_program("what-if", "RTX 4090", "--hardware", file, "--data-dir", data_dir).code == 2
