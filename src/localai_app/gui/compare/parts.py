"""The parts of the Compare page that are imported when they are first shown."""

from __future__ import annotations

from importlib import import_module

from PySide6.QtWidgets import QWidget

from localai_app.gui.bridge import Bridge
from localai_app.gui.theme import ThemeState
from localai_app.services.app_services import AppServices

ANSWERS, RESULTS, LEADERBOARD, LOSS, HISTORY = "Answers", "Results", "Leaderboard", "Smaller files", "History"
PROMPT_SETS, EXPORT = "Prompt sets", "Export"

CLASSES = {
    RESULTS: ("matrix_view", "MatrixView"),
    LEADERBOARD: ("leaderboard_view", "LeaderboardView"),
    LOSS: ("loss_view", "LossView"),
    HISTORY: ("history_view", "HistoryView"),
    PROMPT_SETS: ("prompt_sets_dialog", "PromptSetsDialog"),
    EXPORT: ("export_button", "ExportButton"),
}
"""Module of this package and class of each part."""


def make_part(name: str, services: AppServices, theme: ThemeState, bridge: Bridge) -> QWidget:
    """Build a part; raises KeyError for a name that there is not."""
    module, class_name = CLASSES[name]
    part: QWidget = getattr(import_module(f"localai_app.gui.compare.{module}"), class_name)(services, theme, bridge)
    return part
