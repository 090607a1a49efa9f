"""Fits of installed models in the background: as each would be loaded, headers read once, news only where there is some."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from localai_app.fit.result import Verdict
from localai_app.hardware.report import HardwareReport, Memory
from localai_app.services.app_services import AppServices
from localai_app.services.events import HardwareReported, InstalledFitsChanged, MemoryMeasured
from localai_app.services.load_settings import LoadSettings
from localai_app.services.views import EngineStatus
from localai_app.units import GIB
from tests.helpers.fit_subjects import computer, nvidia
from tests.helpers.services_fixture import TINY_KEY, EventRecorder, install_tiny_model, open_services, wait_until


@pytest.fixture
def services(tmp_path: Path) -> Iterator[AppServices]:
    with open_services(tmp_path / "data") as opened:
        install_tiny_model(opened.paths.data)
        yield opened


def report(services: AppServices, found: HardwareReport) -> None:
    """As if the probes had found this computer."""
    services.hardware._report = found
    services.events.publish(HardwareReported(found))


def verdict(services: AppServices) -> Verdict | None:
    fit = services.installed_fits.fit(TINY_KEY)
    return None if fit is None else fit.verdict


def test_they_follow_hardware_settings_and_what_is_remembered(services: AppServices) -> None:
    recorder = EventRecorder(services)
    assert verdict(services) is None
    report(services, computer(32))
    wait_until(lambda: verdict(services) is Verdict.CPU)
    report(services, computer(32, gpus=(nvidia("RTX 4070", 12),)))
    wait_until(lambda: verdict(services) is Verdict.GPU)
    services.load_settings.set(TINY_KEY, LoadSettings(ctx=256))
    wait_until(lambda: services.installed_fits.fit(TINY_KEY).ctx == 256)  # type: ignore[union-attr]
    services.settings.set("gpu_layers", 0)
    wait_until(lambda: verdict(services) is Verdict.CPU)
    assert len(recorder.of(InstalledFitsChanged)) == 4
    services.installed_fits.refresh()
    services.library.remove(TINY_KEY)
    wait_until(lambda: verdict(services) is None)


def test_they_follow_free_memory_and_not_its_small_moves(services: AppServices, monkeypatch: pytest.MonkeyPatch) -> None:
    report(services, computer(32))
    wait_until(lambda: verdict(services) is Verdict.CPU)
    fits: list[object] = []
    monkeypatch.setattr(services.installed_fits, "refresh", lambda: fits.append(True))
    for free in (20.0, 20.1, 19.9, 20.0):
        found = msgspec.structs.replace(
            computer(32), memory=Memory(total_bytes=32 * GIB, available_bytes=round(free * GIB)))
        services.hardware._report = found
        services.events.publish(MemoryMeasured(found.memory, (), 0))
    assert len(fits) == 1
    found = msgspec.structs.replace(computer(32), memory=Memory(total_bytes=32 * GIB, available_bytes=GIB))
    services.hardware._report = found
    services.events.publish(MemoryMeasured(found.memory, (), 0))
    assert len(fits) == 2


def test_what_changes_while_a_model_is_loading_counts_after_a_load_that_is_given_up(services: AppServices) -> None:
    is_over = threading.Event()
    services.engine._control.submit(lambda: is_over.wait(20))
    services.engine.load("other")
    assert services.engine.state.status is EngineStatus.LOADING
    report(services, computer(32))
    services.settings.set("gpu_layers", 0)
    wait_until(lambda: not services.installed_fits._wishes.is_busy)
    assert verdict(services) is None
    services.engine.unload()
    is_over.set()
    wait_until(lambda: verdict(services) is Verdict.CPU)


def test_headers_are_read_once_until_a_file_changes(services: AppServices, monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[str] = []
    opened = services.load_previews.of

    def counted(model: Any) -> Any:
        reads.append(model.key)
        return opened(model)

    monkeypatch.setattr(services.load_previews, "of", counted)
    report(services, computer(32))
    wait_until(lambda: verdict(services) is Verdict.CPU)
    services.load_settings.set(TINY_KEY, LoadSettings(ctx=256))
    wait_until(lambda: services.installed_fits.fit(TINY_KEY).ctx == 256)  # type: ignore[union-attr]
    assert reads == [TINY_KEY]
    path = services.library.get(TINY_KEY).paths[0]
    path.write_bytes(path.read_bytes()[:4000])
    services.installed_fits.refresh()
    wait_until(lambda: verdict(services) is Verdict.UNKNOWN)
    assert len(reads) == 2
