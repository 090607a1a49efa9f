"""A theme for the widgets of the chat page, and the fakes they talk to."""

from __future__ import annotations

import pytest
from PySide6.QtWidgets import QApplication

from localai_app.gui.theme import ThemeState
from tests.gui.chat.chat_fakes import FakeServices, fake_services


@pytest.fixture
def theme(qapp: QApplication) -> ThemeState:
    return ThemeState()


@pytest.fixture
def services(qapp: QApplication) -> FakeServices:
    return fake_services()
