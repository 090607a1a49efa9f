"""For all tests of the window."""

from __future__ import annotations

from pathlib import Path

import pytest

OFFSCREEN_CANNOT = r"^This plugin does not support "
"""What Qt's offscreen platform says about every window that is shown, raised or takes the keyboard."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let that sentence pass; every other warning of Qt still fails the test."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.qt_log_ignore(OFFSCREEN_CANNOT, extend=True))
