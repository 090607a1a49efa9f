"""Remembers where the window was and how large."""

from __future__ import annotations

import base64
import binascii
import json
import logging
from pathlib import Path

from PySide6.QtCore import QByteArray
from PySide6.QtWidgets import QWidget

from localai_app.gui.metrics import WINDOW_DEFAULT

log = logging.getLogger(__name__)
FILE_NAME = "window.json"


def restore_place(window: QWidget, folder: Path) -> None:
    """Put the window where it was; a missing or damaged file gives the default size."""
    window.resize(*WINDOW_DEFAULT)
    try:
        kept = json.loads((folder / FILE_NAME).read_text(encoding="utf-8"))
        geometry = base64.b64decode(kept["geometry"], validate=True)
    except FileNotFoundError:
        return
    except (OSError, ValueError, KeyError, TypeError, binascii.Error) as error:
        log.info("the window's place is not known: %s", error)
        return
    window.restoreGeometry(QByteArray(geometry))


def save_place(window: QWidget, folder: Path) -> None:
    """Remember where the window is; a folder that cannot be written to is no reason to complain."""
    geometry = base64.b64encode(window.saveGeometry().data()).decode("ascii")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / FILE_NAME).write_text(json.dumps({"geometry": geometry}), encoding="utf-8")
    except OSError as error:
        log.info("the window's place cannot be kept: %s", error)
