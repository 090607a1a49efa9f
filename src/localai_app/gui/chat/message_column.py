"""The messages of a transcript that have a widget, one below the other."""

from __future__ import annotations

from PySide6.QtCore import QUrl, Signal
from PySide6.QtWidgets import QSizePolicy, QVBoxLayout, QWidget

from localai_app.gui import metrics
from localai_app.gui.chat.history_mark import marks_for
from localai_app.gui.chat.lexer_finder import LexerFinder
from localai_app.gui.chat.message_views import AnswerView, QuestionView
from localai_app.gui.styling import set_spacing
from localai_app.gui.theme import ThemeState
from localai_app.store.records import Message, Role

MessageView = QuestionView | AnswerView


class MessageColumn(QWidget):
    """As wide as text reads well. Widgets are found by the id of their message."""

    link_clicked = Signal(QUrl)
    retry_requested = Signal()
    continue_requested = Signal()
    why_slow_requested = Signal()

    def __init__(self, theme: ThemeState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._lexers = LexerFinder(self)
        self._views: dict[int, MessageView] = {}
        self.setMaximumWidth(metrics.READING_WIDTH)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        self._rows = QVBoxLayout(self)
        set_spacing(self._rows, metrics.SPACE_6)
        self._rows.addStretch(1)

    @property
    def message_ids(self) -> tuple[int, ...]:
        """Messages in order, oldest first."""
        return tuple(self._views)

    @property
    def first_view(self) -> MessageView | None:
        """The widget of the oldest message."""
        return next(iter(self._views.values()), None)

    @property
    def last_view(self) -> MessageView | None:
        """The widget of the newest message."""
        return next(reversed(self._views.values()), None)

    @property
    def context_used(self) -> int:
        """Tokens that the chat took of the context with the newest answer that tells; 0 before the first one."""
        answers = (view for view in reversed(self._views.values()) if isinstance(view, AnswerView))
        return next((view.context_used for view in answers if view.context_used), 0)

    @property
    def marks(self) -> dict[int, str]:
        """What is said of the full context above which message."""
        return {message_id: view.mark_words for message_id, view in self._views.items() if view.mark_words}

    def view(self, message_id: int) -> MessageView | None:
        """The widget of a message, if it has one."""
        return self._views.get(message_id)

    def insert(self, index: int, message: Message) -> None:
        """Build the widget of a message at a place."""
        view: MessageView
        if message.role is Role.USER:
            view = QuestionView(message, self._theme, self)
        else:
            view = AnswerView(message, self._theme, self._lexers, self)
            view.link_clicked.connect(self.link_clicked)
            view.continue_requested.connect(self.continue_requested)
            view.why_slow_requested.connect(self.why_slow_requested)
        view.retry_requested.connect(self.retry_requested)
        self._rows.insertWidget(index, view)
        known = list(self._views.items())
        self._views = dict([*known[:index], (message.id, view), *known[index:]])
        self._update_marks()

    def add(self, message: Message) -> None:
        """Add a message at the end, or show a known answer anew."""
        known = self._views.get(message.id)
        if isinstance(known, AnswerView):
            known.show_message(message)
            self._update_marks()
        elif known is None:
            self.insert(len(self._views), message)
            self.mark_last()

    def remove(self, message_id: int) -> None:
        """Take a message off the screen."""
        view = self._views.pop(message_id, None)
        if view is not None:
            self._discard(view)
            self._update_marks()
            self.mark_last()

    def clear(self) -> None:
        """Take all off the screen."""
        for view in self._views.values():
            self._discard(view)
        self._views = {}

    def mark_last(self) -> None:
        """Only the last answer can be asked for again."""
        for view in self._views.values():
            if isinstance(view, AnswerView):
                view.set_last(view is self.last_view)

    def set_unanswered(self, is_unanswered: bool) -> None:
        """Whether a question at the end may be asked again, because nothing answers it."""
        for view in self._views.values():
            if isinstance(view, QuestionView):
                view.set_retry_visible(is_unanswered and view is self.last_view)

    def _update_marks(self) -> None:
        """Show where the history was cut for the newest answer."""
        answers = (view for view in reversed(self._views.values()) if isinstance(view, AnswerView))
        newest = next(answers, None)
        wanted = marks_for(self.message_ids, newest.message.cut if newest is not None else None)
        for message_id, view in self._views.items():
            view.show_mark(wanted.get(message_id, ""))

    def _discard(self, view: MessageView) -> None:
        self._rows.removeWidget(view)
        view.hide()
        view.deleteLater()
