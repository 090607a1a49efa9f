"""Tests of what `dev.py package` makes; without it they are skipped here, and fail in CI, which makes it first."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DIST = ROOT / "dist"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.package)


@pytest.fixture(scope="session")
def needs() -> Callable[[str | Path], Path]:
    """The path of an artefact; a skip with the command that makes it where it is absent, a failure in CI."""

    def find(artefact: str | Path) -> Path:
        path = DIST / artefact
        if not path.exists():
            reason = f"dist/{artefact} is not there: make it with `python3 dev.py package`"
            if os.environ.get("CI"):
                pytest.fail(reason)
            pytest.skip(reason)
        return path

    return find
