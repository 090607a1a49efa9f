"""The cards of the hardware report."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFrame, QGridLayout, QHBoxLayout, QLabel, QVBoxLayout

from localai_app.gui.metrics import SPACE_2, SPACE_3, SPACE_5, SPACE_8
from localai_app.gui.performance.report_text import (
    SYSTEM_NAMES,
    bandwidth_words,
    cores_words,
    device_words,
    gpu_memory_words,
    instruction_set_words,
    useful_instruction_sets,
)
from localai_app.gui.styling import label, set_role
from localai_app.gui.theme import ThemeState
from localai_app.gui.widgets.icon_label import IconLabel
from localai_app.gui.widgets.meter import Meter, Segment
from localai_app.hardware.report import Cpu, Gpu, HardwareReport, Memory, ProbeNote
from localai_app.units import format_gib

FACT_COLUMNS = 4


class Card(QFrame):
    """A card with a small heading, a name, facts in columns, and whatever a subclass adds below."""

    def __init__(self, heading: str, name: str) -> None:
        super().__init__()
        set_role(self, "card")
        self.setAccessibleName(f"{heading}: {name}")
        self.body = QVBoxLayout(self)
        self.body.setContentsMargins(SPACE_5, SPACE_5 - 4, SPACE_5, SPACE_5)
        self.body.setSpacing(SPACE_3)
        head = QVBoxLayout()
        head.setSpacing(0)
        head.addWidget(label(heading, "caption"))
        self.name_label = label(name, "name", wrap=True, selectable=True)
        head.addWidget(self.name_label)
        self.body.addLayout(head)

    def add_facts(self, facts: Sequence[tuple[str, str]]) -> dict[str, QLabel]:
        """Add named figures side by side; returns the labels with the figures by their name."""
        grid = QGridLayout()
        grid.setHorizontalSpacing(SPACE_8)
        grid.setVerticalSpacing(SPACE_2)
        shown: dict[str, QLabel] = {}
        for index, (name, value) in enumerate(facts):
            cell = QVBoxLayout()
            cell.setSpacing(0)
            cell.addWidget(label(name, "caption"))
            shown[name] = label(value, "strong", selectable=True)
            cell.addWidget(shown[name])
            grid.addLayout(cell, index // FACT_COLUMNS, index % FACT_COLUMNS)
        grid.setColumnStretch(FACT_COLUMNS, 1)
        self.body.addLayout(grid)
        return shown


class ProcessorCard(Card):
    """The processor with the instruction sets that matter to models."""

    def __init__(self, cpu: Cpu, system: str) -> None:
        super().__init__("Processor", cpu.model)
        self.add_facts([
            ("Cores", cores_words(cpu)), ("Architecture", cpu.architecture), ("System", SYSTEM_NAMES.get(system, system))])
        useful = " · ".join(instruction_set_words(name) for name in useful_instruction_sets(cpu))
        sets = QVBoxLayout()
        sets.setSpacing(0)
        sets.addWidget(label("Instruction sets that speed models up", "caption"))
        sets.addWidget(label(useful or "none reported", "strong", wrap=True, selectable=True))
        self.body.addLayout(sets)


class MemoryCard(Card):
    """Main memory: who holds it now, and how fast it is read."""

    def __init__(self, memory: Memory, theme: ThemeState) -> None:
        super().__init__("Memory", f"{format_gib(memory.total_bytes)} of main memory")
        facts = [("Available now", ""), ("Models here", ""), ("Copy speed", bandwidth_words(memory))]
        if memory.container_limit_bytes is not None:
            facts.append(("Container limit", format_gib(memory.container_limit_bytes)))
        self._figures = self.add_facts(facts)
        self._meter = Meter(theme, 8)
        self.body.addWidget(self._meter)
        self.show_memory(memory, 0)

    def show_memory(self, memory: Memory, ours_bytes: int) -> None:
        """Show a new measurement."""
        used = memory.total_bytes - memory.available_bytes
        ours = min(ours_bytes, used)
        self._figures["Available now"].setText(format_gib(memory.available_bytes))
        self._figures["Models here"].setText(format_gib(ours) if ours else "none loaded")
        self._figures["Copy speed"].setText(bandwidth_words(memory))
        self._meter.set_segments(
            [Segment(ours, "ram", "models"), Segment(used - ours, "faint", "other programs")], memory.total_bytes)


class GpuCard(Card):
    """A GPU: who holds its memory now, and what drives it."""

    def __init__(self, gpu: Gpu, theme: ThemeState) -> None:
        super().__init__("GPU with memory of its own" if not gpu.unified else "GPU that shares main memory", gpu.name)
        facts = [("Memory", gpu_memory_words(gpu))]
        facts += [(name, value) for name, value in (
            ("Driver", gpu.driver), ("Compute capability", gpu.compute_capability)) if value]
        self._figures = self.add_facts(facts)
        self._meter = Meter(theme, 8)
        self._holders = label("", "caption", wrap=True)
        self.body.addWidget(self._meter)
        self.body.addWidget(self._holders)
        self.show_gpu(gpu)

    def show_gpu(self, gpu: Gpu) -> None:
        """Show a new measurement."""
        self._figures["Memory"].setText(gpu_memory_words(gpu))
        total, free = gpu.total_bytes, gpu.free_bytes
        self._meter.setVisible(total is not None and free is not None)
        if total is not None and free is not None:
            used = total - free
            others = used if gpu.used_by_others_bytes is None else min(gpu.used_by_others_bytes, used)
            self._meter.set_segments(
                [Segment(used - others, "gpu", "models"), Segment(others, "faint", "other programs")], total)
        held = [holder.name + (f" ({format_gib(holder.held_bytes)})" if holder.held_bytes else "") for holder in gpu.holders]
        self._holders.setText("Held by other programs: " + ", ".join(held) if held else "")
        self._holders.setVisible(bool(held))


def engine_devices_card(report: HardwareReport) -> Card:
    """What llama.cpp itself can compute on."""
    devices = report.engine_devices
    if devices is None:
        card = Card("Engine", "llama.cpp has not listed its devices yet")
        card.body.addWidget(label("It is asked shortly after the start.", "muted", wrap=True))
        return card
    computes_on = [device for device in devices if device.kind != "cpu"]
    card = Card("Engine", "llama.cpp computes on " + (
        "the processor" if not computes_on else " and ".join(device.description or device.name for device in computes_on)))
    for device in devices:
        row = QHBoxLayout()
        row.setSpacing(SPACE_3)
        row.addWidget(label(device.name, "strong"))
        row.addWidget(label(device.description, "muted"))
        row.addStretch(1)
        row.addWidget(label(device_words(device), "muted"))
        card.body.addLayout(row)
    if not devices:
        card.body.addWidget(label("It lists no GPU; models run on the processor.", "muted", wrap=True))
    return card


def notes_card(notes: Sequence[ProbeNote], theme: ThemeState) -> Card:
    """What could not be found out, each with what would help."""
    card = Card("Notes", "What could not be found out")
    for note in notes:
        row = QHBoxLayout()
        row.setSpacing(SPACE_3)
        row.addWidget(IconLabel("warning", theme, "warn"), alignment=Qt.AlignmentFlag.AlignTop)
        words = QVBoxLayout()
        words.setSpacing(0)
        words.addWidget(label(note.message, "body", wrap=True, selectable=True))
        if note.remedy:
            words.addWidget(label(note.remedy, "muted", wrap=True, selectable=True))
        row.addLayout(words, 1)
        card.body.addLayout(row)
    return card
