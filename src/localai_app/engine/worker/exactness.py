"""Whether several rows at once are calculated to the bit like one, as far as that was seen."""

from __future__ import annotations

EQUAL_ROWS = 4
"""Rows of so many different tokens have to be the same before others count as the same.

Where little differs, a single row may be the same by chance; and in a text that goes round, so may all rows of one token.
"""
NARROW_DRAFT = 2
"""Where drafts as long as wished for change the logits, this length is tried: three rows are calculated one by one."""


class Exactness:
    """What was seen in one step of cells, where the calculation has one shape."""

    def __init__(self, longest: int) -> None:
        self.length = 0
        """Drafts up to this length are known to change no logits."""
        self.length_to_compare = longest
        """A draft of this length is to be compared; 0: that is over."""
        self._equal: set[int] = set()
        self._equal_length = 0

    def note(self, length: int, token: int, *, is_equal: bool) -> None:
        """The row of a token was compared, evaluated with a draft of this length and alone."""
        if not self.length_to_compare:
            return
        if not is_equal:
            self._equal.clear()
            self.length_to_compare = NARROW_DRAFT if length > NARROW_DRAFT else 0
            return
        if length != self._equal_length:
            self._equal.clear()
            self._equal_length = length
        self._equal.add(token)
        if len(self._equal) >= EQUAL_ROWS:
            self.length, self.length_to_compare = length, 0
