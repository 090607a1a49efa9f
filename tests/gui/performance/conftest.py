"""The same real services and place for a widget as for the pages about models."""

from __future__ import annotations

from tests.gui.models.conftest import bridge, catalog_file, services, show, theme

__all__ = ["bridge", "catalog_file", "services", "show", "theme"]
