"""Stop strings in a stream of text: nothing of one is ever shown, also where it is split across tokens."""

from __future__ import annotations

from collections.abc import Sequence

from localai_app.engine.reading.markers import earliest, partial_length


class StopStringFilter:
    """Passes text on, but holds back what could be the beginning of a stop string."""

    def __init__(self, stop_strings: Sequence[str]) -> None:
        self._stop_strings = tuple(text for text in stop_strings if text)
        self._held = ""
        self.has_matched = False
        """Whether a stop string came; nothing is passed on after it."""

    def feed(self, text: str) -> str:
        """The part of the text so far that can be shown now."""
        if self.has_matched or not self._stop_strings:
            return "" if self.has_matched else text
        self._held += text
        found = earliest(self._held, self._stop_strings)
        if found is not None:
            shown, self._held, self.has_matched = self._held[: found[0]], "", True
            return shown
        cut = len(self._held) - partial_length(self._held, self._stop_strings)
        shown, self._held = self._held[:cut], self._held[cut:]
        return shown

    def flush(self) -> str:
        """What was held back, at the end of an answer in which no stop string followed."""
        shown, self._held = self._held, ""
        return shown
