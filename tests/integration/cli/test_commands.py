"""The command line as processes: JSON on stdout and nothing else, words on stderr, exit codes."""

from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path

import pytest

from localai_app.catalog.load import load_catalog
from localai_app.paths import resources_dir
from tests.helpers.gguf_files import write_tiny_gguf
from tests.helpers.hub_server import HubServer, RepoFixture
from tests.helpers.program import run_program
from tests.helpers.real_models import gemma_path, smollm2_path
from tests.helpers.services_fixture import TINY_KEY, install_tiny_model

REPO = "tester/Tiny-GGUF"
HAS_ENGINE = importlib.util.find_spec("llama_cpp") is not None
FIT_KEYS = {"verdict", "basis", "ctx", "weights_bytes", "kv_bytes", "compute_bytes", "total_bytes", "devices", "max_ctx",
            "speed", "reasons"}


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "data ünd mehr"


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    return write_tiny_gguf(tmp_path / "tiny-Q8_0.gguf")


@pytest.fixture
def hub(tiny: Path, monkeypatch: pytest.MonkeyPatch):
    files = {"tiny-Q8_0.gguf": tiny.read_bytes(), "tiny-F16.gguf": tiny.read_bytes() + b"\0" * 100_000}
    with HubServer({REPO: RepoFixture(files, license="mit")}) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.endpoint)
        yield server


def test_hardware_prints_a_report_that_fit_accepts(data_dir: Path, tiny: Path, tmp_path: Path) -> None:
    outcome = run_program("--data-dir", data_dir, "hardware", "--json")
    assert outcome.code == 0
    assert outcome.document["cpu"]["logical_cores"] >= 1
    assert outcome.document["memory"]["total_bytes"] > outcome.document["memory"]["available_bytes"] > 0
    file = tmp_path / "machine.json"
    file.write_text(outcome.stdout)
    fit = run_program("fit", tiny, "--hardware", file, "--json", "--data-dir", data_dir)
    assert fit.code == 0
    assert fit.document["verdict"] in ("gpu", "gpu_partial", "cpu")


def test_suggest_names_three_models_that_fit(data_dir: Path) -> None:
    document = run_program("suggest", "--json", "--data-dir", data_dir).document
    assert document["total"] > 100
    cards = document["suggestions"]
    assert [card["kind"] for card in cards] == ["best_answers", "balanced", "fastest"]
    assert all(card["verdict"] in ("gpu", "gpu_partial", "cpu") for card in cards)
    assert all(card["total_bytes"] > 0 and card["reason"] for card in cards)


def test_suggest_for_a_task_ranks_by_that_task(data_dir: Path) -> None:
    documents = {
        task: run_program("suggest", "--task", task, "--json", "--data-dir", data_dir).document for task in ("code", "vision")}
    known = {model.id: model for model in load_catalog(resources_dir() / "catalog" / "models.json").models}
    for task, document in documents.items():
        assert document["task"] == task
        for card in document["suggestions"]:
            assert card["quality"] == known[card["id"]].quality_for(task).value
            assert card["quality_source"]
    assert all("vision" in known[card["id"]].tasks for card in documents["vision"]["suggestions"])
    assert run_program("settings", "task", "vision", "--data-dir", data_dir).code == 0
    assert run_program("suggest", "--json", "--data-dir", data_dir).document["task"] == "vision"
    assert run_program("suggest", "--task", "knitting", "--data-dir", data_dir).code == 2


def test_fit_of_a_file_adds_up(data_dir: Path, tiny: Path) -> None:
    outcome = run_program("fit", tiny, "--ctx", "1024", "--kv-type", "f16", "--json", "--data-dir", data_dir)
    document = outcome.document
    assert outcome.code == 0
    assert document.keys() >= FIT_KEYS
    assert document["basis"] == ("dry_run" if HAS_ENGINE else "header")
    assert document["ctx"] == 1024
    assert document["kv_bytes"] > 0
    parts = ("weights_bytes", "kv_bytes", "compute_bytes", "overhead_bytes")
    assert document["total_bytes"] == sum(document[part] for part in parts)
    assert document["total_bytes"] == sum(device["total_bytes"] for device in document["devices"])
    assert document["speed"].keys() >= {"low", "high", "basis"}
    assert set(document["max_ctx"]) == {"f16", "q8_0", "q4_0"}


