"""For scenarios with the real window: Hubs on loopback, and what Qt's offscreen platform cannot do."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.gui.conftest import OFFSCREEN_CANNOT

NOBODY = "http://127.0.0.1:9"
"""No Hub answers here."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let what the offscreen platform says pass; every other warning of Qt still fails the test."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.qt_log_ignore(OFFSCREEN_CANNOT, extend=True))


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    """The Hub cannot be reached."""
    monkeypatch.setenv("HF_ENDPOINT", NOBODY)
