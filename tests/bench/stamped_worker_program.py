"""A worker whose tokens say when they were sent: each text is the `time.perf_counter` of that moment, and a space."""

from __future__ import annotations

import sys
import time

import msgspec

from localai_app.engine.protocol import Event, TextGenerated
from localai_app.engine.worker import channel
from localai_app.engine.worker import main as worker


class StampingSender(channel.EventSender):
    """Puts the time in the place of the text."""

    def send(self, event: Event) -> None:
        """Send one event, stamped if it is text."""
        if isinstance(event, TextGenerated):
            event = msgspec.structs.replace(event, text=f"{time.perf_counter():.6f} ")
        super().send(event)


if __name__ == "__main__":
    worker.EventSender = StampingSender  # type: ignore[misc]
    sys.exit(worker.main(sys.argv[1:]))
