"""Performance: what this computer has, as measured, and what other hardware could run."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QPoint, QTimer, Signal
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QFrame, QScrollArea, QVBoxLayout, QWidget

from localai_app.gui.bridge import Bridge
from localai_app.gui.metrics import SPACE_4, SPACE_6, SPACE_8
from localai_app.gui.performance.benchmark_card import BenchmarkCard
from localai_app.gui.performance.cards import (
    GpuCard,
    MemoryCard,
    ProcessorCard,
    engine_devices_card,
    notes_card,
)
from localai_app.gui.performance.live_card import LiveCard
from localai_app.gui.performance.measured_card import MeasuredCard
from localai_app.gui.performance.report_text import report_text
from localai_app.gui.performance.runtime_card import RuntimeCard
from localai_app.gui.performance.slow_card import SlowCard
from localai_app.gui.performance.what_if_section import WhatIfSection
from localai_app.gui.styling import button, set_icon, set_role, set_spacing
from localai_app.gui.theme import ThemeState
from localai_app.gui.widgets.empty_state import EmptyState
from localai_app.gui.widgets.page_parts import centered_column, page_toolbar
from localai_app.hardware.report import Gpu, HardwareReport
from localai_app.services.app_services import AppServices
from localai_app.services.events import Event, HardwareReported, MemoryMeasured

COLUMN_WIDTH = 920


class PerformancePage(QWidget):
    """The hardware report, live graphs, benchmarks, and what was predicted against what came."""

    page_requested = Signal(str)
    chat_requested = Signal(str)
    model_requested = Signal(str)

    def __init__(self, services: AppServices, theme: ThemeState, bridge: Bridge, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._services = services
        self._theme = theme
        self._memory_card: MemoryCard | None = None
        self._gpu_cards: list[GpuCard] = []
        set_role(self, "page")
        self.copy_button = button("Copy report")
        set_icon(self.copy_button, "copy", theme)
        self.copy_button.clicked.connect(self._on_copy_clicked)
        self._looking = EmptyState(theme, "performance", "Looking at this computer", "This takes about two seconds.")
        self._cards_holder: QWidget | None = None
        self._column = QVBoxLayout()
        self._column.setSpacing(SPACE_4)
        self.live = LiveCard(services, theme, bridge)
        self.benchmark = BenchmarkCard(services, theme, bridge)
        self.benchmark.page_requested.connect(self.page_requested)
        self._leads_to_slow = False
        self.slow = SlowCard(services, theme, bridge)
        self.slow.looked.connect(self._on_slow_looked)
        self.slow.page_requested.connect(self.page_requested)
        self.slow.chat_requested.connect(self.chat_requested)
        self.slow.model_requested.connect(self.model_requested)
        self.measured = MeasuredCard(services, theme, bridge)
        self.what_if = WhatIfSection(services, theme, bridge)
        self.runtime = RuntimeCard(services, theme, bridge)
        for card in (self.runtime, self.live, self.slow, self.benchmark, self.measured):
            self._column.addWidget(card)
        self._column.addWidget(self.what_if)
        self._column.addStretch(1)
        self._scroll = QScrollArea()
        centered_column(self._scroll, self._column, COLUMN_WIDTH, (SPACE_6, SPACE_6, SPACE_6, SPACE_8))
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(page_toolbar("Performance", self.copy_button))
        layout.addWidget(self._looking, 1)
        layout.addWidget(self._scroll, 1)
        bridge.event_published.connect(self._on_event)
        self._show_report(services.hardware.report)

    def look_why_slow(self) -> None:
        """Say why it is slow, in view."""
        self._leads_to_slow = True
        self.slow.look()

    def _on_slow_looked(self) -> None:
        """The findings have their places once the page was laid out."""
        if self._leads_to_slow:
            self._leads_to_slow = False
            QTimer.singleShot(0, self, self._scroll_to_slow)

    def _scroll_to_slow(self) -> None:
        content = self._scroll.widget()
        if content is not None:
            self._scroll.verticalScrollBar().setValue(self.slow.mapTo(content, QPoint()).y() - SPACE_6)

    def _show_report(self, report: HardwareReport | None) -> None:
        self._looking.setVisible(report is None)
        self._scroll.setVisible(report is not None)
        self.copy_button.setEnabled(report is not None)
        if report is None:
            return
        self._memory_card = MemoryCard(report.memory, self._theme)
        self._gpu_cards = [GpuCard(gpu, self._theme) for gpu in report.gpus]
        cards: list[QFrame] = [ProcessorCard(report.cpu, report.system), self._memory_card, *self._gpu_cards]
        cards.append(engine_devices_card(report))
        if report.notes:
            cards.append(notes_card(report.notes, self._theme))
        self._replace_cards(cards)

    def _replace_cards(self, cards: Sequence[QFrame]) -> None:
        """Show other cards above what lies below them, which stays as it is."""
        holder = QWidget()
        layout = QVBoxLayout(holder)
        set_spacing(layout, SPACE_4)
        for card in cards:
            layout.addWidget(card)
        if self._cards_holder is not None:
            self._column.removeWidget(self._cards_holder)
            self._cards_holder.hide()
            self._cards_holder.deleteLater()
        self._cards_holder = holder
        self._column.insertWidget(0, holder)

    def _on_event(self, event: Event) -> None:
        if isinstance(event, HardwareReported):
            self._show_report(event.report)
        elif isinstance(event, MemoryMeasured):
            self._show_memory(event, event.gpus)

    def _show_memory(self, event: MemoryMeasured, gpus: Sequence[Gpu]) -> None:
        if self._memory_card is not None:
            self._memory_card.show_memory(event.memory, event.engine_rss_bytes)
        if len(gpus) == len(self._gpu_cards):
            for card, gpu in zip(self._gpu_cards, gpus, strict=True):
                card.show_gpu(gpu)

    def _on_copy_clicked(self) -> None:
        report = self._services.hardware.report
        if report is not None:
            QGuiApplication.clipboard().setText(report_text(report))
