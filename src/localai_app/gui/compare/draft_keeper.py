"""Keeps what is set on the page over a restart."""

from __future__ import annotations

import msgspec
from PySide6.QtCore import QObject, QTimer, Signal

from localai_app.errors import AppError
from localai_app.services.compare.drafts import CompareDraft, CompareDrafts, DraftContestant

KEEP_DELAY_MS = 500
"""What is typed is kept when nothing was typed for this long."""


class DraftKeeper(QObject):
    """The draft as it is now; the store follows a little later."""

    failed = Signal(object)

    def __init__(self, drafts: CompareDrafts, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._drafts = drafts
        self._timer = QTimer(self, singleShot=True, interval=KEEP_DELAY_MS)
        self._timer.timeout.connect(self._write)
        try:
            self.draft = drafts.get()
        except AppError:
            self.draft = CompareDraft()

    def set(self, draft: CompareDraft, contestants: tuple[DraftContestant, ...]) -> None:
        """Another draft, with these contestants."""
        changed = msgspec.structs.replace(draft, contestants=contestants)
        if changed != self.draft:
            self.draft = changed
            self._timer.start()

    def keep(self) -> None:
        """Write now what waits to be written."""
        if self._timer.isActive():
            self._timer.stop()
            self._write()

    def _write(self) -> None:
        try:
            self._drafts.set(self.draft)
        except AppError as error:
            self.failed.emit(error)
