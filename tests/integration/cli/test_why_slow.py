"""`localai-app why-slow`: the computer alone, and a model that is loaded and asked something."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from tests.helpers.program import run_program
from tests.helpers.services_fixture import TINY_KEY, install_tiny_model


def test_the_computer_alone(tmp_path: Path) -> None:
    shown = run_program("why-slow", "--data-dir", tmp_path)
    assert shown.code == 0
    assert "No model is loaded: only the computer was looked at." in shown.stdout


@pytest.mark.skipif(importlib.util.find_spec("llama_cpp") is None, reason="llama.cpp is not installed")
def test_a_model_that_was_asked(tmp_path: Path) -> None:
    install_tiny_model(tmp_path)
    run_program("settings", "threads", "64", "--data-dir", tmp_path)
    document = run_program("why-slow", TINY_KEY, "--json", "--data-dir", tmp_path).document
    assert document["model"] == TINY_KEY
    assert "answered at" in document["headline"]
    threads = [one for one in document["findings"] if one["cause"] == "threads"]
    assert [(one["setting"], one["value"]) for one in threads] == [("threads", 0)]
