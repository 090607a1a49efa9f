"""The checks of `tests.gpu.run` as tests; left out where the driver names no GPU."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.gpu.driver import Driver
from tests.gpu.run import CHECKS, LIMIT_S

pytestmark = [
    pytest.mark.bench, pytest.mark.timeout(LIMIT_S + 20),
    pytest.mark.skipif(not Driver().is_there, reason="no NVIDIA GPU with a working driver is here")]


@pytest.fixture(scope="session")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Models of 39 GB are made here by the checks that need them."""
    return tmp_path_factory.mktemp("gpu")


@pytest.mark.parametrize("name", CHECKS)
def test_check(name: str, shared: Path, tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "tests.gpu.run", "--shared", str(shared), "--out", str(tmp_path), "--limit", str(LIMIT_S), name],
        capture_output=True, text=True, check=False)
    assert result.returncode == 0, f"{result.stdout}{result.stderr[-2000:]}"
