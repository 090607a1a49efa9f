"""Where the two small real models lie that tests use: SmolLM2 135M Instruct and Gemma 3 270M."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

SMOLLM2_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
GEMMA_FILE = "gemma-3-270m-Q4_K_M.gguf"
FOLDER_VARIABLE = "LOCALAI_TEST_MODELS"


def models_folder() -> Path:
    """The folder named by LOCALAI_TEST_MODELS, else `.cache/models` of the checkout."""
    named = os.environ.get(FOLDER_VARIABLE)
    return Path(named) if named else Path(__file__).resolve().parents[2] / ".cache" / "models"


def smollm2_path() -> Path:
    """SmolLM2-135M-Instruct Q4_1 (a chat model, 98 MB); skips the test where it is not there."""
    return _path(SMOLLM2_FILE)


def gemma_path() -> Path:
    """Gemma 3 270M Q4_K_M (a base model, 253 MB); skips the test where it is not there."""
    return _path(GEMMA_FILE)


def _path(name: str) -> Path:
    path = models_folder() / name
    if not path.is_file():
        pytest.skip(f"{name} is not in {models_folder()}; `python3 dev.py test` puts it there, or set {FOLDER_VARIABLE}")
    return path
