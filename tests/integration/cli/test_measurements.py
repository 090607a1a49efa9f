"""`localai-app measurements`: the table, the document, and forgetting."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from localai_app.cli.main import run_command
from tests.helpers.measurements import answer_of, load_of
from tests.helpers.services_fixture import open_services


def test_measurements_are_shown_and_forgotten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with open_services(tmp_path) as services:
        services.calibration.add(load_of())
        services.calibration.add(answer_of(depth=99, predicted_tps=30.0, measured_tps=20.0))
    where = ["--data-dir", str(tmp_path)]
    assert run_command(["measurements", *where]) == 0
    words = capsys.readouterr().out
    assert "Predictions were typically off by 9.1% for memory and 50% for speed." in words
    assert "Answer, 99 tokens in" in words
    assert "+50%" in words
    assert run_command(["measurements", "--json", *where]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["speed_error"] == pytest.approx(0.5)
    assert [one["measured_tps"] for one in document["measurements"]] == [20.0, None]
    assert run_command(["measurements", "--forget", *where]) == 0
    assert "Nothing was measured yet" in capsys.readouterr().out
