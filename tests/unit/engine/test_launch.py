from __future__ import annotations

import sys

import pytest

from localai_app.engine.launch import worker_command, worker_environment


def test_command_in_a_checkout_and_in_a_frozen_build(monkeypatch: pytest.MonkeyPatch) -> None:
    assert worker_command("echo", ["--tokens", "3"]) == [
        sys.executable, "-m", "localai_app", "--engine-worker", "--backend", "echo", "--tokens", "3"]
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    assert worker_command() == [sys.executable, "--engine-worker", "--backend", "llama"]


def test_environment_is_cleaned() -> None:
    planted = {"LD_PRELOAD": "x", "GGML_BACKEND_PATH": "x", "HF_TOKEN": "x", "PATH": "/bin"}
    cleaned = worker_environment(planted)
    assert cleaned["PATH"] == "/bin"
    assert not {"LD_PRELOAD", "GGML_BACKEND_PATH", "HF_TOKEN"} & set(cleaned)
    assert cleaned["GGML_NO_BACKTRACE"] == "1"
    assert "GGML_NO_BACKTRACE" not in planted
