"""Widths that depend on how large the text is set."""

from __future__ import annotations

from PySide6.QtWidgets import QWidget

from localai_app.gui.metrics import TypeSizes


def scaled(width: int, widget: QWidget) -> int:
    """`width` pixels at the normal text size, for the size that `widget` has."""
    return round(width * widget.fontInfo().pixelSize() / TypeSizes().body)
