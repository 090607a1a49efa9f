"""Rows of the Discover list: catalog models that match the filters, or repositories that the Hub found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from PySide6.QtCore import QAbstractListModel, QModelIndex, QObject, QPersistentModelIndex, Qt

from localai_app.catalog.model import CatalogModel
from localai_app.fit.result import Verdict
from localai_app.gui.models.wording import speed_words
from localai_app.gui.widgets.badge import verdict_words
from localai_app.hub.model import SearchHit
from localai_app.services.views import DiscoveryRow
from localai_app.units import format_count, format_parameters

Index = QModelIndex | QPersistentModelIndex


@dataclass(frozen=True, slots=True)
class DiscoverEntry:
    """One row. `model` is None for a repository that only the Hub knows; `verdict` is None while unknown."""

    title: str
    subtitle: str
    repo_id: str
    verdict: Verdict | None = None
    speed: str = ""
    model: CatalogModel | None = None
    variant: str = ""
    """Label of the variant that was asked for, or empty."""


class EntryRole(IntEnum):
    """Roles beside Qt's own."""

    ENTRY = Qt.ItemDataRole.UserRole + 1


class DiscoveryListModel(QAbstractListModel):
    """A list of entries; replaced as a whole."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._entries: tuple[DiscoverEntry, ...] = ()

    @property
    def entries(self) -> tuple[DiscoverEntry, ...]:
        """What is listed."""
        return self._entries

    def set_entries(self, entries: Sequence[DiscoverEntry]) -> None:
        """List other entries; rows are kept where only their content changed."""
        if len(entries) == len(self._entries) and all(
                new.repo_id == old.repo_id and new.title == old.title for new, old in zip(entries, self._entries, strict=True)):
            self._entries = tuple(entries)
            if entries:
                self.dataChanged.emit(self.index(0), self.index(len(entries) - 1))
            return
        self.beginResetModel()
        self._entries = tuple(entries)
        self.endResetModel()

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008 - Qt's own signature
        """One row for each entry."""
        return 0 if parent.isValid() else len(self._entries)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        """Title, the whole row in words for screen readers, or the entry itself."""
        if not index.isValid() or index.row() >= len(self._entries):
            return None
        entry = self._entries[index.row()]
        if role == Qt.ItemDataRole.DisplayRole:
            return entry.title
        if role == Qt.ItemDataRole.AccessibleTextRole:
            verdict = verdict_words(entry.verdict) if entry.verdict is not None else ""
            return ", ".join(part for part in (entry.title, entry.subtitle, verdict, entry.speed) if part)
        if role == EntryRole.ENTRY:
            return entry
        return None


def entry_of_row(row: DiscoveryRow, variant: str = "") -> DiscoverEntry:
    """A catalog model as a row; `variant` is the one that was asked for."""
    model = row.model
    size = format_parameters(model.params_total) if model.params_total else "size not known"
    if model.params_active and model.params_active < 0.9 * model.params_total:
        size += f", {format_parameters(model.params_active)} active"
    runs = row.fit is not None and row.fit.verdict not in (Verdict.NO, Verdict.UNKNOWN)
    return DiscoverEntry(
        title=model.name, subtitle=f"{size} · {model.publisher}", repo_id=model.repo_id, model=model, variant=variant,
        verdict=row.fit.verdict if row.fit is not None else Verdict.UNKNOWN,
        speed=speed_words(row.fit.speed) if row.fit is not None and runs else "")


def entry_of_hit(hit: SearchHit) -> DiscoverEntry:
    """A repository that the Hub found as a row."""
    owner, _slash, name = hit.repo_id.partition("/")
    gate = " · licence to accept" if hit.gated else ""
    return DiscoverEntry(
        title=name or hit.repo_id, subtitle=f"{owner} · {format_count(hit.downloads)} downloads{gate}", repo_id=hit.repo_id)
