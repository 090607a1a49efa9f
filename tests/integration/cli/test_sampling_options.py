from __future__ import annotations

import json
from pathlib import Path

import pytest

from localai_app.engine.sampling import SAMPLING_SPECS
from tests.helpers.program import run_program
from tests.helpers.real_models import smollm2_path

SCHEMA = {"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"]}


def test_every_declared_number_is_an_option() -> None:
    words = run_program("chat", "--help").stdout
    for spec in SAMPLING_SPECS:
        assert f"--{spec.key.replace('_', '-')}" in words


def test_wrong_options_are_told_before_anything_is_loaded(tmp_path: Path) -> None:
    grammar = tmp_path / "g.gbnf"
    for arguments, words in (
        (("--top-p", "1.5"), "--top-p"), (("--logit-bias", "x"), "TOKEN=V"), (("--grammar", str(grammar)), "cannot be read"),
        (("--preset", "nobody's"), "Precise, Balanced, Creative"),
    ):
        outcome = run_program("chat", smollm2_path(), "-p", "x", *arguments, "--data-dir", tmp_path / "data")
        assert outcome.code != 0
        assert words in outcome.stderr.replace("\n", " ")
        assert "Loading" not in outcome.stderr


@pytest.mark.model
def test_an_answer_follows_a_schema_and_lists_its_probabilities(tmp_path: Path) -> None:
    file = tmp_path / "schema.json"
    file.write_text(json.dumps(SCHEMA))
    outcome = run_program(
        "chat", smollm2_path(), "-p", "Is water wet?", "--json-schema", str(file), "--logprobs", "2", "--preset", "precise",
        "--seed", "3", "--ctx", "512", "--json", "--data-dir", tmp_path / "data")
    assert outcome.code == 0
    document = outcome.document
    assert isinstance(json.loads(document["text"])["ok"], bool)
    assert "".join(entry["text"] for entry in document["logprobs"]).strip() == document["text"].strip()
    assert all(len(entry["alternatives"]) == 2 and entry["logprob"] <= 0 for entry in document["logprobs"])
    file.write_text('{"$ref": "https://example.org"}')
    outcome = run_program(
        "chat", smollm2_path(), "-p", "x", "--json-schema", str(file), "--ctx", "512", "--json",
        "--data-dir", tmp_path / "data")
    assert outcome.document["error"]["code"] == "json_schema_invalid"
