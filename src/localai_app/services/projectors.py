"""Which projector (mmproj) belongs to a model: among the files of a repository, and beside a model on this disk."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from localai_app.errors import AppError
from localai_app.gguf.header import GgufHeader
from localai_app.gguf.reader import read_header_file
from localai_app.gguf.tensors import PROJECTOR_ARCHITECTURES
from localai_app.hub.model import Repo, RepoFile
from localai_app.hub.variants import is_projector_name, label_of_path

MAX_NAMES = 2000
_USUAL = ("F16", "BF16", "Q8_0", "F32")
"""Publishers offer the same projector in several precisions; programs take the first of these."""
_WIDTH_KEYS = ("clip.vision.projection_dim", "clip.audio.projection_dim")


def projector_of_repo(repo: Repo) -> RepoFile | None:
    """The file to count for a repository's models; None where they see no pictures."""
    return min(repo.projectors, key=lambda file: _order(file.path, file.size_bytes), default=None)


def projector_beside(model_path: Path, model: GgufHeader) -> GgufHeader | None:
    """The header of the projector in a model's folder, if there is one whose output is as wide as the model."""
    try:
        names = [path for _number, path in zip(range(MAX_NAMES), model_path.parent.iterdir(), strict=False)]
        found = [path for path in names if path.suffix.lower() == ".gguf" and is_projector_name(path.name)]
        found.sort(key=lambda path: _order(path.name, path.stat().st_size))
    except OSError:
        return None
    return next((header for header in _readable(found) if belongs_to(header, model)), None)


def belongs_to(projector: GgufHeader, model: GgufHeader) -> bool:
    """Whether a header is that of a projector, and of this model as far as it says: both name the width of an embedding."""
    if projector.architecture not in PROJECTOR_ARCHITECTURES:
        return False
    widths = [width for key in _WIDTH_KEYS if isinstance(width := projector.metadata.get(key), int)]
    return not widths or model.metadata.get(f"{model.architecture}.embedding_length") in widths


def _readable(paths: Iterable[Path]) -> Iterable[GgufHeader]:
    for path in paths:
        try:
            yield read_header_file(path)
        except AppError:
            continue


def _order(name: str, size_bytes: int) -> tuple[int, int, str]:
    label = label_of_path(name)
    return _USUAL.index(label) if label in _USUAL else len(_USUAL), size_bytes, name