def test_what_is_said_of_a_file_of_the_user(data_dir: Path, tiny: Path) -> None:
    fit = run_program("fit", tiny, "--data-dir", data_dir)
    assert fit.stdout.startswith(("Runs on the CPU at", "Runs fully on the GPU at", "Runs on the GPU at"))
    removed = run_program("rm", tiny, "--data-dir", data_dir)
    assert removed.stdout == f"{tiny} is off the list; its file stays where it is.\n"
    assert tiny.is_file()


def test_fit_on_given_hardware_can_say_no(data_dir: Path, tmp_path: Path) -> None:
    machine = {"system": "linux", "cpu": {"model": "Toy", "architecture": "x86_64", "physical_cores": 1, "logical_cores": 1},
               "memory": {"total_bytes": 2 * 1024**3, "available_bytes": 1024**3}}
    file = tmp_path / "toy.json"
    file.write_text(json.dumps(machine))
    outcome = run_program("fit", smollm2_path(), "--hardware", file, "--json", "--data-dir", data_dir)
    assert outcome.code == 0
    assert outcome.document["verdict"] == "no"
    assert outcome.document["reasons"]


@pytest.mark.parametrize(("content", "code"), [
    (b"just some text", "not_a_gguf"), (b"", "not_a_gguf"), (b"GGUF\x03\x00\x00\x00\x01", "gguf_truncated"),
])
def test_a_refused_header_is_unknown_with_reasons(data_dir: Path, tmp_path: Path, content: bytes, code: str) -> None:
    bad = tmp_path / "bad.gguf"
    bad.write_bytes(content)
    outcome = run_program("fit", bad, "--json", "--data-dir", data_dir)
    assert outcome.code == 1
    assert outcome.document["verdict"] == "unknown"
    assert outcome.document["reasons"]
    assert outcome.document["error"]["code"] in (code, "gguf_truncated")


def test_search_show_pull_models_and_rm(data_dir: Path, hub: HubServer) -> None:
    found = run_program("search", "tiny", "--json", "--data-dir", data_dir).document
    assert [hit["repo_id"] for hit in found["results"]] == [REPO]
    shown = run_program("show", REPO, "--json", "--data-dir", data_dir).document
    assert {variant["label"] for variant in shown["variants"]} == {"Q8_0", "F16"}
    assert all(variant["size_bytes"] > 0 and variant["verdict"] for variant in shown["variants"])
    assert {variant["basis"] for variant in shown["variants"]} == {"dry_run" if HAS_ENGINE else "header"}
    fit = run_program("fit", f"{REPO}:Q8_0", "--json", "--data-dir", data_dir).document
    assert fit["basis"] == ("dry_run" if HAS_ENGINE else "header")
    pulled = run_program("pull", f"{REPO}:Q8_0", "--json", "--data-dir", data_dir)
    assert pulled.code == 0
    assert Path(pulled.document["paths"][0]).is_relative_to(data_dir)
    listed = run_program("models", "--json", "--data-dir", data_dir).document
    assert [model["model"] for model in listed["models"]] == [f"{REPO}:Q8_0"]
    removed = run_program("rm", f"{REPO}:Q8_0", "--json", "--data-dir", data_dir)
    assert removed.document["freed_bytes"] == pulled.document["size_bytes"]
    assert run_program("models", "--json", "--data-dir", data_dir).document["models"] == []


def test_show_reads_every_header_or_one_and_says_where_the_figures_come_from(
    data_dir: Path, hub: HubServer, tiny: Path,
) -> None:
    best = "dry_run" if HAS_ENGINE else "header"
    quick = run_program("show", REPO, "--quick", "--json", "--data-dir", data_dir).document["variants"]
    assert [variant["basis"] for variant in quick] == [best, "catalog"]
    hub.publish("tester/Half-GGUF", RepoFixture({
        "half-Q8_0.gguf": tiny.read_bytes(), "half-Q4_0.gguf": b"GGUF" + bytes(500)}))
    shown = run_program("show", "tester/Half-GGUF", "--data-dir", data_dir)
    assert shown.code == 0
    assert "not known" in shown.stdout
    assert "Q4_0: half-Q4_0.gguf" in shown.stdout
    variants = run_program("show", "tester/Half-GGUF", "--json", "--data-dir", data_dir).document["variants"]
    assert [(variant["verdict"] == "unknown", variant["basis"]) for variant in variants] == [(True, "header"), (False, best)]


