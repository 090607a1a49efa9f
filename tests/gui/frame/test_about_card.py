from __future__ import annotations

from pathlib import Path

import pytest
from PySide6.QtGui import QDesktopServices

from localai_app import __version__
from localai_app.gui.settings.about_card import AboutCard
from localai_app.services import about
from tests.helpers.frame_fakes import FakeServices, frame_services


@pytest.fixture
def services(tmp_path: Path) -> FakeServices:
    return frame_services(tmp_path)


def texts(card: AboutCard) -> str:
    from PySide6.QtWidgets import QLabel

    return "\n".join(each.text() for each in card.findChildren(QLabel))


def test_a_checkout_tells_its_version_and_offers_no_notices(services: FakeServices, qtbot) -> None:
    card = AboutCard(services)
    qtbot.addWidget(card)
    card.show()
    qtbot.waitUntil(lambda: "MIT License" in texts(card))
    assert f"Local AI {__version__}" in texts(card)
    assert "Engine: " in texts(card)
    assert not card.notices_button.isVisible()
    assert card.matches(["version"])
    assert not card.matches(["temperature"])


def test_an_installation_opens_its_notices(
    services: FakeServices, qtbot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:
    notices = tmp_path / "THIRD_PARTY.txt"
    monkeypatch.setattr(about, "installed_notices", lambda: notices)
    opened: list[str] = []
    monkeypatch.setattr(QDesktopServices, "openUrl", lambda url: opened.append(url.toLocalFile()))
    card = AboutCard(services)
    qtbot.addWidget(card)
    card.show()
    qtbot.waitUntil(card.notices_button.isVisible)
    card.notices_button.click()
    assert opened == [str(notices)]
