"""Runtime packs in the card of the engine: hidden, suggested, offered with their size, under way, installed, failed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLabel, QPushButton, QWidget

from localai_app.engine.pack_folder import Verified
from localai_app.errors import PACK_TEST_FAILED, AppError
from localai_app.gui.bridge import Bridge
from localai_app.gui.performance.pack_section import PackSection
from localai_app.gui.theme import ThemeState
from localai_app.progress import Progress
from localai_app.release.pack_document import Pack, PackArchive, PackFile
from localai_app.services.app_services import AppServices
from localai_app.services.events import PacksChanged
from localai_app.services.packs.folders import InstalledPack
from localai_app.services.packs.installer import Phase
from localai_app.services.packs.offers import OTHER_VERSION, PackOffer, Standing
from localai_app.services.packs.pack_service import NONE_FOUND, PackService, PackState
from localai_app.services.packs.pack_work import PackWork
from tests.gui.models.models_stage import eventually, nameless

Show = Callable[..., QWidget]
PACK = Pack(
    pack_id="cuda13", engine_id="lcpp-1", platform="linux-x64", version="1.0", label="NVIDIA CUDA 13",
    archive=PackArchive(url="a.tar.xz", size_bytes=640_000_000, sha256="0" * 64), unpacked_bytes=1_100_000_000,
    files=(PackFile(path="a.so", size_bytes=1_100_000_000, sha256="0" * 64),))
OFFER = PackOffer(PACK, Standing.OFFERED, "This pack is made for NVIDIA GeForce RTX 4090.")
SUGGESTION = "There may be a runtime pack with NVIDIA's own libraries for NVIDIA GeForce RTX 4090."


class Stage:
    """The section with whatever state a test wants."""

    def __init__(self, services: AppServices, theme: ThemeState, bridge: Bridge, monkeypatch: pytest.MonkeyPatch) -> None:
        self.state = PackState()
        self.installed: list[InstalledPack] = []
        self.suggestion = ""
        self.calls: list[str] = []
        self.services = services
        monkeypatch.setattr(PackService, "state", property(lambda _self: self.state))
        monkeypatch.setattr(PackService, "look", lambda _self: self.calls.append("look"))
        monkeypatch.setattr(PackService, "install", lambda _self, offer: self.calls.append(f"install {offer.pack.pack_id}"))
        monkeypatch.setattr(PackService, "remove", lambda _self, pack_id: self.calls.append(f"remove {pack_id}"))
        monkeypatch.setattr(PackService, "cancel", lambda _self: self.calls.append("cancel"))
        monkeypatch.setattr(PackWork, "can_ask", property(lambda _self: True))
        monkeypatch.setattr(PackWork, "installed", lambda _self: self.installed)
        monkeypatch.setattr(PackWork, "might_gain", lambda _self: self.suggestion)
        self.section = PackSection(services, theme, bridge)

    def publish(self, **changes: object) -> None:
        self.state = replace(self.state, **changes)  # type: ignore[arg-type]
        self.services.events.publish(PacksChanged())

    def words(self) -> list[str]:
        return [label.text() for label in self.section.findChildren(QLabel) if label.isVisible() and label.text()]

    def button(self, text: str) -> QPushButton | None:
        return next(
            (each for each in self.section.findChildren(QPushButton) if each.isVisible() and each.text() == text), None)


def pack_here(version: str, *, is_current: bool = True) -> InstalledPack:
    verified = Verified(
        pack_id="cuda13", engine_id="lcpp-1", version=version, label="NVIDIA CUDA 13", archive_sha256="0" * 64,
        size_bytes=1_100_000_000, installed_s=0.0, order=1)
    return InstalledPack(Path("/runtimes") / version, verified, is_current)


@pytest.fixture
def stage(
    services: AppServices, theme: ThemeState, bridge: Bridge, show: Show, monkeypatch: pytest.MonkeyPatch,
) -> Stage:
    made = Stage(services, theme, bridge, monkeypatch)
    show(made.section, 880, 300)
    return made


def test_a_build_without_keys_shows_nothing(
    services: AppServices, theme: ThemeState, bridge: Bridge, show: Show, qtbot,
) -> None:
    holder = QWidget()
    section = PackSection(services, theme, bridge)
    section.setParent(holder)
    show(holder, 880, 300)
    services.events.publish(PacksChanged())
    qtbot.wait(50)
    assert not section.isVisible()


def test_a_card_that_might_gain_is_told_quietly(stage: Stage, qtbot) -> None:
    stage.suggestion = SUGGESTION
    stage.publish(news="")
    eventually(qtbot, lambda: SUGGESTION in stage.words())
    assert stage.calls == []
    qtbot.mouseClick(stage.section.look_button, Qt.MouseButton.LeftButton)
    assert stage.calls == ["look"]
    stage.publish(is_looking=True)
    eventually(qtbot, lambda: stage.section.look_button.text() == "Looking…")
    assert not stage.section.look_button.isEnabled()


def test_the_size_is_said_before(stage: Stage, qtbot) -> None:
    stage.publish(offers=(OFFER, PackOffer(replace_id("vulkan"), Standing.UNFIT, "Not for it.")))
    eventually(qtbot, lambda: "NVIDIA CUDA 13 1.0" in stage.words())
    assert f"{OFFER.reason} Download 640 MB, takes 1.1 GB." in stage.words()
    assert not any("Not for it" in text for text in stage.words())
    action = stage.button("Download and install")
    assert action is not None
    assert nameless(stage.section) == []
    qtbot.mouseClick(action, Qt.MouseButton.LeftButton)
    assert stage.calls == ["install cuda13"]


def test_progress_and_its_end(stage: Stage, qtbot) -> None:
    stage.publish(offers=(OFFER,), pack=PACK, phase=Phase.DOWNLOADING, progress=Progress(160_000_000, 640_000_000))
    eventually(qtbot, lambda: "NVIDIA CUDA 13: Downloading: 160 MB of 640 MB" in stage.words())
    eventually(qtbot, lambda: stage.button("Download and install") is not None)
    action, cancel = stage.button("Download and install"), stage.button("Cancel")
    assert action is not None
    assert not action.isEnabled()
    assert cancel is not None
    qtbot.mouseClick(cancel, Qt.MouseButton.LeftButton)
    assert stage.calls == ["cancel"]
    stage.publish(phase=Phase.TESTING, progress=Progress(0, 0))
    eventually(qtbot, lambda: "NVIDIA CUDA 13: Trying it out in a process of its own" in stage.words())
    stage.publish(phase=Phase.FINISHING)
    eventually(qtbot, lambda: not cancel.isEnabled())
    stage.publish(phase=None, pack=None, news="NVIDIA CUDA 13 1.0 is installed.")
    eventually(qtbot, lambda: "NVIDIA CUDA 13 1.0 is installed." in stage.words())
    assert stage.button("Cancel") is None


def test_what_is_installed_can_be_removed(stage: Stage, qtbot) -> None:
    stage.installed = [pack_here("1.1"), pack_here("1.0", is_current=False)]
    stage.publish(news="x")
    eventually(qtbot, lambda: "NVIDIA CUDA 13 1.1, takes 1.1 GB" in stage.words())
    assert "NVIDIA CUDA 13 1.0, takes 1.1 GB, the version before, kept for two weeks to go back to" in stage.words()
    action = stage.button("Remove")
    assert action is not None
    qtbot.mouseClick(action, Qt.MouseButton.LeftButton)
    assert stage.calls == ["remove cuda13"]


def test_a_pack_that_a_newer_driver_would_make_useful_says_so(stage: Stage, qtbot) -> None:
    reason = "It needs NVIDIA's driver 580 or newer; 535.12 is installed."
    stage.publish(news=NONE_FOUND, offers=(
        PackOffer(PACK, Standing.UNFIT, reason),
        PackOffer(msgspec.structs.replace(PACK, engine_id="lcpp-2"), Standing.UNFIT, OTHER_VERSION)))
    eventually(qtbot, lambda: reason in stage.words())
    assert {"NVIDIA CUDA 13 1.0", NONE_FOUND} <= set(stage.words())
    assert OTHER_VERSION not in stage.words()
    assert stage.button("Download and install") is None


def test_a_failure_says_what_happened_and_what_to_do(stage: Stage, qtbot) -> None:
    error = AppError(PACK_TEST_FAILED, label="NVIDIA CUDA 13", reason="it computes wrong results")
    stage.publish(offers=(OFFER,), error=error)
    eventually(qtbot, lambda: error.message in stage.words())
    assert error.action in stage.words()
    assert stage.button("Download and install") is not None


def replace_id(pack_id: str) -> Pack:
    return msgspec.structs.replace(PACK, pack_id=pack_id, label="Other")