def test_pulling_again_is_done_at_once(data_dir: Path, hub: HubServer) -> None:
    run_program("pull", f"{REPO}:Q8_0", "--data-dir", data_dir)
    n_before = len([record for record in hub.requests if record.site == "cdn"])
    assert run_program("pull", f"{REPO}:Q8_0", "--data-dir", data_dir).code == 0
    assert len([record for record in hub.requests if record.site == "cdn"]) == n_before


@pytest.mark.parametrize(("arguments", "code"), [
    (("pull", "nobody/absent-GGUF"), "repo_unknown"),
    (("pull", f"{REPO}:Q1_Z"), "variant_unknown"),
    (("pull", REPO), "variant_ambiguous"),
    (("show", "nobody/absent-GGUF"), "repo_unknown"),
    (("rm", "nobody/nothing:Q4_K_M"), "model_not_installed"),
    (("chat", "nobody/nothing:Q4_K_M", "-p", "hi"), "model_not_installed"),
    (("fit", "/nowhere/model.gguf"), "model_file_missing"),
    (("settings", "no_such_setting"), "setting_unknown"),
    (("settings", "text_scale_percent", "9000"), "setting_invalid"),
])
def test_errors_are_one_json_document_with_a_remedy(
    data_dir: Path, hub: HubServer, arguments: tuple[str, ...], code: str,
) -> None:
    outcome = run_program(*arguments, "--json", "--data-dir", data_dir)
    assert outcome.code == 1
    assert outcome.document["error"]["code"] == code
    assert outcome.document["error"]["message"].endswith((".", "!"))
    assert outcome.document["error"]["action"]
    words = run_program(*arguments, "--data-dir", data_dir)
    assert words.stdout == ""
    assert outcome.document["error"]["message"] in words.stderr


@pytest.mark.parametrize("arguments", [("fit",), ("no-such-command",), ("chat", "model"), ("fit", "x.gguf", "--ctx", "many"),
                                       ("hardware", "--data-dir")])
def test_wrong_usage_is_exit_code_2(data_dir: Path, arguments: tuple[str, ...]) -> None:
    outcome = run_program(*arguments, "--json")
    assert outcome.code == 2
    assert outcome.document["error"]["message"]


def test_a_wrong_choice_is_told_without_the_validators_own_words(data_dir: Path) -> None:
    outcome = run_program("comparisons", "export", "1", "--format", "pdf", "--data-dir", data_dir)
    assert outcome.code == 2
    assert "Invalid value for '--format': 'pdf' is not one of 'markdown'" in outcome.stderr


