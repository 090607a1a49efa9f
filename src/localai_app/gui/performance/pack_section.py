"""Runtime packs inside the card of the engine's builds: suggested quietly, offered with their size, installed and removed."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from localai_app.errors import AppError
from localai_app.gui.bridge import Bridge
from localai_app.gui.metrics import SPACE_1, SPACE_3
from localai_app.gui.performance.fact_row import FactRow
from localai_app.gui.styling import button, divider, label, set_icon, set_spacing
from localai_app.gui.tasks import run_in_background
from localai_app.gui.theme import ThemeState
from localai_app.gui.widgets.meter import Meter, Segment
from localai_app.services.app_services import AppServices
from localai_app.services.events import Event, HardwareReported, PacksChanged, RuntimesChanged
from localai_app.services.packs.folders import InstalledPack
from localai_app.services.packs.installer import Phase
from localai_app.services.packs.offers import OTHER_VERSION, PackOffer, Standing
from localai_app.services.packs.pack_service import NONE_FOUND, PackState
from localai_app.services.packs.words import installed_words, phase_words, size_words

EXPLANATION = (
    "Runtime packs are signed, checked, and tried out in a process of their own before they are used. "
    "Nobody is asked for them before you press a button.")


class PackSection(QWidget):
    """Hidden where this build knows no address of packs and none is installed."""

    def __init__(self, services: AppServices, theme: ThemeState, bridge: Bridge) -> None:
        super().__init__()
        self._services = services
        self._theme = theme
        self._known: tuple[str, list[InstalledPack]] = ("", [])
        self._rows: QWidget | None = None
        self._shown_for: object = None
        self._progress = _ProgressRow(theme, services.packs.cancel)
        self.look_button = button("Look for packs", compact=True)
        set_icon(self.look_button, "refresh", theme)
        self.look_button.clicked.connect(services.packs.look)
        self._list = QVBoxLayout()
        set_spacing(self._list, SPACE_3)
        foot = QHBoxLayout()
        set_spacing(foot, SPACE_3)
        foot.addWidget(label(EXPLANATION, "muted", wrap=True), 1)
        foot.addWidget(self.look_button, 0, Qt.AlignmentFlag.AlignBottom)
        column = QVBoxLayout(self)
        set_spacing(column, SPACE_3)
        column.addWidget(divider())
        column.addWidget(label("Runtime packs", "caption"))
        column.addLayout(self._list)
        column.addWidget(self._progress)
        column.addLayout(foot)
        self.hide()
        bridge.event_published.connect(self._on_event)
        self._ask()

    def _ask(self) -> None:
        """What is installed, and whether a card might gain; may wait for a self-test that is under way."""
        work = self._services.packs.work
        run_in_background(self, lambda: (work.might_gain(), work.installed()), self._on_known)

    def _on_known(self, known: tuple[str, list[InstalledPack]]) -> None:
        self._known = known
        self._show()

    def _on_event(self, event: Event) -> None:
        if isinstance(event, PacksChanged):
            state = self._services.packs.state
            self._show()
            if state.phase is None and not state.is_looking:
                self._ask()
        elif isinstance(event, HardwareReported | RuntimesChanged):
            self._ask()

    def _show(self) -> None:
        state, (suggestion, installed) = self._services.packs.state, self._known
        can_ask = self._services.packs.work.can_ask
        is_busy = state.phase is not None or state.is_looking
        self.setVisible(can_ask or bool(installed))
        self.look_button.setVisible(can_ask)
        self.look_button.setEnabled(not is_busy)
        self.look_button.setText("Looking…" if state.is_looking else "Look for packs")
        self._progress.show_state(state)
        shown_for = (state.offers, state.error, state.news, suggestion, tuple(installed), is_busy)
        if shown_for == self._shown_for:
            return
        self._shown_for = shown_for
        rows = QWidget()
        column = QVBoxLayout(rows)
        set_spacing(column, SPACE_3)
        for row in self._lines(state, suggestion, installed, is_busy=is_busy):
            column.addWidget(row)
        if self._rows is not None:
            self._list.removeWidget(self._rows)
            self._rows.hide()
            self._rows.deleteLater()
        self._rows = rows
        rows.setVisible(column.count() > 0)
        self._list.addWidget(rows)

    def _lines(self, state: PackState, suggestion: str, installed: list[InstalledPack], *, is_busy: bool) -> list[QWidget]:
        lines = [self._installed_row(pack, is_busy=is_busy) for pack in installed]
        offers = state.offers or ()
        lines += [self._offer_row(offer, is_busy=is_busy) for offer in offers if offer.can_install]
        if all(offer.standing is Standing.UNFIT for offer in offers):
            lines += [
                self._row("info", "muted", f"{offer.pack.label} {offer.pack.version}", offer.reason) for offer in offers
                if offer.reason != OTHER_VERSION]
        if suggestion and state.offers is None:
            lines.append(self._row("info", "accent", suggestion, ""))
        if state.error is not None:
            lines.append(self._error_row(state.error))
        elif state.news:
            icon = ("info", "muted") if state.news == NONE_FOUND else ("check", "good")
            lines.append(self._row(*icon, state.news, ""))
        return lines

    def _offer_row(self, offer: PackOffer, *, is_busy: bool) -> QWidget:
        action = button("Download and install", "primary", compact=True)
        action.setEnabled(not is_busy)
        action.setAccessibleName(f"Download and install {offer.pack.label}")
        action.clicked.connect(lambda: self._services.packs.install(offer))
        return self._row(
            "download", "accent", f"{offer.pack.label} {offer.pack.version}", f"{offer.reason} {size_words(offer.pack)}.",
            action)

    def _installed_row(self, pack: InstalledPack, *, is_busy: bool) -> QWidget:
        words = installed_words(pack)
        if not pack.is_current:
            return self._row("dots", "muted", words, "")
        action = button("Remove", compact=True)
        action.setEnabled(not is_busy)
        action.setAccessibleName(f"Remove {pack.verified.label}")
        action.clicked.connect(lambda: self._services.packs.remove(pack.verified.pack_id))
        return self._row("check", "good", words, "", action)

    def _error_row(self, error: AppError) -> QWidget:
        return self._row("warning", "warn", error.message, error.action)

    def _row(self, icon: str, colour: str, words: str, more: str, action: QPushButton | None = None) -> QWidget:
        return FactRow(self._theme, (icon, colour), words, more, action)


class _ProgressRow(QWidget):
    """What is being done with a pack, how far it is, and a button that ends it."""

    def __init__(self, theme: ThemeState, on_cancel: Callable[[], None]) -> None:
        super().__init__()
        self._words = label("", "strong", wrap=True)
        self._meter = Meter(theme, 8)
        self.cancel_button = button("Cancel", compact=True)
        self.cancel_button.clicked.connect(on_cancel)
        texts = QVBoxLayout()
        set_spacing(texts, SPACE_1)
        texts.addWidget(self._words)
        texts.addWidget(self._meter)
        line = QHBoxLayout(self)
        set_spacing(line, SPACE_3)
        line.addLayout(texts, 1)
        line.addWidget(self.cancel_button, 0, Qt.AlignmentFlag.AlignBottom)
        self.hide()

    def show_state(self, state: PackState) -> None:
        """Show how far an installation is; nothing where there is none."""
        self.setVisible(state.phase is not None)
        if state.phase is None or state.pack is None:
            return
        self._words.setText(f"{state.pack.label}: {phase_words(state.phase, state.progress)}")
        self._meter.setVisible(state.progress.total > 0)
        self._meter.set_segments([Segment(state.progress.done, "accent", "done")], max(1, state.progress.total))
        self.cancel_button.setEnabled(state.phase is not Phase.FINISHING)
