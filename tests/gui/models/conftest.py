"""Real services over a temporary data folder with a small catalog, and a place for one widget."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PySide6.QtCore import QCoreApplication, QEvent
from PySide6.QtWidgets import QApplication, QWidget

from localai_app.gui.bridge import Bridge
from localai_app.gui.theme import ThemeState
from localai_app.services.app_services import AppServices
from tests.gui.models.models_stage import finish_background_work, write_catalog
from tests.helpers.services_fixture import open_services

NOBODY = "http://127.0.0.1:9"
"""No Hub answers here."""


@pytest.fixture(scope="session")
def catalog_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_catalog(tmp_path_factory.mktemp("catalog") / "catalog.json")


@pytest.fixture
def theme(qapp: QApplication) -> ThemeState:
    return ThemeState()


@pytest.fixture
def services(tmp_path: Path, catalog_file: Path, monkeypatch: pytest.MonkeyPatch, qapp: QApplication) -> Iterator[AppServices]:
    monkeypatch.setenv("HF_ENDPOINT", NOBODY)
    monkeypatch.setattr("localai_app.services.library_service.find_elsewhere", lambda: ())
    with open_services(tmp_path / "data", catalog=catalog_file) as opened:
        yield opened


@pytest.fixture
def bridge(services: AppServices) -> Iterator[Bridge]:
    opened = Bridge(services.events)
    yield opened
    opened.close()


@pytest.fixture
def show(services: AppServices, bridge: Bridge) -> Iterator[Callable[[QWidget], QWidget]]:
    """Shows a widget and takes it away again before the services close."""
    shown: list[QWidget] = []

    def show_widget(widget: QWidget, width: int = 1072, height: int = 736) -> QWidget:
        shown.append(widget)
        widget.resize(width, height)
        widget.show()
        QCoreApplication.processEvents()
        return widget

    yield show_widget
    bridge.close()
    finish_background_work()
    for widget in shown:
        widget.close()
        widget.deleteLater()
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
