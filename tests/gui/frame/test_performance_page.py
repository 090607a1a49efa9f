from __future__ import annotations

from pathlib import Path

import msgspec
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QLabel, QWidget

from localai_app.gui.bridge import Bridge
from localai_app.gui.pages.performance_page import PerformancePage
from localai_app.gui.performance.report_text import instruction_set_words, report_text, useful_instruction_sets
from localai_app.gui.theme import LIGHT, ThemeState
from localai_app.services.events import HardwareReported, MemoryMeasured
from tests.helpers.frame_fakes import REPORT, FakeServices, frame_services

GIB = 1024**3


def make_page(services: FakeServices, qtbot) -> PerformancePage:
    bridge = Bridge(services.events)
    page = PerformancePage(services, ThemeState(LIGHT), bridge)
    bridge.setParent(page)
    qtbot.addWidget(page)
    page.resize(1000, 800)
    return page


def words_of(widget: QWidget) -> str:
    return "\n".join(text.text() for text in widget.findChildren(QLabel) if not text.isHidden())


def test_the_page_says_that_it_is_looking_and_then_shows_everything(tmp_path: Path, qtbot) -> None:
    services = frame_services(tmp_path)
    page = make_page(services, qtbot)
    assert not page._looking.isHidden()
    assert not page.copy_button.isEnabled()
    services.hardware.report = REPORT
    services.events.publish(HardwareReported(REPORT))
    qtbot.waitUntil(lambda: page._looking.isHidden())
    words = words_of(page)
    for expected in ("Test CPU 9000", "8 cores, 16 threads", "AVX512F", "SSE4.2", "32.0 GiB of main memory", "61.3 GB/s",
                     "NVIDIA GeForce RTX 4070", "12.0 GiB, 5.0 GiB free", "560.35", "game (2.0 GiB)", "CUDA0",
                     "The second GPU tells nothing.", "Update its driver."):
        assert expected in words
    assert "MMX" not in words


def test_memory_figures_are_live(tmp_path: Path, qtbot) -> None:
    services = frame_services(tmp_path)
    services.hardware.report = REPORT
    page = make_page(services, qtbot)
    gpu = msgspec.structs.replace(REPORT.gpus[0], free_bytes=3 * GIB, holders=())
    memory = msgspec.structs.replace(REPORT.memory, available_bytes=10 * GIB)
    services.events.publish(MemoryMeasured(memory, (gpu,), 4 * GIB))
    qtbot.waitUntil(lambda: "10.0 GiB" in words_of(page))
    words = words_of(page)
    assert "4.0 GiB" in words
    assert "12.0 GiB, 3.0 GiB free" in words
    assert "game" not in words


def test_a_machine_without_gpu_and_with_an_engine_that_was_not_asked(tmp_path: Path, qtbot) -> None:
    services = frame_services(tmp_path)
    services.hardware.report = msgspec.structs.replace(REPORT, gpus=(), engine_devices=None, notes=())
    page = make_page(services, qtbot)
    assert "llama.cpp has not listed its devices yet" in words_of(page)
    services.events.publish(HardwareReported(msgspec.structs.replace(REPORT, gpus=(), engine_devices=(), notes=())))
    qtbot.waitUntil(lambda: "llama.cpp computes on the processor" in words_of(page))


def test_the_report_is_copied_as_text(tmp_path: Path, qtbot) -> None:
    services = frame_services(tmp_path)
    services.hardware.report = REPORT
    page = make_page(services, qtbot)
    page.copy_button.click()
    copied = QGuiApplication.clipboard().text()
    assert copied == report_text(REPORT)
    assert "GPU: NVIDIA GeForce RTX 4070, 12.0 GiB, 5.0 GiB free, driver 560.35" in copied


def test_only_instruction_sets_that_matter_to_models_are_named() -> None:
    assert useful_instruction_sets(REPORT.cpu) == ("sse4_2", "f16c", "avx2", "avx512f")
    assert instruction_set_words("avx512_vnni") == "AVX512-VNNI"
