"""The messages of one chat, newest at the bottom; older ones are built when the user scrolls up to them."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QEvent, QObject, QPoint, Qt, QTimer, QUrl, Signal
from PySide6.QtGui import QResizeEvent
from PySide6.QtWidgets import QFrame, QHBoxLayout, QScrollArea, QSizePolicy, QVBoxLayout, QWidget

from localai_app.engine.protocol import GenerationStats
from localai_app.gui import metrics
from localai_app.gui.chat.lexer_finder import LexerFinder
from localai_app.gui.chat.message_views import AnswerView, QuestionView
from localai_app.gui.styling import icon_button, set_role, set_spacing
from localai_app.gui.theme import ThemeState
from localai_app.store.records import Message, Role

FIRST_MESSAGES = 40
MORE_MESSAGES = 30
NEAR_TOP_PX = 300
NEAR_END_PX = 12
SETTLE_MS = 120
"""How long the position is held while new widgets find their heights."""

MessageView = QuestionView | AnswerView


class Transcript(QScrollArea):
    """Shows messages. It follows the end as long as the user has not scrolled away from it."""

    link_clicked = Signal(QUrl)
    retry_requested = Signal()

    def __init__(self, theme: ThemeState, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._theme = theme
        self._lexers = LexerFinder(self)
        self._views: dict[int, MessageView] = {}
        self._older: list[Message] = []
        self._is_following = True
        self._anchor: MessageView | None = None
        self._anchor_top = 0
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setWidgetResizable(True)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setAccessibleName("Conversation")
        self.setWidget(self._build_content())
        self._jump = icon_button("arrow-down", "Jump to the latest message", theme, role="")
        self._jump.setParent(self)
        self._jump.setFixedSize(metrics.SPACE_11, metrics.SPACE_8)
        self._jump.clicked.connect(self.jump_to_end)
        self._jump.hide()
        self._settle_timer = QTimer(self, singleShot=True, interval=SETTLE_MS)
        self._settle_timer.timeout.connect(self._release_position)
        bar = self.verticalScrollBar()
        bar.valueChanged.connect(self._on_scrolled)
        bar.rangeChanged.connect(self._on_range_changed)

    @property
    def is_following(self) -> bool:
        """Whether new text keeps the end in view."""
        return self._is_following

    @property
    def is_jump_offered(self) -> bool:
        """Whether the button that leads to the end is there."""
        return self._jump.isVisibleTo(self)

    @property
    def message_ids(self) -> tuple[int, ...]:
        """Messages that have a widget, oldest first."""
        return tuple(self._views)

    @property
    def n_older(self) -> int:
        """How many messages before these have no widget yet."""
        return len(self._older)

    @property
    def last_view(self) -> MessageView | None:
        """The widget of the newest message."""
        return next(reversed(self._views.values()), None)

    def view(self, message_id: int) -> MessageView | None:
        """The widget of a message, if it has one."""
        return self._views.get(message_id)

    def show_messages(self, messages: Sequence[Message]) -> None:
        """Show another chat, from its end."""
        self._clear()
        shown = [message for message in messages if message.role is not Role.SYSTEM]
        self._older = shown[:-FIRST_MESSAGES]
        for message in shown[-FIRST_MESSAGES:]:
            self._insert(len(self._views), message)
        self._mark_last()
        self.jump_to_end()

    def add_message(self, message: Message) -> None:
        """Add a message at the end, or show a known one anew. One's own message always brings the end into view."""
        if message.role is Role.SYSTEM:
            return
        known = self._views.get(message.id)
        if isinstance(known, AnswerView):
            known.show_message(message)
            return
        if known is None:
            self._insert(len(self._views), message)
            self._mark_last()
        if message.role is Role.USER:
            self.jump_to_end()

    def remove_message(self, message_id: int) -> None:
        """Take a message off the screen."""
        view = self._views.pop(message_id, None)
        if view is not None:
            self._column.removeWidget(view)
            view.hide()
            view.deleteLater()
            self._mark_last()

    def append(self, message_id: int, text: str, stats: GenerationStats) -> None:
        """Add streaming text to an answer."""
        view = self._views.get(message_id)
        if isinstance(view, AnswerView):
            view.append(text, stats)

    def set_unanswered(self, is_unanswered: bool) -> None:
        """Whether a question at the end may be asked again, because nothing answers it."""
        for view in self._views.values():
            if isinstance(view, QuestionView):
                view.set_retry_visible(is_unanswered and view is self.last_view)

    def jump_to_end(self) -> None:
        """Go to the newest message and stay there."""
        self._is_following = True
        self._release_position()
        bar = self.verticalScrollBar()
        bar.setValue(bar.maximum())
        self._jump.hide()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Keep the button in its corner."""
        super().resizeEvent(event)
        self._jump.move(
            (self.width() - self._jump.width()) // 2, self.height() - self._jump.height() - metrics.SPACE_2)


    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Scroll along when the message that is held moves."""
        if self._anchor is not None and watched is self._anchor and event.type() == QEvent.Type.Move:
            bar = self.verticalScrollBar()
            bar.setValue(bar.value() + self._top_on_screen(self._anchor) - self._anchor_top)
        return bool(super().eventFilter(watched, event))

    def _build_content(self) -> QWidget:
        content = set_role(QWidget(), "panel")
        row = QHBoxLayout(content)
        set_spacing(row, 0, (metrics.SPACE_6, metrics.SPACE_6, metrics.SPACE_6, metrics.SPACE_6))
        reading_column = QWidget()
        reading_column.setMaximumWidth(metrics.READING_WIDTH)
        reading_column.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        row.addStretch(1)
        row.addWidget(reading_column, 1000)
        row.addStretch(1)
        outer = QVBoxLayout(reading_column)
        set_spacing(outer, 0)
        self._column = QVBoxLayout()
        self._column.setSpacing(metrics.SPACE_6)
        outer.addLayout(self._column)
        outer.addStretch(1)
        return content

    def _insert(self, index: int, message: Message) -> None:
        view: MessageView
        if message.role is Role.USER:
            view = QuestionView(message, self._theme, self.widget())
        else:
            view = AnswerView(message, self._theme, self._lexers, self.widget())
            view.link_clicked.connect(self.link_clicked)
        view.retry_requested.connect(self.retry_requested)
        self._column.insertWidget(index, view)
        if index == len(self._views):
            self._views[message.id] = view
        else:
            known = list(self._views.items())
            self._views = dict([*known[:index], (message.id, view), *known[index:]])

    def _mark_last(self) -> None:
        for view in self._views.values():
            if isinstance(view, AnswerView):
                view.set_last(view is self.last_view)

    def _clear(self) -> None:
        self._release_position()
        for view in self._views.values():
            self._column.removeWidget(view)
            view.hide()
            view.deleteLater()
        self._views = {}
        self._older = []

    def _show_older(self) -> None:
        batch = self._older[-MORE_MESSAGES:]
        self._older = self._older[: -len(batch)]
        self._hold_position()
        for index, message in enumerate(batch):
            self._insert(index, message)
        self._settle_timer.start()

    def _on_scrolled(self, value: int) -> None:
        bar = self.verticalScrollBar()
        self._is_following = value >= bar.maximum() - NEAR_END_PX
        self._jump.setVisible(not self._is_following)
        if value < NEAR_TOP_PX and self._older and self._anchor is None and not self._is_following:
            self._show_older()

    def _on_range_changed(self, _minimum: int, maximum: int) -> None:
        bar = self.verticalScrollBar()
        self._balance(bar.sizeHint().width() if maximum > 0 else 0)
        if self._is_following and self._anchor is None:
            bar.setValue(maximum)

    def _balance(self, bar_width: int) -> None:
        """As much room at the left as the scroll bar takes at the right, so that the column stays in the middle."""
        if self.viewportMargins().left() != bar_width:
            self.setViewportMargins(bar_width, 0, 0, 0)

    def _hold_position(self) -> None:
        """Keep the first message where it is on screen while others find their place above it."""
        self._anchor = next(iter(self._views.values()))
        self._anchor_top = self._top_on_screen(self._anchor)
        self._anchor.installEventFilter(self)

    def _release_position(self) -> None:
        if self._anchor is not None:
            self._anchor.removeEventFilter(self)
            self._anchor = None

    def _top_on_screen(self, view: MessageView) -> int:
        return view.mapTo(self.viewport(), QPoint(0, 0)).y()
