"""The load panel in a window of its own over the main one."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QDialog, QVBoxLayout, QWidget

from localai_app.gui.bridge import Bridge
from localai_app.gui.load.load_panel import LoadPanel
from localai_app.gui.metrics import SPACE_6, TypeSizes
from localai_app.gui.styling import set_role
from localai_app.gui.theme import ThemeState
from localai_app.services.app_services import AppServices

SIZE = (960, 640)


class LoadDialog(QDialog):
    """Closes itself when the load begins."""

    def __init__(
        self, services: AppServices, theme: ThemeState, bridge: Bridge, model_key: str, parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        set_role(self, "sheet")
        self.setWindowTitle("Load settings")
        self.panel = LoadPanel(services, theme, bridge, model_key)
        self.panel.load_started.connect(lambda _key: self.accept())
        self.panel.close_requested.connect(self.reject)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(1, 1, 1, 1)
        layout.addWidget(self.panel)
        growth = max(1.0, theme.sizes.body / TypeSizes().body)
        width, height = (round(side * growth) for side in SIZE)
        if parent is not None:
            width, height = min(width, parent.width() - SPACE_6), min(height, parent.height() - SPACE_6)
        self.resize(width, height)
