"""The end of the settings: which version this is, which engine it runs, and whose work it is made of."""

from __future__ import annotations

from PySide6.QtCore import QUrl
from PySide6.QtGui import QDesktopServices
from PySide6.QtWidgets import QFrame, QHBoxLayout, QVBoxLayout, QWidget

from localai_app import __version__
from localai_app.gui.metrics import SPACE_1, SPACE_2, SPACE_3, SPACE_4, SPACE_5, SPACE_6
from localai_app.gui.styling import button, label, set_role
from localai_app.gui.tasks import run_in_background
from localai_app.services.about import TERMS, About, about_now
from localai_app.services.app_services import AppServices

TITLE = "About"
_FOUND_BY = "about version license licence notices third parties engine llama.cpp"


class AboutCard(QWidget):
    """Version, engine and notices; the engine's name follows when it is known."""

    def __init__(self, services: AppServices) -> None:
        super().__init__()
        self._facts: About | None = None
        self.engine_label = label("", "muted", wrap=True)
        self.notices_label = label("", "muted", wrap=True)
        self.notices_button = button("Third-party notices", compact=True)
        self.notices_button.clicked.connect(self._on_notices_clicked)
        self.notices_button.hide()
        self._build()
        run_in_background(self, lambda: about_now(services.runtimes), self._on_known)

    def matches(self, words: list[str]) -> bool:
        """Whether every word is found in what this card tells of."""
        return all(word in _FOUND_BY for word in words)

    def _build(self) -> None:
        texts = QVBoxLayout()
        texts.setSpacing(SPACE_1)
        texts.addWidget(label(f"Local AI {__version__}", "strong", selectable=True))
        texts.addWidget(self.engine_label)
        texts.addWidget(self.notices_label)
        card = set_role(QFrame(), "card")
        row = QHBoxLayout(card)
        row.setContentsMargins(SPACE_5 + 1, SPACE_4, SPACE_5 + 1, SPACE_4)
        row.addLayout(texts, 1)
        row.addSpacing(SPACE_6)
        row.addWidget(self.notices_button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, SPACE_3)
        layout.setSpacing(SPACE_2)
        layout.addWidget(label(TITLE, "lead"))
        layout.addWidget(card)

    def _on_known(self, facts: About) -> None:
        self._facts = facts
        self.engine_label.setText(f"Engine: {facts.engine or 'no build of llama.cpp is installed'}")
        self.notices_label.setText(f"{TERMS}. {facts.notices_words}")
        self.notices_button.setVisible(facts.notices is not None)

    def _on_notices_clicked(self) -> None:
        if self._facts is not None and self._facts.notices is not None:
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(self._facts.notices)))
