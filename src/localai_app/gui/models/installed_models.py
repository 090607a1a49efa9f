"""What is installed, read off the window's thread: listing the models reads folders, which may lie on a slow disk."""

from __future__ import annotations

from PySide6.QtCore import QObject, Signal

from localai_app.errors import AppError
from localai_app.gui.bridge import Bridge
from localai_app.gui.tasks import BackgroundTask, run_in_background
from localai_app.services.app_services import AppServices
from localai_app.services.events import Event, InstalledFitsChanged, LibraryChanged
from localai_app.services.views import InstalledModel


class InstalledModels(QObject):
    """Keeps the newest list. `changed` comes after every reading that found something else, and after the first one."""

    changed = Signal()
    fits_changed = Signal()
    """Models would run differently now: read it from InstalledFits."""

    def __init__(self, services: AppServices, bridge: Bridge, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._services = services
        self._models: tuple[InstalledModel, ...] | None = None
        self._task: BackgroundTask | None = None
        self._is_stale = False
        bridge.event_published.connect(self._on_event)
        self.refresh()

    @property
    def models(self) -> tuple[InstalledModel, ...]:
        """As read last; empty before the first reading."""
        return self._models or ()

    @property
    def is_read(self) -> bool:
        """Whether the list was read at all."""
        return self._models is not None

    def keys_of(self, repo_id: str) -> dict[str, str]:
        """Keys of the complete installed models of a repository, by label."""
        return {model.label: model.key for model in self.models if model.repo_id == repo_id and model.is_complete}

    def key_of(self, repo_id: str, label: str) -> str:
        """Key of one installed variant, or empty."""
        return self.keys_of(repo_id).get(label, "")

    def refresh(self) -> None:
        """Read again soon; what changes while a reading is under way is read after it."""
        if self._task is not None:
            self._is_stale = True
            return
        self._is_stale = False
        self._task = run_in_background(self, self._services.library.models, self._on_read, self._on_failed)

    def _on_read(self, models: tuple[InstalledModel, ...]) -> None:
        self._task = None
        is_news = models != self._models
        self._models = models
        if is_news:
            self.changed.emit()
        if self._is_stale:
            self.refresh()

    def _on_failed(self, _error: AppError) -> None:
        self._task = None
        if self._models is None:
            self._models = ()
            self.changed.emit()

    def _on_event(self, event: Event) -> None:
        match event:
            case LibraryChanged():
                self.refresh()
            case InstalledFitsChanged():
                self.fits_changed.emit()
            case _:
                pass
