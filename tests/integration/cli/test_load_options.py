"""How a model is loaded, from the command line: options of fit and chat, what is remembered, and loading anyway."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import msgspec
import pytest

from tests.helpers.fit_subjects import computer, nvidia
from tests.helpers.gguf_files import write_tiny_gguf
from tests.helpers.program import program_command, run_program
from tests.helpers.real_models import smollm2_path
from tests.helpers.services_fixture import TINY_KEY, install_tiny_model

GPU = "NVIDIA GeForce RTX 4070"
DATA_LIMIT_BYTES = 285_000_000
"""Enough for SmolLM2 with 4,096 tokens of context, not with 8,192 (94 MB more)."""


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    install_tiny_model(folder)
    return folder


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    file = tmp_path / "machine.json"
    file.write_bytes(msgspec.json.encode(computer(32, gpus=(nvidia("RTX 4070", 12),))))
    return file


def test_what_is_remembered_is_shown_changed_used_and_forgotten(data_dir: Path) -> None:
    def run(*arguments: str) -> dict[str, object]:
        outcome = run_program("load-settings", TINY_KEY, *arguments, "--json", "--data-dir", data_dir)
        assert outcome.code == 0, outcome.stderr
        return outcome.document

    assert run()["load_settings"] == {}
    changed = run(
        "--ctx", "512", "--kv-type", "q8_0", "--gpu-layers", "1", "--experts-on-cpu", "2", "--without-device", "CUDA1",
        "--main-device", "CUDA0", "--tensor-split", "3,1.5")
    assert changed == {
        "model": TINY_KEY,
        "load_settings": {"ctx": 512, "kv_type": "q8_0", "gpu_layers": 1, "experts_on_cpu": 2, "without_devices": ["CUDA1"],
                          "main_device": "CUDA0", "tensor_split": [3.0, 1.5]},
        "in_force": {"ctx": 512, "default_ctx": 8192, "kv_type": "q8_0", "gpu_layers": 1, "experts_on_cpu": 2,
                     "without_devices": ["CUDA1"], "draft": "", "main_device": "CUDA0", "tensor_split": [3.0, 1.5]}}
    assert run("--gpu-layers", "auto", "--main-device", "auto", "--tensor-split", "auto")["load_settings"] == {
        "ctx": 512, "kv_type": "q8_0", "experts_on_cpu": 2, "without_devices": ["CUDA1"]}
    fit = run_program("fit", TINY_KEY, "--json", "--data-dir", data_dir).document
    assert (fit["ctx"], fit["kv_type"]) == (512, "q8_0")
    explicit = run_program("fit", TINY_KEY, "--ctx", "1024", "--json", "--data-dir", data_dir).document
    assert (explicit["ctx"], explicit["kv_type"]) == (1024, "q8_0")
    assert run("--reset", "--ctx", "256")["load_settings"] == {"ctx": 256}
    words = run_program("load-settings", TINY_KEY, "--data-dir", data_dir).stdout
    assert "context: 256 tokens\n" in words
    assert "context precision: f16 (as for all models)" in words
    assert run("--reset")["load_settings"] == {}


def test_fit_takes_every_option(data_dir: Path, machine: Path) -> None:
    def fit(*arguments: str) -> dict[str, object]:
        return run_program("fit", TINY_KEY, "--hardware", machine, *arguments, "--json", "--data-dir", data_dir).document

    assert fit()["verdict"] == "gpu"
    assert fit("--gpu-layers", "0")["verdict"] == "cpu"
    assert fit("--without-device", GPU)["verdict"] == "cpu"


def test_what_was_chosen_for_the_devices_here_counts_on_no_other_computer(data_dir: Path, machine: Path) -> None:
    run_program("settings", "gpu_layers", "0", "--data-dir", data_dir)
    run_program(
        "load-settings", TINY_KEY, "--ctx", "512", "--gpu-layers", "0", "--without-device", GPU, "--data-dir", data_dir)
    fit = run_program("fit", TINY_KEY, "--hardware", machine, "--json", "--data-dir", data_dir).document
    assert (fit["verdict"], fit["ctx"]) == ("gpu", 512)


@pytest.mark.parametrize("arguments", [
    ("fit", TINY_KEY, "--experts-on-cpu", "many"), ("chat", TINY_KEY, "-p", "x", "--gpu-layers", "-1"),
    ("load-settings", TINY_KEY, "--gpu-layers", "all"), ("load-settings", TINY_KEY, "--ctx", "1"), ("load-settings",),
    ("fit", TINY_KEY, "--without-device", "Voodoo 2"),
])
def test_wrong_usage_is_said_in_words(data_dir: Path, arguments: tuple[str, ...]) -> None:
    outcome = run_program(*arguments, "--json", "--data-dir", data_dir)
    assert outcome.code == 2
    assert json.loads(outcome.stdout)["error"]["code"] == "usage"


def test_a_model_that_is_not_there_has_no_settings(data_dir: Path) -> None:
    outcome = run_program("load-settings", "nobody/nothing:Q4_K_M", "--ctx", "512", "--json", "--data-dir", data_dir)
    assert outcome.code == 1
    assert outcome.document["error"]["code"] == "model_not_installed"


def test_chat_is_loaded_as_remembered(data_dir: Path) -> None:
    pytest.importorskip("llama_cpp")
    path = smollm2_path()
    run_program("load-settings", path, "--ctx", "256", "--data-dir", data_dir)
    long_question = "word " * 300
    outcome = run_program("chat", path, "-p", long_question, "--json", "--data-dir", data_dir)
    assert outcome.document["error"]["code"] == "prompt_too_long"
    assert "holds 256" in outcome.document["error"]["message"]
    outcome = run_program(
        "chat", path, "-p", long_question, "--when-full", "cut-middle", "--max-tokens", "4", "--json", "--data-dir", data_dir)
    assert outcome.code == 0, outcome.stderr
    assert "do not fit into the context: the middle of a long message is left out." in outcome.stderr
    assert outcome.document["shortened"] == [0]
    outcome = run_program(
        "chat", path, "-p", long_question, "--ctx", "512", "--kv-type", "q8_0", "--gpu-layers", "0",
        "--max-tokens", "4", "--json", "--data-dir", data_dir)
    assert outcome.code == 0, outcome.stderr
    assert outcome.document["completion_tokens"] <= 4


def test_a_damaged_model_is_offered_and_tried_anyway(data_dir: Path, tmp_path: Path) -> None:
    pytest.importorskip("llama_cpp")
    path = write_tiny_gguf(tmp_path / "cut.gguf")
    path.write_bytes(path.read_bytes()[:4000])
    held_back = run_program("chat", path, "-p", "x", "--data-dir", data_dir)
    assert held_back.code == 1
    assert "With --anyway it is loaded in spite of that." in held_back.stderr
    tried = run_program("chat", path, "-p", "x", "--anyway", "--json", "--data-dir", data_dir)
    assert tried.code == 1
    assert tried.document["error"]["code"] == "gguf_truncated"
    assert "--anyway" not in tried.stderr


@pytest.mark.skipif(shutil.which("prlimit") is None, reason="limits memory with prlimit")
def test_a_load_that_does_not_fit_says_what_gives_way_and_begins_there_the_next_time(tmp_path: Path) -> None:
    def chat(*options: str) -> subprocess.CompletedProcess[str]:
        command = program_command(
            "chat", smollm2_path(), "-p", "Say hi", "--max-tokens", "3", *options, "--data-dir", tmp_path / "data")
        return subprocess.run(
            ["prlimit", f"--data={DATA_LIMIT_BYTES}", *command], capture_output=True, text=True, timeout=120, check=True,
            stdin=subprocess.DEVNULL)

    first, second, full = chat(), chat(), chat("--set-up", "full")
    stepped = "The memory did not suffice. Trying a context of 4,096 tokens instead of 8,192."
    loaded = "Loaded with a context of 4,096 tokens instead of 8,192; --set-up full tries it as planned again."
    assert stepped in first.stderr
    assert all(loaded in run.stderr for run in (first, second, full))
    assert stepped not in second.stderr
    assert stepped in full.stderr
    assert first.stdout.strip()


def test_chat_template_is_tried_out_remembered_and_used(data_dir: Path, tmp_path: Path) -> None:
    own, broken = tmp_path / "own.jinja", tmp_path / "broken.jinja"
    own.write_text("{% for m in messages %}{{ m.content }}|{% endfor %}{{ 'think' if enable_thinking }}")
    broken.write_text("{% for m in messages %}")

    def run(*arguments: str) -> object:
        return run_program("load-settings", TINY_KEY, *arguments, "--json", "--data-dir", data_dir)

    assert run("--chat-template", "chatml").document["load_settings"] == {"chat_template": "chatml"}
    refused = run("--chat-template", broken)
    assert refused.code == 1
    assert refused.document["error"]["code"] == "template_failed"
    assert run("--chat-template", "nonsense").code == 2
    assert run("--chat-template", own).document["load_settings"] == {"chat_template": own.read_text()}
    options = ("-p", "Hi", "--max-tokens", "2", "--json", "--data-dir", data_dir)
    told = run_program("chat", TINY_KEY, "--thinking", "high", *options)
    assert told.code == 0, told.stderr
    assert "This model offers thinking off, on; the nearest is used." in told.stderr
    assert {"thinking", "thinking_s", "tool_calls"} <= set(told.document)
    assert run_program("chat", TINY_KEY, "--thinking", "much", *options).code == 2
    assert run("--chat-template", "own").document["load_settings"] == {}
