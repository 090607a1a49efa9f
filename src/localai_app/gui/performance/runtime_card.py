"""The card of the builds of llama.cpp: which one runs, how each did in its self-test, and what other computers lend."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt, Slot
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from localai_app.engine.rpc_greeting import Answer
from localai_app.errors import AppError
from localai_app.gui.bridge import Bridge
from localai_app.gui.metrics import SPACE_3
from localai_app.gui.performance.cards import Card
from localai_app.gui.performance.fact_row import FactRow
from localai_app.gui.performance.pack_section import PackSection
from localai_app.gui.styling import button, label, set_icon, set_spacing
from localai_app.gui.tasks import run_in_background
from localai_app.gui.theme import ThemeState
from localai_app.services.app_services import AppServices
from localai_app.services.events import ErrorHappened, Event, HardwareReported, RuntimesChanged, SharingChanged
from localai_app.services.lending import WARNING, LendingStatus
from localai_app.services.runtime_words import result_words
from localai_app.services.runtimes import RuntimeRow
from localai_app.units import format_count

EXPLANATION = "Each build computes with a small test model in a process of its own; the fastest that computes right is used."
LENDING_WORDS = {
    LendingStatus.STARTING: "Starting to lend this computer's devices at {address}",
    LendingStatus.LENDING: "This computer lends its devices at {address}",
    LendingStatus.FAILED: "This computer's devices are not lent at {address}",
}


class RuntimeCard(Card):
    """One row for each build, with a button that tests them again, and one for each computer that lends or is lent to."""

    def __init__(self, services: AppServices, theme: ThemeState, bridge: Bridge) -> None:
        super().__init__("Engine build", "")
        self._services = services
        self._theme = theme
        self._rows: QWidget | None = None
        self.test_button = button("Test again", compact=True)
        set_icon(self.test_button, "refresh", theme)
        self.test_button.clicked.connect(self._on_test_clicked)
        self._list = QVBoxLayout()
        foot = QHBoxLayout()
        set_spacing(foot, SPACE_3)
        foot.addWidget(label(EXPLANATION, "muted", wrap=True), 1)
        foot.addWidget(self.test_button, 0, Qt.AlignmentFlag.AlignBottom)
        self.body.addLayout(self._list)
        self.body.addLayout(foot)
        self.packs = PackSection(services, theme, bridge)
        self.body.addWidget(self.packs)
        self._shown: tuple[list[RuntimeRow], tuple[str, ...]] = ([], ())
        self.hide()
        bridge.event_published.connect(self._on_event)
        if services.hardware.report is not None:
            self._ask()

    def _ask(self) -> None:
        """What is known may wait for a test that is under way."""
        runtimes = self._services.runtimes
        run_in_background(self, lambda: (runtimes.rows(), runtimes.refused()), self._on_known)

    def _on_known(self, known: tuple[list[RuntimeRow], tuple[str, ...]]) -> None:
        self._shown = known
        self._show()

    def _show(self) -> None:
        rows, refused = self._shown
        used = next((row for row in rows if row.is_chosen), None)
        name = used.name if used is not None else "No build of llama.cpp is installed"
        self.name_label.setText(name)
        self.setAccessibleName(f"Engine build: {name}")
        self.setVisible(bool(rows or refused))
        holder = QWidget()
        column = QVBoxLayout(holder)
        set_spacing(column, SPACE_3)
        for words in build_lines(rows):
            column.addWidget(self._row(*words))
        for sentence in refused:
            column.addWidget(self._row("warning", "warn", sentence, ""))
        for words in self._sharing():
            column.addWidget(self._row(*words))
        if self._rows is not None:
            self._list.removeWidget(self._rows)
            self._rows.hide()
            self._rows.deleteLater()
        self._rows = holder
        self._list.addWidget(holder)

    def _sharing(self) -> list[tuple[str, str, str, str]]:
        """Computers that lend, and whether this one does: icon, colour, words, and more words."""
        ready = ("network", "accent")
        lines = [
            (*(ready if lender.answer is Answer.READY else ("warning", "warn")), f"Devices of {lender.address}",
             f"{lender.words[0].upper()}{lender.words[1:]}.")
            for lender in self._services.lent.lenders]
        state = self._services.lending.state
        if state.status in LENDING_WORDS:
            failed = state.error is not None
            more = f"{state.error.message} {state.error.action}" if state.error is not None else WARNING
            lines.append((
                *(("warning", "warn") if failed else ready), LENDING_WORDS[state.status].format(address=state.address), more))
        return lines

    def _row(self, icon: str, colour: str, words: str, more: str) -> QWidget:
        return FactRow(self._theme, (icon, colour), words, more)

    def _on_event(self, event: Event) -> None:
        if isinstance(event, HardwareReported | RuntimesChanged):
            self._ask()
        elif isinstance(event, SharingChanged):
            self._show()

    @Slot()
    def _on_test_clicked(self) -> None:
        self.test_button.setEnabled(False)
        self.test_button.setText("Testing…")
        run_in_background(self, self._services.runtimes.test_all, self._on_tested, self._on_failed)

    def _on_tested(self, _rows: object = None) -> None:
        self.test_button.setText("Test again")
        self.test_button.setEnabled(True)
        self._ask()

    def _on_failed(self, error: AppError) -> None:
        self._on_tested()
        self._services.events.publish(ErrorHappened(error))


def build_lines(rows: Sequence[RuntimeRow]) -> list[tuple[str, str, str, str]]:
    """Icon, colour, words and more words: the build in use, each that failed, and the others together."""
    lines = []
    for row in rows:
        if row.is_chosen or row.result is None or not (row.result.passed or row.result.is_unsupported):
            words = result_words(row.result)
            has_failed = row.result is not None and not row.result.passed
            icon = ("warning", "warn") if has_failed else ("check", "good") if row.result is not None else ("dots", "muted")
            lines.append((*icon, f"{row.name}{', in use' if row.is_chosen else ''}", f"{words[0].upper()}{words[1:]}."))
    passed = [row for row in rows if row.result is not None and row.result.passed and not row.is_chosen]
    if passed:
        speeds = [f"{row.name} ({format_count(round(row.result.speed))})" for row in passed if row.result is not None]
        lines.append(("check", "muted", "Also passed, with this speed in the test", "; ".join(speeds) + "."))
    others = [row.name for row in rows if row.result is not None and row.result.is_unsupported and not row.is_chosen]
    if others:
        lines.append(("dots", "muted", "Not for this computer", "; ".join(others) + "."))
    return lines
