"""Show a file in the system's file manager, or a model's page in the browser."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from PySide6.QtCore import QProcess, QUrl
from PySide6.QtGui import QDesktopServices

from localai_app import errors
from localai_app.errors import AppError
from localai_app.services.hub_service import HubService


def reveal_in_folder(path: Path) -> None:
    """Open the folder of `path`, with the file selected where the system can; AppError if the file is gone."""
    if not path.exists():
        raise AppError(errors.MODEL_FILE_MISSING, name=path.name)
    if sys.platform == "win32":
        subprocess.Popen(["explorer", "/select,", str(path)])
    elif sys.platform == "darwin":
        QProcess.startDetached("open", ["-R", str(path)])
    else:
        QDesktopServices.openUrl(QUrl.fromLocalFile(str(path.parent)))


def open_model_page(hub: HubService, repo_id: str) -> None:
    """Open the page of a repository on the Hub in the browser."""
    QDesktopServices.openUrl(QUrl(f"{hub.client().endpoint}/{repo_id}"))
