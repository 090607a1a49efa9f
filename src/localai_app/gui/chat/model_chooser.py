"""The button that shows which model answers, and the menu of installed models below it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from PySide6.QtCore import QPoint, QSize, Qt, Signal
from PySide6.QtWidgets import QMenu, QPushButton, QWidget

from localai_app.fit.result import FitResult
from localai_app.gui import metrics
from localai_app.gui.icons import icon
from localai_app.gui.styling import set_icon
from localai_app.gui.theme import ThemeState
from localai_app.gui.widgets.badge import verdict_short, verdict_words
from localai_app.services.views import InstalledModel
from localai_app.units import format_file_size


class ModelChooser(QPushButton):
    """Asks its source for the models each time the menu opens."""

    model_chosen = Signal(str)
    unload_requested = Signal()
    more_requested = Signal()
    load_settings_requested = Signal()
    """How the model that answers is loaded."""

    def __init__(self, theme: ThemeState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._list_models: Callable[[], Sequence[InstalledModel]] = tuple
        self._fit_of: Callable[[str], FitResult | None] = lambda _key: None
        self._loaded_keys: Callable[[], Collection[str]] = tuple
        self._current_key = ""
        self._is_loaded = False
        self.setCursor(Qt.CursorShape.PointingHandCursor)
        self.setLayoutDirection(Qt.LayoutDirection.RightToLeft)
        set_icon(self, "caret-down", theme, "muted", 12)
        theme.changed.connect(self._fit_icon)
        self._fit_icon()
        self.setAccessibleDescription("Opens the list of installed models")
        self.clicked.connect(self.open_menu)
        self.show_model("", "", is_loaded=False)

    def set_source(
        self, list_models: Callable[[], Sequence[InstalledModel]], fit_of: Callable[[str], FitResult | None],
        loaded_keys: Callable[[], Collection[str]] = tuple,
    ) -> None:
        """Where the installed models come from, how the one with a key would run (None: not known), and which are loaded."""
        self._list_models, self._fit_of, self._loaded_keys = list_models, fit_of, loaded_keys

    def show_model(self, key: str, name: str, *, is_loaded: bool) -> None:
        """Show which model answers now, or would."""
        self._current_key, self._is_loaded = key, is_loaded
        self.setText(name or "Choose a model")
        self.setAccessibleName(f"Model: {name}" if name else "Choose a model")
        if name:
            self.setToolTip(f"{name} is loaded" if is_loaded else f"{name} is loaded when you send a message")
        else:
            self.setToolTip("")

    def open_menu(self) -> None:
        """Show the menu below the button."""
        menu = self.build_menu()
        menu.popup(self.mapToGlobal(self.rect().bottomLeft()) + self._offset(menu))

    def build_menu(self) -> QMenu:
        """The menu as it is now; it deletes itself when closed."""
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.setToolTipsVisible(True)
        menu.setLayoutDirection(Qt.LayoutDirection.LeftToRight)
        loaded = self._loaded_keys()
        for model in self._list_models():
            fit = self._fit_of(model.key)
            known = ["loaded"] if model.key in loaded else [verdict_short(fit.verdict)] if fit is not None else []
            facts = " · ".join([*known, format_file_size(model.size_bytes)])
            action = menu.addAction(f"{model_title(model)}\t{facts}".replace("&", "&&"))
            action.setData(model.key)
            place = str(model.paths[0]) if model.paths else model.key
            action.setToolTip("\n".join([verdict_words(fit.verdict), *fit.reasons[:1], place]) if fit is not None else place)
            action.setEnabled(model.is_complete)
            if model.key == self._current_key:
                action.setIcon(icon("check", self._theme, "accent", metrics.ICON_SMALL))
            action.triggered.connect(lambda _checked=False, key=model.key: self.model_chosen.emit(key))
        if menu.actions():
            menu.addSeparator()
        if self._current_key:
            settings = menu.addAction(icon("sliders-horizontal", self._theme), "Load settings…")
            settings.triggered.connect(self.load_settings_requested)
        more = menu.addAction(icon("plus", self._theme), "Get another model" if menu.actions() else "Get a model")
        more.triggered.connect(self.more_requested)
        if self._is_loaded:
            unload = menu.addAction(icon("eject", self._theme), "Unload, free its memory")
            unload.triggered.connect(self.unload_requested)
        return menu

    def _fit_icon(self) -> None:
        """Wider than the arrow is, which keeps it away from the words."""
        sizes = self._theme.sizes
        self.setIconSize(QSize(sizes.grown(metrics.SPACE_5), sizes.grown(12)))

    def _offset(self, menu: QMenu) -> QPoint:
        return QPoint(min(0, self.width() - menu.sizeHint().width()), metrics.SPACE_1)


def model_title(model: InstalledModel) -> str:
    """Name and variant: Qwen3-8B · Q4_K_M."""
    return f"{model.name} · {model.label}" if model.label and model.label not in model.name else model.name
