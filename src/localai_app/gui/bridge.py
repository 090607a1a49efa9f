"""The single door by which events of the core become Qt signals in the window's thread."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Iterable

from PySide6.QtCore import QObject, Qt, QTimer, Signal, Slot

from localai_app.services.events import (
    AnswerProgressed,
    BenchmarkChanged,
    ComparisonChanged,
    ComparisonProgressed,
    DownloadChanged,
    EngineChanged,
    Event,
    EventBus,
    JudgingChanged,
    LossChanged,
    MemoryMeasured,
    PacksChanged,
    UpdatesChanged,
    VariantsRefined,
)

FLUSH_MS = 33
"""Bursts are shown thirty times a second, which is as fast as anyone reads."""

BURST_EVENTS = (
    AnswerProgressed, DownloadChanged, MemoryMeasured, EngineChanged, VariantsRefined, BenchmarkChanged, ComparisonChanged,
    ComparisonProgressed, JudgingChanged, LossChanged, PacksChanged, UpdatesChanged)


class Bridge(QObject):
    """Publishes every event of a bus as `event_published`, in this object's thread and in order.

    Events that come in bursts wait up to 33 ms and are put together; all others arrive at once and take what
    waits before them along. The timer runs only while something waits.
    """

    event_published = Signal(object)
    _urgent_arrived = Signal()
    _burst_arrived = Signal()

    def __init__(self, bus: EventBus, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._lock = threading.Lock()
        self._waiting: list[Event] = []
        self._is_announced = False
        self._is_closed = False
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(FLUSH_MS)
        self._timer.timeout.connect(self.flush)
        self._urgent_arrived.connect(self.flush, Qt.ConnectionType.QueuedConnection)
        self._burst_arrived.connect(self._on_burst_arrived, Qt.ConnectionType.QueuedConnection)
        self._unsubscribe = bus.subscribe(self._on_event)

    @Slot()
    def flush(self) -> None:
        """Publish what waits, now."""
        self._timer.stop()
        with self._lock:
            waiting, self._waiting = self._waiting, []
            self._is_announced = False
        for event in put_together(waiting):
            if self._is_closed:
                return
            self.event_published.emit(event)

    def close(self) -> None:
        """Hear and publish nothing any more; safe to call twice."""
        self._unsubscribe()
        with self._lock:
            self._is_closed = True
            self._waiting.clear()
        self._timer.stop()

    def _on_event(self, event: Event) -> None:
        """Called in the publisher's thread, whichever that is."""
        is_burst = isinstance(event, BURST_EVENTS)
        with self._lock:
            if self._is_closed:
                return
            self._waiting.append(event)
            if is_burst:
                if not self._is_announced:
                    self._is_announced = True
                    self._burst_arrived.emit()
            else:
                self._urgent_arrived.emit()

    @Slot()
    def _on_burst_arrived(self) -> None:
        if self._waiting and not self._is_closed and not self._timer.isActive():
            self._timer.start()


def put_together(events: Iterable[Event]) -> list[Event]:
    """The same news in fewer events: pieces of one answer joined, of states only the newest. Never across another event."""
    result: list[Event] = []
    places: dict[object, int] = {}
    for event in events:
        key = _burst_key(event)
        if key is None:
            places.clear()
            result.append(event)
            continue
        place = places.get(key)
        if place is None or not _is_continued(result[place], event):
            places[key] = len(result)
            result.append(event)
        else:
            result[place] = _merged(result[place], event)
    return result


def _is_continued(older: Event, newer: Event) -> bool:
    """Whether two events of one burst can become one: text only of the same channel."""
    match older, newer:
        case AnswerProgressed(), AnswerProgressed():
            return older.channel is newer.channel and not newer.takes_back
        case ComparisonProgressed(), ComparisonProgressed():
            return older.channel is newer.channel and not newer.takes_back
        case _:
            return True


def _burst_key(event: Event) -> object:
    match event:
        case AnswerProgressed(conversation_id=conversation_id, message_id=message_id):
            return (conversation_id, message_id)
        case ComparisonProgressed(comparison_id=comparison_id, key=key):
            return (ComparisonProgressed, comparison_id, key)
        case DownloadChanged(download_id=download_id):
            return download_id
        case VariantsRefined(repo_id=repo_id):
            return repo_id
        case (
            MemoryMeasured() | EngineChanged() | BenchmarkChanged() | ComparisonChanged() | JudgingChanged() | LossChanged()
            | PacksChanged() | UpdatesChanged()
        ):
            return type(event)
        case _:
            return None


def _merged(older: Event, newer: Event) -> Event:
    if isinstance(older, AnswerProgressed) and isinstance(newer, AnswerProgressed):
        return dataclasses.replace(
            newer, text=older.text + newer.text, takes_back=older.takes_back, logprobs=older.logprobs + newer.logprobs)
    if isinstance(older, ComparisonProgressed) and isinstance(newer, ComparisonProgressed):
        return dataclasses.replace(newer, text=older.text + newer.text, takes_back=older.takes_back)
    return newer
