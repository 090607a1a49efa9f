"""Prompt lookup: what followed the last time that the newest tokens stood in the conversation. Needs no second model."""

from __future__ import annotations

from collections.abc import Iterable

LONGEST_MATCH = 4
SHORTEST_MATCH = 3
"""Tokens at the end that must have stood before. With two, nearly every match in free text leads nowhere."""


class PromptLookup:
    """The tokens of a conversation with the places of all short runs in it."""

    def __init__(self) -> None:
        self._tokens: list[int] = []
        self._ends: dict[tuple[int, ...], int] = {}
        """Run of tokens: the place behind its newest occurrence that has a successor."""

    def __len__(self) -> int:
        return len(self._tokens)

    def extend(self, tokens: Iterable[int]) -> None:
        """These tokens follow."""
        known = self._tokens
        for token in tokens:
            end = len(known)
            for length in range(SHORTEST_MATCH, min(LONGEST_MATCH, end) + 1):
                self._ends[tuple(known[end - length:])] = end
            known.append(token)

    def propose(self, count: int) -> list[int]:
        """Up to `count` tokens that may follow; none where the end has not been seen before.

        The longest run of tokens at the end that stood before decides, at its newest place. Where that place is so near that
        fewer tokens follow it than are asked for, what follows goes round.
        """
        known = self._tokens
        if count <= 0:
            return []
        for length in range(min(LONGEST_MATCH, len(known)), SHORTEST_MATCH - 1, -1):
            start = self._ends.get(tuple(known[-length:]))
            if start is not None:
                period = len(known) - start
                return [known[start + index % period] for index in range(count)]
        return []
