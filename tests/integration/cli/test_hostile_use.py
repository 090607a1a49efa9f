"""The command line under bad values, odd files, other locales, closed streams and signals."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.helpers.gguf_files import write_tiny_gguf
from tests.helpers.hub_server import HubServer, RepoFixture
from tests.helpers.program import Outcome, program_command, run_program
from tests.helpers.services_fixture import TINY_KEY, TINY_REPO, install_tiny_model

REPO = "tester/Tiny-GGUF"
NOWHERE = {"HF_ENDPOINT": "http://127.0.0.1:9"}
posix_only = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals and pipes")


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    data = write_tiny_gguf(tmp_path / "tiny-Q8_0.gguf").read_bytes() + os.urandom(3_000_000)
    files = {"tiny-Q8_0.gguf": data, "mmproj-tiny-F16.gguf": data}
    with HubServer({REPO: RepoFixture(files, license="mit")}, bytes_per_s=1_500_000) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.endpoint)
        yield server


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("--gpu-layers", "²"), 2, "--gpu-layers"),
        (("--gpu-layers", "-1"), 2, "--gpu-layers"),
        (("--gpu-layers", "9" * 5000), 2, "--gpu-layers"),
        (("--gpu-layers", "all"), 2, "--gpu-layers"),
        (("--kv-type", "q9"), 2, "--kv-type"),
        (("--ctx", "1"), 2, "--ctx"),
        (("--ctx", "9" * 30), 2, "--ctx"),
        (("--hardware", "no-such-file"), 1, "no-such-file"),
        (("--hardware", "."), 1, "not a regular file"),
    ],
)
def test_bad_values_are_refused_in_words(
    data_dir: Path, tmp_path: Path, arguments: Sequence[str], code: int, says: str,
) -> None:
    model = write_tiny_gguf(tmp_path / "tiny.gguf")
    outcome = run_program("fit", model, *arguments, "--data-dir", data_dir)
    assert outcome.code == code
    assert says in outcome.stderr
    assert outcome.stdout == ""
    as_json = run_program("fit", model, *arguments, "--json", "--data-dir", data_dir)
    assert as_json.code == code
    assert as_json.document["error"]["message"]
    assert as_json.stderr == ""


@pytest.mark.parametrize("content", [
    "", "[]", "{", "null", '{"system": 1}', "\x00",
    '{"system": "linux", "cpu": {"model": "", "architecture": "", "physical_cores": 0, "logical_cores": -5},'
    ' "memory": {"total_bytes": -1, "available_bytes": -1}}',
    '{"system": "linux", "cpu": {"model": "", "architecture": "", "physical_cores": 1, "logical_cores": 1},'
    ' "memory": {"total_bytes": 9999999999999999999, "available_bytes": 0, "bandwidth_bytes_per_s": 1e308}}',
])
def test_a_hardware_file_with_nonsense_does_no_harm(data_dir: Path, tmp_path: Path, content: str) -> None:
    file = tmp_path / "machine.json"
    file.write_text(content)
    outcome = run_program(
        "fit", write_tiny_gguf(tmp_path / "tiny.gguf"), "--hardware", file, "--json", "--data-dir", data_dir)
    assert outcome.code in (0, 1)
    if outcome.code:
        assert outcome.document["error"]["code"] == "file_invalid"
    else:
        assert outcome.document["verdict"] in ("no", "unknown", "cpu")


@posix_only
@pytest.mark.parametrize("kind", ["fifo", "circle", "folder", "empty", "long", "nobody", "missing"])
def test_files_that_are_no_models_are_named_at_once(data_dir: Path, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "thing.gguf"
    match kind:
        case "fifo":
            os.mkfifo(path)
        case "circle":
            path.symlink_to(path)
        case "folder":
            path.mkdir()
        case "empty":
            path.touch()
        case "long":
            path = tmp_path / ("a" * 300 + ".gguf")
        case "nobody":
            path = Path("~nobody-of-that-name/thing.gguf")
    for command in (("fit", path), ("chat", path, "-p", "Hello")):
        outcome = run_program(*command, "--json", "--data-dir", data_dir, timeout_s=20)
        assert outcome.code == 1
        error = outcome.document["error"]
        assert error["code"] in ("file_unreadable", "model_file_missing", "not_a_gguf", "gguf_truncated")
        assert error["action"]
    if kind == "fifo":
        outcome = run_program("fit", "x/y", "--hardware", path, "--json", "--data-dir", data_dir, timeout_s=20)
        assert outcome.document["error"]["code"] == "file_unreadable"


def test_an_installed_model_is_found_offline_by_its_repository_and_in_any_letters(data_dir: Path) -> None:
    install_tiny_model(data_dir)
    for name in (TINY_KEY, TINY_KEY.upper(), TINY_REPO, TINY_REPO.lower()):
        outcome = run_program("fit", name, "--json", "--data-dir", data_dir, environment=NOWHERE)
        assert outcome.code == 0, outcome.stdout
        assert outcome.document["basis"] in ("header", "dry_run")
    outcome = run_program("fit", "somebody/else", "--json", "--data-dir", data_dir, environment=NOWHERE)
    assert outcome.code == 1
    assert outcome.document["error"]["code"] == "hub_unreachable"


def test_a_projector_is_no_model(data_dir: Path, hub: HubServer) -> None:
    install_tiny_model(data_dir, name="tiny-mmproj-F16.gguf")
    install_tiny_model(data_dir, name="mmproj-model.gguf")
    assert run_program("models", "--json", "--data-dir", data_dir).document["models"] == []
    variants = run_program("show", REPO, "--json", "--data-dir", data_dir).document["variants"]
    assert [variant["label"] for variant in variants] == ["Q8_0"]


def test_an_address_of_a_file_names_its_variant(data_dir: Path, hub: HubServer) -> None:
    hub.bytes_per_s = 0
    address = f"https://huggingface.co/{REPO}/blob/main/tiny-Q8_0.gguf"
    assert run_program("pull", address, "--json", "--data-dir", data_dir).document["model"] == f"{REPO}:Q8_0"
    again = run_program("pull", f"{REPO.lower()}:q8_0", "--json", "--data-dir", data_dir)
    assert again.document["model"] == f"{REPO}:Q8_0"
    removed = run_program("rm", f"{REPO}:q8_0", "--json", "--data-dir", data_dir)
    assert removed.document["freed_bytes"] > 3_000_000


@pytest.mark.parametrize("environment", [
    {"LC_ALL": "C", "LANG": "C"}, {"LC_ALL": "POSIX"}, {"PYTHONIOENCODING": "ascii"}, {"PYTHONIOENCODING": "latin-1:strict"}])
def test_words_are_utf_8_in_every_locale(data_dir: Path, environment: dict[str, str]) -> None:
    result = subprocess.run(
        program_command("settings", "temperature", "“☕”", "--data-dir", data_dir), capture_output=True, check=False,
        env={**os.environ, **environment}, timeout=60)
    assert result.returncode == 1
    assert "“☕”" in result.stderr.decode("utf-8")


@posix_only
def test_a_file_name_that_is_no_text_does_no_harm(data_dir: Path) -> None:
    install_tiny_model(data_dir, name=os.fsdecode(b"tiny-\xff-F32.gguf"))
    listed = run_program("models", "--json", "--data-dir", data_dir)
    assert listed.code == 0
    assert len(listed.document["models"]) == 1
    assert run_program("models", "--data-dir", data_dir).code == 0


def test_control_characters_do_not_reach_the_terminal(data_dir: Path) -> None:
    outcome = run_program("fit", "\x1b[2Jx.gguf", "--data-dir", data_dir)
    assert outcome.code == 1
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f]", outcome.stderr)


@posix_only
@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
def test_closed_streams_do_no_harm(data_dir: Path, closed: str) -> None:
    command = " ".join(f"'{part}'" for part in program_command("pull", "x", "--data-dir", data_dir))
    result = subprocess.run(["sh", "-c", f"{command} {closed}"], capture_output=True, text=True, check=False, timeout=60)
    assert result.returncode == 1
    assert result.stdout == ""
    assert "Traceback" not in result.stderr


@posix_only
@pytest.mark.parametrize("arguments", [("settings",), ("settings", "--json"), ("suggest",)])
def test_a_reader_that_goes_away_is_no_error(data_dir: Path, arguments: tuple[str, ...]) -> None:
    process = subprocess.Popen(
        program_command(*arguments, "--data-dir", data_dir), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    errors = process.stderr.read().decode()
    process.stderr.close()
    process.wait(60)
    assert "Traceback" not in errors
    assert "BrokenPipe" not in errors
    assert "did not expect" not in errors


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a file that is always full")
@pytest.mark.parametrize("arguments", [("settings",), ("settings", "--json")])
def test_what_cannot_be_printed_for_want_of_space_is_said_in_words(data_dir: Path, arguments: tuple[str, ...]) -> None:
    with Path("/dev/full").open("wb") as full:
        result = subprocess.run(
            program_command(*arguments, "--data-dir", data_dir), stdout=full, stderr=subprocess.PIPE, text=True, check=False,
            timeout=60)
    assert result.returncode == 1
    assert result.stderr.splitlines() == [
        "What was to be printed cannot be written: no space left on device.",
        "Free some space where it goes, or send it somewhere else."]


def _stop_pull(data_dir: Path, number: signal.Signals, *options: str) -> Outcome:
    """Begin a download, and send a signal once some of it has arrived."""
    process = subprocess.Popen(
        program_command("pull", REPO, "--data-dir", data_dir, *options), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True)
    deadline_s = time.monotonic() + 20
    while not any(path.stat().st_size > 500_000 for path in (data_dir / "models").rglob("*") if path.is_file()):
        assert process.poll() is None
        assert time.monotonic() < deadline_s
        time.sleep(0.02)
    time.sleep(0.3)
    process.send_signal(number)
    stdout, stderr = process.communicate(timeout=10)
    return Outcome(process.returncode, stdout, stderr)


@posix_only
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_download_that_is_stopped_says_what_is_kept_and_goes_on_from_there(
    data_dir: Path, hub: HubServer, number: signal.Signals, code: int,
) -> None:
    outcome = _stop_pull(data_dir, number)
    assert outcome.code == code
    assert outcome.stdout == ""
    assert "are kept" in outcome.stderr
    assert outcome.stderr.endswith("Stopped.\n")
    assert "Traceback" not in outcome.stderr
    unfinished = run_program("models", "--json", "--data-dir", data_dir).document["unfinished"]
    assert [(one["model"], one["state"]) for one in unfinished] == [(f"{REPO}:Q8_0", "paused")]
    hub.bytes_per_s = 0
    hub.forget_requests()
    assert run_program("pull", REPO, "--data-dir", data_dir).code == 0
    offsets = [int(record.range.split("=")[1].split("-")[0]) for record in hub.body_requests() if record.range]
    assert max(offsets) > 300_000


@posix_only
def test_a_stopped_command_still_prints_one_json_document(data_dir: Path, hub: HubServer) -> None:
    outcome = _stop_pull(data_dir, signal.SIGINT, "--json")
    assert outcome.code == 130
    assert outcome.document["error"]["code"] == "stopped"


def test_stdout_is_one_json_document_whatever_else_is_said(data_dir: Path) -> None:
    data_dir.mkdir()
    (data_dir / "settings.json").write_text("{ damaged")
    noisy = {"PYTHONWARNINGS": "always"}
    for arguments in (("settings",), ("models",), ("hardware",), ("suggest",), ("rm", "no/such"), ("fit", "no.gguf")):
        outcome = run_program(*arguments, "--json", "--verbose", "--data-dir", data_dir, environment={**NOWHERE, **noisy})
        assert isinstance(json.loads(outcome.stdout), dict), arguments


def test_a_negative_number_can_be_a_value(data_dir: Path) -> None:
    assert run_program("settings", "gpu_layers", "-1", "--json", "--data-dir", data_dir).document == {"gpu_layers": -1}
    assert run_program("settings", "--nonsense", "--data-dir", data_dir).code == 2


def test_an_empty_data_dir_is_refused(tmp_path: Path) -> None:
    outcome = run_program("models", "--data-dir=", cwd=tmp_path)
    assert outcome.code == 2
    assert list(tmp_path.iterdir()) == []