def test_no_network_is_a_sentence(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    outcome = run_program("search", "anything", "--json", "--data-dir", data_dir)
    assert outcome.code == 1
    assert outcome.document["error"]["code"] == "hub_unreachable"


def test_everything_is_written_below_the_data_dir(data_dir: Path, private_home: Path, hub: HubServer) -> None:
    before = _tree(private_home)
    run_program("suggest", "--data-dir", data_dir)
    run_program("pull", f"{REPO}:Q8_0", "--data-dir", data_dir)
    run_program("show", REPO, "--data-dir", data_dir)
    assert _tree(private_home) == before


def test_settings_are_kept(data_dir: Path) -> None:
    assert run_program("settings", "theme", "dark", "--data-dir", data_dir).code == 0
    assert run_program("settings", "theme", "--json", "--data-dir", data_dir).document == {"theme": "dark"}
    assert run_program("settings", "theme", "--reset", "--json", "--data-dir", data_dir).document == {"theme": "system"}


def test_doctor_names_what_works_and_what_does_not(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    outcome = run_program("doctor", "--json", "--data-dir", data_dir)
    assert outcome.code == 0
    checks = {check["name"]: check for check in outcome.document["checks"]}
    assert checks["engine"]["ok"]
    assert checks["engine build"]["ok"]
    assert not checks["Hub"]["ok"]
    assert checks["Hub"]["remedy"]
    assert checks["models folder"]["ok"]
    assert f"{data_dir / 'localai.sqlite3'} is in order." in checks["chats"]["message"]
    assert str(data_dir / "logs" / "localai.log") in checks["log"]["message"]
    assert outcome.document["ok"] is False


def test_doctor_tells_of_a_models_folder_that_is_not_there(
        data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    folder = tmp_path / "a drive that is not connected"
    assert run_program("settings", "models_folder", folder, "--data-dir", data_dir).code == 0
    outcome = run_program("doctor", "--data-dir", data_dir)
    assert f"PROBLEM  models folder: The folder {folder} is not there." in outcome.stdout
    assert not folder.exists()


def test_settings_say_what_zero_means(data_dir: Path) -> None:
    shown = run_program("settings", "most_models", "--data-dir", data_dir)
    assert "never loaded side by side. 0: as many as fit. Default: 0." in shown.stdout


@pytest.mark.model
def test_chat_answers_with_its_numbers_and_repeats_with_a_seed(data_dir: Path) -> None:
    arguments = ("chat", smollm2_path(), "-p", "Say hello.", "--seed", "7", "--temp", "0.7", "--max-tokens", "24",
                 "--ctx", "512", "--json", "--data-dir", data_dir)
    first, second = run_program(*arguments), run_program(*arguments)
    assert first.code == 0
    document = first.document
    assert document["text"]
    assert document["text"] == second.document["text"]
    assert 0 < document["completion_tokens"] <= 24
    assert document["prompt_tokens"] > 0
    assert document["tps"] > 1
    assert document["prompt_tps"] > 1
    assert document["ttft_s"] > 0


@pytest.mark.model
def test_a_base_model_continues_the_text(data_dir: Path) -> None:
    outcome = run_program("chat", gemma_path(), "-p", "One, two, three,", "--temp", "0", "--max-tokens", "8", "--json",
                          "--data-dir", data_dir)
    assert outcome.code == 0
    assert "four" in outcome.document["text"]
    assert "base model" in outcome.stderr


def test_a_context_that_is_too_large_is_refused_in_words(data_dir: Path) -> None:
    write_tiny_gguf(install_tiny_model(data_dir), ctx_train=2**31 - 1)
    outcome = run_program("chat", TINY_KEY, "-p", "x", "--ctx", str(99_999_744), "--json", "--data-dir", data_dir)
    assert outcome.code == 1
    assert outcome.document["error"]["code"] == "load_settings_do_not_fit"
    assert "GiB" in outcome.document["error"]["message"]


def test_no_space_is_refused_before_anything_is_downloaded(data_dir: Path, hub: HubServer, tmp_path: Path) -> None:
    hub.fail("*", f"lie_size={shutil.disk_usage(tmp_path).free * 2}", times=50)
    outcome = run_program("pull", f"{REPO}:Q8_0", "--json", "--data-dir", data_dir)
    assert outcome.code == 1
    assert outcome.document["error"]["code"] == "no_space"
    assert "GB" in outcome.document["error"]["message"]
    assert not [record for record in hub.requests if record.site == "cdn"]


def test_a_damaged_settings_file_is_kept_and_said(data_dir: Path) -> None:
    data_dir.mkdir(parents=True)
    (data_dir / "settings.json").write_text("{ not json")
    outcome = run_program("settings", "theme", "--json", "--data-dir", data_dir)
    assert outcome.code == 0
    assert outcome.document == {"theme": "system"}
    assert "damaged" in outcome.stderr
    assert [file for file in data_dir.iterdir() if "damaged" in file.name]


def test_a_data_dir_that_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    blocker = tmp_path / "file"
    blocker.write_text("in the way")
    outcome = run_program("models", "--json", "--data-dir", blocker / "below")
    assert outcome.code == 1
    assert outcome.document["error"]["message"]


def _tree(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}

