"""Chooses models for contestants, sets them up, and follows the downloads that they wait for."""

from __future__ import annotations

from PySide6.QtCore import QObject, Signal
from PySide6.QtWidgets import QWidget

from localai_app.errors import AppError
from localai_app.gui.bridge import Bridge
from localai_app.gui.compare.compare_session import CompareSession
from localai_app.gui.compare.contestant_dialog import ContestantDialog
from localai_app.gui.compare.model_picker import installed_contestant, picker_box, picker_commands
from localai_app.gui.models.installed_models import InstalledModels
from localai_app.gui.theme import ThemeState
from localai_app.gui.widgets.badge import verdict_words
from localai_app.services.app_services import AppServices
from localai_app.services.candidates import recommended_points
from localai_app.services.compare.drafts import DraftContestant
from localai_app.services.events import DownloadChanged, Event
from localai_app.units import format_file_size

N_SUGGESTED = 2


class ContestantChoice(QObject):
    """Works on the lineup of a session. `downloaded`: a model that was waited for is there."""

    changed = Signal()
    downloaded = Signal()
    failed = Signal(object)

    def __init__(
        self, services: AppServices, theme: ThemeState, bridge: Bridge, session: CompareSession, window_part: QWidget,
    ) -> None:
        super().__init__(window_part)
        self._services, self._theme, self._session, self._part = services, theme, session, window_part
        self._wanted = ""
        self.library = InstalledModels(services, bridge, self)
        self.library.changed.connect(self._on_library_changed)
        self.library.fits_changed.connect(self.changed)
        bridge.event_published.connect(self._on_event)

    @property
    def is_empty(self) -> bool:
        """Whether there is no model on this computer and none on its way."""
        return self.library.is_read and not any(model.is_complete for model in self.library.models)

    def choose(self, index: int) -> None:
        """Ask which model the column at `index` of the lineup shall have; beyond the last: another column."""
        discovery = self._services.discovery
        rows = sorted(discovery.rows(), key=lambda row: -recommended_points(row, discovery.task))
        commands = picker_commands(
            self.library.models, self._services.installed_fits.fit, rows, lambda draft: self._take(index, draft))
        picker_box(commands, self._theme, self._part.window()).open_over(self._part.window())

    def set_up(self, index: int) -> None:
        """Show the settings of a contestant to change them."""
        contestant = self._session.lineup.entries[index].draft.contestant
        if contestant is None:
            return
        dialog = ContestantDialog(self._services, self._theme, contestant, self._part)
        dialog.settings_chosen.connect(
            lambda settings: self._session.set_lineup(self._session.lineup.with_settings(index, settings)))
        dialog.open()

    def add(self, model_key: str) -> None:
        """Put an installed model among the contestants; as soon as the library is read, if it is not yet."""
        self._wanted = model_key
        if self.library.is_read:
            self._add_wanted()

    def note(self, column: int) -> str:
        """What to say of a model that was not asked yet: its size, and how it would run."""
        draft = self._session.lineup.entries[self._session.order()[column]].draft
        if draft.contestant is None:
            return ""
        if draft.download is not None:
            return "It is being downloaded. A run begins when it is there."
        model = next((model for model in self.library.models if model.key == draft.contestant.model_key), None)
        if model is None:
            return "This model is not on this computer any more. Choose another one." if self.library.is_read else ""
        fit = self._services.installed_fits.fit(model.key)
        return " · ".join(filter(None, (
            format_file_size(model.size_bytes), verdict_words(fit.verdict) if fit is not None else "")))

    def _take(self, index: int, draft: DraftContestant) -> None:
        if draft.download is not None:
            try:
                self._services.downloads.start(*draft.download)
            except AppError as error:
                self.failed.emit(error)
                return
        self._session.set_lineup(self._session.lineup.with_draft(index, draft))

    def _on_library_changed(self) -> None:
        """Columns that nobody filled begin with the models that were used last; what was waited for may be there."""
        lineup = self._session.lineup
        keys = {model.key for model in self.library.models if model.is_complete}
        came = [repo for repo in self._session.draft.waits_for if ":".join(repo) in keys]
        for repo_id, label in came:
            lineup = lineup.after_download(repo_id, label)
        if not any(entry.draft.contestant for entry in lineup.entries):
            usable = [model for model in self.library.models if model.is_complete]
            for model in usable[:N_SUGGESTED]:
                lineup = lineup.with_model(installed_contestant(model))
        if lineup != self._session.lineup:
            self._session.set_lineup(lineup)
        self._add_wanted()
        self.changed.emit()
        if came:
            self.downloaded.emit()

    def _add_wanted(self) -> None:
        wanted, self._wanted = self._wanted, ""
        model = next((model for model in self.library.models if model.key == wanted and model.is_complete), None)
        lineup = self._session.lineup
        taken = [entry.draft.contestant.model_key for entry in lineup.entries if entry.draft.contestant is not None]
        has_room = not lineup.is_full or len(taken) < len(lineup.entries)
        if model is not None and wanted not in taken and has_room:
            self._session.set_lineup(lineup.with_model(installed_contestant(model)))

    def _on_event(self, event: Event) -> None:
        if isinstance(event, DownloadChanged) and self._session.draft.waits_for:
            self.changed.emit()
