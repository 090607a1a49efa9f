"""The card that says why it is slow, with a button for each cause that does what helps."""

from __future__ import annotations

from PySide6.QtCore import Qt, Signal, Slot
from PySide6.QtGui import QGuiApplication, QShowEvent
from PySide6.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget

from localai_app.errors import AppError
from localai_app.gui.bridge import Bridge
from localai_app.gui.metrics import SPACE_1, SPACE_3, SPACE_4
from localai_app.gui.performance.cards import Card
from localai_app.gui.styling import button, label, set_icon, set_spacing
from localai_app.gui.tasks import BackgroundTask, run_in_background
from localai_app.gui.theme import ThemeState
from localai_app.gui.widgets.icon_label import IconLabel
from localai_app.services.app_services import AppServices
from localai_app.services.events import ErrorHappened, Event, ModelLoaded
from localai_app.services.speed_snapshot import Finding, SlowRemedy
from localai_app.services.why_slow import SlowReport

LOOKING = "Looking at the computer and the model…"
NOTHING = "Nothing was found that slows it down."
NOT_LOOKED = "It looks at the load, the last answer, memory, power, heat and other programs. That takes a second."


class SlowCard(Card):
    """Looks when it is asked to, and again when a model was loaded; only the latest look is shown."""

    page_requested = Signal(str)
    chat_requested = Signal(str)
    model_requested = Signal(str)
    looked = Signal()
    """What was found is shown."""

    def __init__(self, services: AppServices, theme: ThemeState, bridge: Bridge) -> None:
        super().__init__("Why is it slow?", NOT_LOOKED)
        self._services = services
        self._theme = theme
        self._task: BackgroundTask | None = None
        self._report: SlowReport | None = None
        self.look_button = button("Look now", compact=True)
        set_icon(self.look_button, "search", theme)
        self.look_button.clicked.connect(self.look)
        self.notice = label("", "muted", wrap=True)
        self.rows: list[FindingRow] = []
        self._list = QVBoxLayout()
        set_spacing(self._list, SPACE_4)
        foot = QHBoxLayout()
        foot.setSpacing(SPACE_3)
        foot.addWidget(self.notice, 1)
        foot.addWidget(self.look_button, 0, Qt.AlignmentFlag.AlignBottom)
        self.body.addLayout(self._list)
        self.body.addLayout(foot)
        bridge.event_published.connect(self._on_event)

    def showEvent(self, event: QShowEvent) -> None:
        """Look when it is seen for the first time."""
        super().showEvent(event)
        if self._report is None:
            self.look()

    @Slot()
    def look(self) -> None:
        """Look now, off the window's thread."""
        if self._task is not None:
            self._task.drop()
        self.look_button.setEnabled(False)
        self._say(LOOKING, "")
        self._task = run_in_background(self, self._services.why_slow.look, self._on_looked, self._on_failed)

    def _on_looked(self, report: SlowReport) -> None:
        self._task = None
        self._report = report
        self.look_button.setEnabled(True)
        self.look_button.setText("Look again")
        self._say(report.headline, "" if report.findings else NOTHING)
        self._replace_rows(report.findings)
        self.looked.emit()

    def _on_failed(self, error: AppError) -> None:
        self._task = None
        self.look_button.setEnabled(True)
        self._say(error.message, error.action)

    def _say(self, headline: str, notice: str) -> None:
        self.name_label.setText(headline)
        self.setAccessibleName(f"Why is it slow? {headline}")
        self.notice.setText(notice)

    def _replace_rows(self, findings: tuple[Finding, ...]) -> None:
        for row in self.rows:
            self._list.removeWidget(row)
            row.hide()
            row.deleteLater()
        self.rows = [FindingRow(finding, self._theme) for finding in findings]
        for row in self.rows:
            row.button.clicked.connect(lambda _checked=False, chosen=row.finding: self._on_remedy_clicked(chosen))
            self._list.addWidget(row)

    def _on_remedy_clicked(self, finding: Finding) -> None:
        key = self._report.model_key if self._report is not None else ""
        match finding.remedy:
            case SlowRemedy.COPY_COMMAND:
                QGuiApplication.clipboard().setText(finding.command)
                self.notice.setText(f"Copied: {finding.command}")
            case SlowRemedy.LOOK_AGAIN:
                self.look()
            case SlowRemedy.NEW_CHAT:
                self.chat_requested.emit(key)
            case SlowRemedy.SMALLER_VARIANT:
                self._show_variants(key)
            case _:
                self._apply(finding)

    def _apply(self, finding: Finding) -> None:
        try:
            is_done = self._services.why_slow.apply(finding)
        except AppError as error:
            self._services.events.publish(ErrorHappened(error))
            return
        if not is_done:
            # The model that it was about is no longer loaded.
            self.look()
        elif finding.remedy is not SlowRemedy.RUN_BENCHMARK:
            self.notice.setText("Done. The model is loaded again; then this looks again.")

    def _show_variants(self, key: str) -> None:
        repo_id = next((model.repo_id for model in self._services.library.models() if model.key == key), "")
        if repo_id:
            self.model_requested.emit(repo_id)
        else:
            self.page_requested.emit("models")

    def _on_event(self, event: Event) -> None:
        if isinstance(event, ModelLoaded) and self._report is not None and self.isVisible():
            self.look()


class FindingRow(QWidget):
    """One cause, what helps, and the button that does it."""

    def __init__(self, finding: Finding, theme: ThemeState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.finding = finding
        self.button = button(finding.button, compact=True)
        self.button.setAccessibleDescription(f"{finding.words} {finding.advice}")
        if finding.remedy is SlowRemedy.LOOK_AGAIN:
            self.button.hide()  # The card's own button does the same, a line below.
        if finding.command:
            self.button.setToolTip(finding.command)
        words = QVBoxLayout()
        set_spacing(words, SPACE_1 // 2)
        words.addWidget(label(finding.words, "strong", wrap=True, selectable=True))
        words.addWidget(label(finding.advice, "muted", wrap=True, selectable=True))
        row = QHBoxLayout(self)
        set_spacing(row, SPACE_3)
        row.addWidget(IconLabel("warning", theme, "warn"), alignment=Qt.AlignmentFlag.AlignTop)
        row.addLayout(words, 1)
        row.addWidget(self.button, 0, Qt.AlignmentFlag.AlignVCenter)
