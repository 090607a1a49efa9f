"""`localai-app measurements`: the table, the document, and forgetting."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.helpers.measurements import answer_of, load_of
from tests.helpers.program import run_program
from tests.helpers.services_fixture import open_services


def test_measurements_are_shown_and_forgotten(tmp_path: Path) -> None:
    with open_services(tmp_path) as services:
        services.calibration.add(load_of())
        services.calibration.add(answer_of(depth=99, predicted_tps=30.0, measured_tps=20.0))
    shown = run_program("measurements", "--data-dir", tmp_path)
    assert shown.code == 0
    assert "Predictions were typically off by 9.1% for memory and 50% for speed." in shown.stdout
    assert "Answer, 99 tokens in" in shown.stdout
    assert "+50%" in shown.stdout
    document = run_program("measurements", "--json", "--data-dir", tmp_path).document
    assert document["speed_error"] == pytest.approx(0.5)
    assert [one["measured_tps"] for one in document["measurements"]] == [20.0, None]
    assert "Nothing was measured yet" in run_program("measurements", "--forget", "--data-dir", tmp_path).stdout
