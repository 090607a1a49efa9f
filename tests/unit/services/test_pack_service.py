"""Which wishes for runtime packs are granted, whatever is under way."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from localai_app.progress import CancelToken
from localai_app.services.events import Event, EventBus, PacksChanged
from localai_app.services.packs.pack_service import NONE_FOUND, PackService
from tests.helpers.file_server import wait_for


class Work:
    """A list of packs with nothing in it, and a tidying up that takes as long as a test wants."""

    def __init__(self) -> None:
        self.may_end = threading.Event()
        self.is_sweeping = threading.Event()
        self.looks = 0
        self.during_look: Callable[[], None] = lambda: None

    def sweep(self) -> None:
        self.is_sweeping.set()
        assert self.may_end.wait(10)

    def look(self, cancel: CancelToken) -> tuple[()]:
        cancel.raise_if_cancelled()
        assert self.may_end.is_set()
        self.looks += 1
        self.during_look()
        return ()


class Keeper:
    """Has nothing to watch over."""

    def start(self) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""


def service_of(work: Any, events: EventBus) -> PackService:
    keeper: Any = Keeper()
    return PackService(events, work, keeper)


def sweeping_service() -> tuple[PackService, Work]:
    """A service that takes leftovers away until `may_end`, with a wish to look that waits for it."""
    work = Work()
    service = service_of(work, EventBus())
    service.start()
    assert work.is_sweeping.wait(10)
    service.look()
    return service, work


def test_a_wish_while_leftovers_are_taken_away_waits_and_is_granted() -> None:
    service, work = sweeping_service()
    work.during_look = service.look
    work.may_end.set()
    wait_for(lambda: service.state.news == NONE_FOUND)
    service.close()
    assert work.looks == 1


def test_the_end_of_the_program_waits_for_no_wish() -> None:
    service, work = sweeping_service()
    service.cancel()
    work.may_end.set()
    service.close()
    service.look()
    assert work.looks == 0


def test_whoever_hears_that_a_wish_is_granted_can_have_the_next_one() -> None:
    work, events = Work(), EventBus()
    work.may_end.set()
    service = service_of(work, events)

    def on_event(event: Event) -> None:
        if isinstance(event, PacksChanged) and not service.state.is_looking and work.looks < 3:
            service.look()

    events.subscribe(on_event)
    service.look()
    wait_for(lambda: work.looks == 3)
    service.close()
