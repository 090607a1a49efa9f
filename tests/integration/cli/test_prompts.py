"""Prompt sets on the command line: `prompts`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.helpers.program import run_program


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "data"


def test_sets_are_listed_and_shown(data_dir: Path) -> None:
    listed = run_program("prompts", "--json", "--data-dir", data_dir).document["sets"]
    assert [(known["name"], len(known["prompts"])) for known in listed] == [
        ("Reasoning", 12), ("Coding", 12), ("Summarizing", 12), ("Translation", 12), ("Instruction following", 12)]
    assert listed[0]["prompts"][0]["checks"] == [{"type": "number", "value": 12.0, "tolerance": 0.0}]
    words = run_program("prompts", "reasoning", "--data-dir", data_dir).stdout
    assert "What is 7 + 5?" in words
    assert "right if the answer has 12 as its last number" in words


def test_a_file_is_checked_kept_exported_and_forgotten(data_dir: Path, tmp_path: Path) -> None:
    file, exported = tmp_path / "sums.csv", tmp_path / "out.json"
    file.write_text("prompt,number\n2 + 2?,4\n5 + 5?,ten\n")
    outcome = run_program("prompts", "--check", file, "--json", "--data-dir", data_dir)
    assert outcome.code == 1
    assert outcome.document == {
        "ok": False, "prompts": 1, "problems": [{"line": 3, "message": "'number' has to be a number such as 12.5."}]}
    refused = run_program("prompts", "--add", file, "--json", "--data-dir", data_dir)
    assert refused.document["error"]["code"] == "prompt_file_wrong"

    file.write_text("prompt,number\n2 + 2?,4\n5 + 5?,10\n")
    words = run_program("prompts", "--check", file, "--data-dir", data_dir)
    assert (words.code, words.stdout) == (0, "2 prompts can be used, 2 of them with checks. Nothing is wrong.\n")
    assert "Kept as My sums." in run_program("prompts", "My sums", "--add", file, "--data-dir", data_dir).stdout
    run_program("prompts", "my sums", "--export", exported, "--data-dir", data_dir)
    assert '"name": "My sums"' in exported.read_text()
    assert "My sums is forgotten." in run_program("prompts", "My sums", "--remove", "--data-dir", data_dir).stdout
    assert len(run_program("prompts", "--json", "--data-dir", data_dir).document["sets"]) == 5


@pytest.mark.parametrize("arguments", [("--remove",), ("--export", "x.json"), ("A", "--remove", "--export", "x.json")])
def test_what_makes_no_sense_is_wrong_usage(data_dir: Path, arguments: tuple[str, ...]) -> None:
    assert run_program("prompts", *arguments, "--json", "--data-dir", data_dir).code == 2
