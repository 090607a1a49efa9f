"""The same real services and place for a widget as for the pages about models, with two small models to compare."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.gui.models.conftest import bridge, catalog_file, services, show, theme
from tests.helpers.services_fixture import install_tiny_model

__all__ = ["bridge", "catalog_file", "services", "show", "theme", "two_models"]

REPOS = ("tester/Tiny-Chat-GGUF", "tester/Small-Talk-GGUF")
KEYS = tuple(f"{repo}:F32" for repo in REPOS)


@pytest.fixture
def two_models(tmp_path: Path) -> tuple[str, str]:
    """Keys of two installed models; ask for it before `services`."""
    install_tiny_model(tmp_path / "data", REPOS[0], "tiny-chat-F32.gguf")
    install_tiny_model(tmp_path / "data", REPOS[1], "small-talk-F32.gguf")
    return KEYS[0], KEYS[1]
