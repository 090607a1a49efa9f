"""`localai-app compare` with tiny models in llama.cpp: prompts from a file, the document, the table, wrong usage."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from localai_app.cli.main import run_command
from tests.helpers.comparisons import KEYS, install
from tests.helpers.program import run_program

pytest.importorskip("llama_cpp")
QUICK = ("--max-tokens", "3", "--ctx", "256", "--temp", "0.7", "--seed", "11")


@pytest.fixture(autouse=True)
def _no_log_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands that run in this process leave its log alone."""
    monkeypatch.setattr("localai_app.cli.main.setup_logging", lambda *_paths, **_options: None)


def test_prompts_of_a_file_are_asked_as_often_as_told(tmp_path: Path) -> None:
    install(tmp_path)
    prompts = tmp_path / "questions.jsonl"
    prompts.write_text("\n".join(json.dumps(one) for one in (
        {"prompt": "One?", "checks": [{"type": "pattern", "pattern": "."}]}, {"prompt": "Two?"})), encoding="utf-8")
    result = run_program(
        "compare", *KEYS[:2], "--prompts", prompts, "--repeats", "2", *QUICK, "--json", "--data-dir", tmp_path)
    assert result.code == 0, result.stderr
    document = result.document
    assert [one["model"] for one in document["contestants"]] == list(KEYS[:2])
    assert document["prompts"] == ["One?", "Two?"]
    assert document["seed"] == 11
    assert sorted(document["order"]) == [0, 1]
    assert document["schedule"] in ("side_by_side", "in_turn")
    for column in document["contestants"]:
        assert [(one["prompt"], one["repeat"], one["seed"]) for one in column["answers"]] == [
            (0, 0, 11), (0, 1, 12), (1, 0, 11), (1, 1, 12)]
        assert {"text", "ttft_s", "prompt_tps", "tps", "tokens", "error"} <= column["answers"][0].keys()
        assert [len(one["checks"]) for one in column["answers"]] == [1, 1, 0, 0]
        assert column["options"]["ctx"] == 256
    assert document["schedule_reason"] in result.stderr


def test_words_are_the_answers_and_a_table(tmp_path: Path) -> None:
    install(tmp_path)
    result = run_program(
        "compare", *KEYS, "-p", "Say something.", *QUICK, "--way", "in-turn", "--system", "Be kind.", "--data-dir", tmp_path)
    assert result.code == 0, result.stderr
    assert "In turn, as chosen." in result.stderr
    assert result.stdout.count("--- ") == 3
    (heading,) = [line for line in result.stdout.splitlines() if line.startswith("model ")]
    assert heading.split() == ["model", "load", "first", "token", "prompt", "answer", "tokens", "memory", "checks", "failed"]
    assert result.stdout.rstrip().endswith("Kept as comparison 1.")


@pytest.mark.parametrize(("arguments", "words"), [
    ((KEYS[0], "-p", "Hello"), "name 2 to 6 models"),
    ((*KEYS, *KEYS, KEYS[0], "-p", "Hello"), "name 2 to 6 models"),
    (KEYS, "give one of -p, --prompts and --set"),
    ((*KEYS, "-p", "Hello", "--set", "Reasoning"), "give one of -p, --prompts and --set"),
    ((*KEYS, "-p", "Hello", "--memory-limit", "much"), "write a size such as 6GiB"),
])
def test_wrong_usage_is_explained(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], words: str,
) -> None:
    install(tmp_path)
    assert run_command(["compare", *arguments, "--data-dir", str(tmp_path)]) == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize(("arguments", "words"), [
    ((KEYS[0], "nobody/nothing:Q4_0", "-p", "Hello"), "No installed model is called nobody/nothing:Q4_0."),
    ((*KEYS, "--set", "No such set"), "There is no prompt set called No such set."),
])
def test_what_does_not_exist_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], words: str,
) -> None:
    install(tmp_path)
    assert run_command(["compare", *arguments, "--data-dir", str(tmp_path)]) == 1
    assert words in capsys.readouterr().err
