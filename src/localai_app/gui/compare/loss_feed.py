"""Reads what losses can be measured of, off the window's thread: it takes the headers of all installed models."""

from __future__ import annotations

from PySide6.QtCore import QObject, Signal

from localai_app.errors import AppError
from localai_app.gui.bridge import Bridge
from localai_app.gui.tasks import BackgroundTask, run_in_background
from localai_app.services.app_services import AppServices
from localai_app.services.compare.loss_choices import FileFacts, LossChoice, file_facts, loss_choices
from localai_app.services.events import Event, LibraryChanged
from localai_app.services.views import InstalledModel

Found = tuple[tuple[InstalledModel, ...], tuple[LossChoice, ...], dict[str, FileFacts]]


class LossFeed(QObject):
    """Keeps the newest list; a file is read again only where it was not read before."""

    changed = Signal()
    failed = Signal(object)

    def __init__(self, services: AppServices, bridge: Bridge, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._services = services
        self._task: BackgroundTask | None = None
        self._is_stale = False
        self.is_read = False
        self.models: tuple[InstalledModel, ...] = ()
        self.choices: tuple[LossChoice, ...] = ()
        self.facts: dict[str, FileFacts] = {}
        bridge.event_published.connect(self._on_event)
        self.refresh()

    def refresh(self) -> None:
        """Read again; what changes while a reading is under way is read after it."""
        if self._task is not None:
            self._is_stale = True
            return
        self._is_stale = False
        known = dict(self.facts)
        self._task = run_in_background(self, lambda: self._read(known), self._on_read, self._on_failed)

    def title_of(self, key: str) -> str:
        """What the model of a key is called in a sentence."""
        model = next((model for model in self.models if model.key == key), None)
        return (model.label or model.name) if model is not None else "the file"

    def _read(self, known: dict[str, FileFacts]) -> Found:
        models = self._services.library.models()
        choices = loss_choices(models, self._services.compare.losses.families())
        facts = {model.key: known.get(model.key) or file_facts(model) for choice in choices for model in choice.models}
        return models, choices, {key: one for key, one in facts.items() if one is not None}

    def _on_read(self, found: Found) -> None:
        self._task = None
        is_news = not self.is_read or found != (self.models, self.choices, self.facts)
        self.is_read = True
        self.models, self.choices, self.facts = found
        if is_news:
            self.changed.emit()
        if self._is_stale:
            self.refresh()

    def _on_failed(self, error: AppError) -> None:
        self._task = None
        self.failed.emit(error)

    def _on_event(self, event: Event) -> None:
        if isinstance(event, LibraryChanged):
            self.refresh()
