"""Tells about a mistake in the program itself, with a report to copy."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QUrl
from PySide6.QtGui import QDesktopServices, QGuiApplication
from PySide6.QtWidgets import QDialog, QHBoxLayout, QPlainTextEdit, QVBoxLayout, QWidget

from localai_app.gui.metrics import SPACE_2, SPACE_4, SPACE_6
from localai_app.gui.styling import button, label, set_role
from localai_app.gui.theme import ThemeState


class CrashDialog(QDialog):
    """Not modal: the window stays usable."""

    def __init__(self, report: str, log_file: Path, theme: ThemeState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._log_file = log_file
        self.setWindowTitle("Something went wrong")
        self.resize(640, 440)
        text = QPlainTextEdit(report)
        text.setReadOnly(True)
        text.setAccessibleName("Report")
        text.setFont(theme.code_font())
        set_role(text, "report")
        self._report = text
        self.copy_button = button("Copy report", "primary")
        self.copy_button.clicked.connect(self._on_copy_clicked)
        self.log_button = button("Open log")
        self.log_button.setEnabled(log_file.is_file())
        self.log_button.clicked.connect(self._on_log_clicked)
        close_button = button("Close")
        close_button.clicked.connect(self.close)
        row = QHBoxLayout()
        row.setSpacing(SPACE_2)
        row.addWidget(self.copy_button)
        row.addWidget(self.log_button)
        row.addStretch(1)
        row.addWidget(close_button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(SPACE_6, SPACE_6, SPACE_6, SPACE_6)
        layout.setSpacing(SPACE_4)
        layout.addWidget(label("Something went wrong in Local AI", "heading"))
        layout.addWidget(label(
            "Your chats are saved and the window keeps working as well as it can. The report below helps to correct the "
            "mistake; it holds nothing that you wrote.", "muted", wrap=True))
        layout.addWidget(text, 1)
        layout.addLayout(row)

    def _on_copy_clicked(self) -> None:
        QGuiApplication.clipboard().setText(self._report.toPlainText())
        self.copy_button.setText("Copied")

    def _on_log_clicked(self) -> None:
        QDesktopServices.openUrl(QUrl.fromLocalFile(str(self._log_file)))
