"""Model files dropped onto a page."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QMimeData


def dropped_model(data: QMimeData) -> Path | None:
    """The first .gguf file on this computer among what is dragged; None if there is none."""
    paths = (Path(url.toLocalFile()) for url in data.urls() if url.isLocalFile())
    return next((path for path in paths if path.suffix.lower() == ".gguf"), None)
