"""Model files that other programs keep on this disk, to be used in place."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from localai_app.hub.variants import is_model_name

MAX_FILES = 2000
MIN_MODEL_BYTES = 1_000_000


@dataclass(frozen=True, slots=True)
class FoundFile:
    """One file and the program whose folder it lies in."""

    path: Path
    source: str


def find_elsewhere(home: Path | None = None) -> tuple[FoundFile, ...]:
    """GGUF files in the usual folders of LM Studio, Jan, GPT4All, Ollama and the Hugging Face cache.

    First parts of split files only; folders that cannot be read are passed over.
    """
    root = home or Path.home()
    found: dict[Path, FoundFile] = {}
    for source, folder in _folders(root):
        for path in _gguf_files(folder):
            found.setdefault(path, FoundFile(path, source))
    for path in _ollama_files(Path(os.environ.get("OLLAMA_MODELS") or root / ".ollama" / "models")):
        found.setdefault(path, FoundFile(path, "Ollama"))
    return tuple(found.values())


def _folders(root: Path) -> Iterable[tuple[str, Path]]:
    hugging_face = os.environ.get("HF_HUB_CACHE") or os.environ.get("HF_HOME")
    return (
        ("LM Studio", root / ".lmstudio" / "models"),
        ("LM Studio", root / ".cache" / "lm-studio" / "models"),
        ("Jan", root / ".local" / "share" / "Jan" / "data" / "llamacpp" / "models"),
        ("Jan", root / "Library" / "Application Support" / "Jan" / "data" / "llamacpp" / "models"),
        ("Jan", root / "AppData" / "Roaming" / "Jan" / "data" / "llamacpp" / "models"),
        ("GPT4All", root / ".local" / "share" / "nomic.ai" / "GPT4All"),
        ("GPT4All", root / "Library" / "Application Support" / "nomic.ai" / "GPT4All"),
        ("GPT4All", root / "AppData" / "Local" / "nomic.ai" / "GPT4All"),
        ("Hugging Face cache", Path(hugging_face) if hugging_face else root / ".cache" / "huggingface" / "hub"),
    )


def _gguf_files(folder: Path) -> Iterator[Path]:
    if not folder.is_dir():
        return
    count = 0
    for directory, _subfolders, names in os.walk(folder):
        for name in sorted(names):
            path = Path(directory, name)
            if _is_first_gguf(name) and _is_large_enough(path):
                yield path.resolve() if path.is_symlink() and path.resolve().suffix == ".gguf" else path.absolute()
                count += 1
                if count >= MAX_FILES:
                    return


def _is_first_gguf(name: str) -> bool:
    lower = name.lower()
    if not lower.endswith(".gguf") or not is_model_name(name):
        return False
    return "-of-" not in lower or "-00001-of-" in lower


def _is_large_enough(path: Path) -> bool:
    try:
        return path.stat().st_size >= MIN_MODEL_BYTES
    except OSError:
        return False


def _ollama_files(models: Path) -> Iterator[Path]:
    """The weights that Ollama's manifests name; its files carry hashes instead of names."""
    manifests = models / "manifests"
    if not manifests.is_dir():
        return
    for path in manifests.rglob("*"):
        try:
            if not path.is_file() or path.stat().st_size > MIN_MODEL_BYTES:
                continue
            layers = json.loads(path.read_text("utf-8")).get("layers", [])
            for layer in layers:
                if layer.get("mediaType") == "application/vnd.ollama.image.model":
                    blob = models / "blobs" / str(layer["digest"]).replace(":", "-")
                    if blob.parent == models / "blobs" and blob.is_file():
                        yield blob.absolute()
        except (OSError, ValueError, AttributeError, KeyError, TypeError):
            continue
