from __future__ import annotations

import sys
import threading

from PySide6.QtCore import QObject, Signal
from PySide6.QtWidgets import QApplication

from localai_app.engine.protocol import GenerationStats
from localai_app.gui.bridge import Bridge, put_together
from localai_app.services.events import (
    AnswerProgressed,
    ConversationsChanged,
    DownloadChanged,
    EngineChanged,
    Event,
    EventBus,
    LibraryChanged,
    SettingChanged,
)


def piece(text: str, message_id: int = 1) -> AnswerProgressed:
    return AnswerProgressed(1, message_id, text, GenerationStats(completion_tokens=len(text)))


class Listener(QObject):
    def __init__(self, bridge: Bridge) -> None:
        super().__init__()
        self.events: list[Event] = []
        self.threads: set[int] = set()
        bridge.event_published.connect(self.on_event)

    def on_event(self, event: Event) -> None:
        self.events.append(event)
        self.threads.add(threading.get_ident())


def test_five_thousand_plain_signals_leave_the_interpreter_intact(qapp: QApplication) -> None:
    """A release of the Qt binding dropped a reference on True with every emit and aborted before the 600th."""
    class Sender(QObject):
        sent = Signal()
        sent_with = Signal(object)

    sender, counted = Sender(), []
    sender.sent.connect(lambda: counted.append(1))
    sender.sent_with.connect(lambda value: counted.append(value))
    references = sys.getrefcount(True)
    for _ in range(2_500):
        sender.sent.emit()
        sender.sent_with.emit(True)
    assert len(counted) == 5_000
    counted.clear()
    assert sys.getrefcount(True) > references - 100


def test_five_thousand_events_from_another_thread_all_arrive_in_order(qtbot) -> None:
    bus = EventBus()
    bridge = Bridge(bus)
    listener = Listener(bridge)
    keys = [f"setting_{index}" for index in range(5_000)]
    publisher = threading.Thread(target=lambda: [bus.publish(SettingChanged(key)) for key in keys])
    publisher.start()
    qtbot.waitUntil(lambda: len(listener.events) == 5_000, timeout=10_000)
    publisher.join()
    assert [event.key for event in listener.events if isinstance(event, SettingChanged)] == keys
    assert listener.threads == {threading.get_ident()}
    bridge.close()


def test_a_stream_of_text_arrives_whole_in_few_events(qtbot) -> None:
    bus = EventBus()
    bridge = Bridge(bus)
    listener = Listener(bridge)
    publisher = threading.Thread(target=lambda: [bus.publish(piece(f"{index} ")) for index in range(5_000)])
    publisher.start()
    publisher.join()
    expected = "".join(f"{index} " for index in range(5_000))

    def text() -> str:
        return "".join(event.text for event in listener.events if isinstance(event, AnswerProgressed))

    qtbot.waitUntil(lambda: text() == expected, timeout=10_000)
    assert len(listener.events) < 50
    bridge.close()


def test_an_urgent_event_takes_what_waits_along_before_it(qtbot) -> None:
    bus = EventBus()
    bridge = Bridge(bus)
    listener = Listener(bridge)
    bus.publish(piece("a"))
    bus.publish(piece("b"))
    bus.publish(ConversationsChanged())
    qtbot.waitUntil(lambda: len(listener.events) == 2)
    assert [type(event).__name__ for event in listener.events] == ["AnswerProgressed", "ConversationsChanged"]
    assert listener.events[0] == AnswerProgressed(1, 1, "ab", GenerationStats(completion_tokens=1))
    bridge.close()


def test_the_timer_rests_when_nothing_waits_and_after_closing(qtbot) -> None:
    bus = EventBus()
    bridge = Bridge(bus)
    listener = Listener(bridge)
    assert not bridge._timer.isActive()
    bus.publish(DownloadChanged(1))
    qtbot.waitUntil(lambda: listener.events == [DownloadChanged(1)])
    assert not bridge._timer.isActive()
    bus.publish(DownloadChanged(2))
    bridge.close()
    bus.publish(LibraryChanged())
    qtbot.wait(80)
    assert listener.events == [DownloadChanged(1)]
    assert not bridge._timer.isActive()


def test_putting_together_never_reaches_across_another_event() -> None:
    events: list[Event] = [
        piece("a"), piece("x", 2), piece("b"), EngineChanged(), EngineChanged(), LibraryChanged(), piece("c")]
    assert [getattr(event, "text", type(event).__name__) for event in put_together(events)] == [
        "ab", "x", "EngineChanged", "LibraryChanged", "c"]
