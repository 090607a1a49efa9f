"""The list from which a contestant is chosen: what is installed first, then what the catalog has for this computer."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from localai_app.compare.contestant import Contestant, ContestantSettings
from localai_app.fit.result import FitResult, Verdict
from localai_app.gui.chat.model_chooser import model_title
from localai_app.gui.dialogs.command_box import BoxCommand, CommandBox
from localai_app.gui.theme import ThemeState
from localai_app.gui.widgets.badge import verdict_short
from localai_app.services.compare.drafts import DraftContestant
from localai_app.services.views import DiscoveryRow, InstalledModel
from localai_app.units import format_file_size

INSTALLED, CATALOG = "On this computer", "Download from the Hub first"


def picker_box(
    commands: Sequence[BoxCommand], theme: ThemeState, parent: object,
) -> CommandBox:
    """The list as a box over the window."""
    return CommandBox(
        commands, theme, parent, title="Choose a model",  # type: ignore[arg-type]
        placeholder="Search models on this computer and in the catalog…")


def picker_commands(
    models: Sequence[InstalledModel], fit_of: Callable[[str], FitResult | None], rows: Sequence[DiscoveryRow],
    choose: Callable[[DraftContestant], None],
) -> list[BoxCommand]:
    """One entry for each complete installed model and each catalog model that runs here; `choose` gets the contestant."""
    installed = {(model.repo_id, model.label) for model in models}
    found = [
        BoxCommand(
            model_title(model), INSTALLED, "models", _bound(choose, installed_contestant(model)), model.repo_id,
            " · ".join(filter(None, (format_file_size(model.size_bytes), _verdict(fit_of(model.key))))))
        for model in models if model.is_complete]
    for row in rows:
        file, fit = row.file, row.fit
        if file is None or fit is None or fit.verdict is Verdict.NO or (row.model.repo_id, file.label) in installed:
            continue
        found.append(BoxCommand(
            f"{row.model.name} · {file.label}", CATALOG, "download", _bound(choose, catalog_contestant(row)),
            f"{row.model.publisher} {row.model.family} {row.model.repo_id}",
            f"download {format_file_size(file.size_bytes)} · {_verdict(fit)}"))
    return found


def installed_contestant(model: InstalledModel) -> DraftContestant:
    """A model on this computer as a contestant, with no settings of its own."""
    return DraftContestant(contestant=Contestant(model_key=model.key, name=model.name, label=model.label))


def catalog_contestant(row: DiscoveryRow) -> DraftContestant:
    """A model of the catalog in its best variant here as a contestant that waits for its download."""
    assert row.file is not None
    repo_id, label = row.model.repo_id, row.file.label
    name = repo_id.rpartition("/")[2].removesuffix("-GGUF")
    contestant = Contestant(model_key=f"{repo_id}:{label}", name=name, label=label, settings=ContestantSettings())
    return DraftContestant(contestant=contestant, download=(repo_id, label))


def _verdict(fit: FitResult | None) -> str:
    return verdict_short(fit.verdict) if fit is not None else ""


def _bound(choose: Callable[[DraftContestant], None], draft: DraftContestant) -> Callable[[], None]:
    return lambda: choose(draft)
