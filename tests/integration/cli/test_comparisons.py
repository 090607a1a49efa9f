"""`localai-app comparisons`: listed, shown, exported, imported and deleted; a blind one tells no names."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from localai_app.cli.main import run_command
from localai_app.compare.export_json import read_json
from tests.helpers.kept_comparisons import SECRETS, person_votes, two_models
from tests.helpers.program import Outcome
from tests.helpers.services_fixture import open_services

Run = Callable[..., Outcome]


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command, in this process, where a comparison was voted on (1) and a blind one was not (2)."""
    monkeypatch.setattr("localai_app.cli.main.setup_logging", lambda *_paths, **_options: None)
    with open_services(tmp_path / "data") as services:
        services.compare.comparisons.restore(two_models(votes=person_votes()))
        services.compare.comparisons.restore(two_models(is_blind=True))

    def run_words(*words: object) -> Outcome:
        capsys.readouterr()
        code = run_command(["--data-dir", str(tmp_path / "data"), "comparisons", *map(str, words)])
        said = capsys.readouterr()
        return Outcome(code, said.out, said.err)

    return run_words


def test_a_comparison_is_listed_shown_exported_imported_and_deleted(run: Run, tmp_path: Path) -> None:
    listed = run("--json").document["comparisons"]
    assert [(one["comparison"], one["contestants"], one["answers"], one["votes"]) for one in listed] == [
        (2, "blind, 2 contestants", 2, 0), (1, "Marshland 14B, Harbour 12B", 2, 1)]
    found = run("list", "--search", "marshland", "--json").document["comparisons"]
    assert [one["comparison"] for one in found] == [1]
    whole = run("show", "1", "--json")
    assert read_json(whole.stdout).answers == two_models().answers
    assert whole.document["comparison"]["runs"][0]["sha256"] == ["ab12" * 16]
    assert "| Harbour 12B | 44.2 tok/s |" in run("show", "1").stdout
    exported = run("export", "1", "-o", tmp_path / "a.csv", "--json").document
    assert exported == {"comparison": 1, "format": "csv", "file": str(tmp_path / "a.csv")}
    with (tmp_path / "a.csv").open(encoding="utf-8-sig", newline="") as file:
        assert [row["tps"] for row in csv.DictReader(file)] == ["37.94", "44.17"]
    named = Path(run("export", "1", "--format", "json", "-o", tmp_path, "--json").document["file"])
    assert named.name == "comparison-2025-11-26-explain-to-a-neighbour-how-a-heat-pump-works.json"
    assert run("import", named, "--json").document == {"comparison": 3}
    assert run("delete", "1", "--json").document == {"deleted": 1}
    missing = run("show", "1", "--json")
    assert missing.code == 1
    assert missing.document["error"]["code"] == "comparison_missing"
    assert [one["comparison"] for one in run("list", "--json").document["comparisons"]] == [3, 2]


def test_a_blind_comparison_tells_no_name_on_the_command_line(run: Run, tmp_path: Path) -> None:
    said = [run(*words).stdout for words in (("show", "2"), ("show", "2", "--json"), ("list", "--search", "withheld"))]
    said += [line for line in run("list").stdout.splitlines() if line.startswith("2 ")]
    assert len(said) == 4
    for form in ("markdown", "html", "csv", "json"):
        assert run("export", "2", "--format", form, "-o", tmp_path / form).code == 0
        said.append((tmp_path / form).read_text(encoding="utf-8"))
    text = "\n".join(said).replace("\\", "").casefold()
    assert [secret for secret in SECRETS if secret.casefold() in text] == []
    refused = run("import", tmp_path / "json", "--json")
    assert refused.code == 1
    assert "before the vote" in refused.document["error"]["message"]
    assert json.loads((tmp_path / "json").read_text())["names_withheld"] is True


def test_a_comparison_that_cannot_go_on_says_why(run: Run) -> None:
    outcome = run("resume", "99", "--json")
    assert outcome.code == 1
    assert outcome.document["error"]["code"] == "comparison_missing"
