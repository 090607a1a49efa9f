"""How a model's weights are stored, and where that is not what its label says."""

from __future__ import annotations

from PySide6.QtWidgets import QVBoxLayout, QWidget

from localai_app.gui.styling import label, set_spacing
from localai_app.gui.tasks import run_in_background
from localai_app.services.app_services import AppServices
from localai_app.services.compare.stored_files import StoredFile, stored_file


class StoredNote(QWidget):
    """Reads the file's header in the background; hidden where it says nothing."""

    def __init__(self, services: AppServices, model_key: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._words = label("", "caption", wrap=True, selectable=True)
        layout = QVBoxLayout(self)
        set_spacing(layout, 0)
        layout.addWidget(self._words)
        self.hide()
        run_in_background(self, lambda: stored_file(services.library.get(model_key)), self._on_read, lambda _error: None)

    @property
    def words(self) -> str:
        """What is said."""
        return self._words.text()

    def _on_read(self, stored: StoredFile) -> None:
        self._words.setText(" ".join(part for part in (stored.shares, stored.fallback) if part))
        self.setVisible(bool(self.words))
