"""The whole program against a Hub on loopback with the real small models."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.display import virtual_display
from tests.helpers.hub_server import HubServer, RepoFixture
from tests.helpers.real_models import gemma_path, smollm2_path

CHECKOUT = Path(__file__).resolve().parents[2]
DEMO_CATALOG = CHECKOUT / "resources" / "catalog" / "demo.json"
SMOLLM2_REPO = "local-ai-demo/SmolLM2-135M-Instruct-GGUF"
GEMMA_REPO = "local-ai-demo/gemma-3-270m-GGUF"


@dataclass
class Program:
    """Starts the driver with a scenario in a data folder."""

    data_dir: Path
    environment: dict[str, str]

    def start(self, scenario: str, *more: str) -> subprocess.Popen[str]:
        """The running process; killed with its workers by `kill`."""
        return subprocess.Popen(
            [sys.executable, "-m", "tests.e2e.driver", scenario, "--data-dir", str(self.data_dir), "--catalog",
             str(DEMO_CATALOG), *more],
            cwd=CHECKOUT, env={**os.environ, **self.environment}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def run(self, scenario: str, *more: str) -> dict[str, Any]:
        """What the person saw; fails the test where the scenario did."""
        process = self.start(scenario, *more)
        try:
            stdout, stderr = process.communicate(timeout=170)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)
            process.communicate()
            raise
        assert process.returncode == 0, f"{stdout}\n{stderr}"
        seen: dict[str, Any] = json.loads(stdout)
        return seen


@pytest.fixture
def hub() -> Iterator[HubServer]:
    repos = {
        SMOLLM2_REPO: RepoFixture({smollm2_path().name: smollm2_path()}, license="apache-2.0"),
        GEMMA_REPO: RepoFixture({gemma_path().name: gemma_path()}, license="gemma"),
    }
    with HubServer(repos) as server:
        yield server


@pytest.fixture
def program(tmp_path: Path, hub: HubServer) -> Iterator[Program]:
    with virtual_display() as display:
        yield Program(tmp_path / "profile ä 用户", {**display, "HF_ENDPOINT": hub.endpoint})
