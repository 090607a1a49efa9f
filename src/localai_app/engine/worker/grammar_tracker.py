"""Follows an answer through its grammar beside llama.cpp, and stops before the ways to read it become too many.

llama.cpp keeps one stack for each way in which the text so far can be read. A grammar with much ambiguity doubles them
with every character until memory or patience ends, and a call into the library cannot be interrupted.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterable

from localai_app.engine.grammar import Alternative, CharSet, Grammar

MAX_READINGS = 2_000
"""Ways to read the text at once. The checks of a whole vocabulary take a time in proportion."""
MAX_EXPANSIONS = 50_000
"""Steps from one character to the next."""
_MAX_NODES = 200_000

_Node = tuple[int, int, int]
"""Rule and alternative as one number, position in it, and the node below on the stack."""
_BOTTOM = -1


class TooAmbiguousError(Exception):
    """The text can be read in too many ways."""


class GrammarTracker:
    """The ways to read the text so far, as the tops of stacks that share what lies below."""

    def __init__(self, grammar: Grammar) -> None:
        self._alternatives: list[Alternative] = []
        self._of_rule: list[range] = []
        for alternatives in grammar.rules:
            begin = len(self._alternatives)
            self._alternatives += alternatives
            self._of_rule.append(range(begin, len(self._alternatives)))
        self._nodes: list[_Node] = []
        self._number_of: dict[_Node, int] = {}
        self._next: dict[tuple[frozenset[int], int], frozenset[int]] = {}
        """Where a character leads from where: inside a string it is the same again and again."""
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._tops = self._expanded(self._entered(grammar.root, _BOTTOM))

    @property
    def n_readings(self) -> int:
        """In how many ways the text can be read; 0: not at all."""
        return len(self._tops)

    @property
    def may_end(self) -> bool:
        """Whether the text may end here."""
        return _BOTTOM in self._tops

    def advance(self, piece: bytes) -> None:
        """Take the bytes of a token; TooAmbiguousError where it leads too far."""
        for character in self._decoder.decode(piece):
            step = (self._tops, ord(character))
            known = self._next.get(step)
            if known is None:
                matched = [top for top in self._tops if self._matches(top, step[1])]
                known = self._next[step] = self._expanded(self._behind(top) for top in matched)
            self._tops = known
            if len(self._nodes) > _MAX_NODES or len(self._next) > _MAX_NODES:
                self._forget_unused()

    def _matches(self, top: int, code_point: int) -> bool:
        if top == _BOTTOM:
            return False
        alternative, position, _below = self._nodes[top]
        element = self._alternatives[alternative][position]
        return isinstance(element, CharSet) and element.matches(code_point)

    def _behind(self, top: int) -> int:
        alternative, position, below = self._nodes[top]
        return self._node(alternative, position + 1, below)

    def _entered(self, rule: int, below: int) -> list[int]:
        return [self._node(alternative, 0, below) for alternative in self._of_rule[rule]]

    def _node(self, alternative: int, position: int, below: int) -> int:
        """A place in an alternative; at its end, the place to which it returns."""
        if position >= len(self._alternatives[alternative]):
            return below
        node = (alternative, position, below)
        number = self._number_of.get(node)
        if number is None:
            number = self._number_of[node] = len(self._nodes)
            self._nodes.append(node)
        return number

    def _expanded(self, tops: Iterable[int]) -> frozenset[int]:
        """All places reached without a character where a character is due, or the end."""
        todo = list(tops)
        seen: set[int] = set()
        found: set[int] = set()
        while todo:
            top = todo.pop()
            if top in seen:
                continue
            seen.add(top)
            if top == _BOTTOM:
                found.add(top)
                continue
            alternative, position, below = self._nodes[top]
            element = self._alternatives[alternative][position]
            if isinstance(element, CharSet):
                found.add(top)
            else:
                todo += self._entered(element, self._node(alternative, position + 1, below))
            if len(found) > MAX_READINGS or len(seen) > MAX_EXPANSIONS:
                raise TooAmbiguousError
        return frozenset(found)

    def _forget_unused(self) -> None:
        """Keep the stacks that are in use and number them anew."""
        kept: dict[int, int] = {_BOTTOM: _BOTTOM}
        nodes, self._nodes, self._number_of = self._nodes, [], {}
        for top in self._tops:
            path: list[int] = []
            while top not in kept:
                path.append(top)
                top = nodes[top][2]
            for number in reversed(path):
                alternative, position, below = nodes[number]
                kept[number] = self._node(alternative, position, kept[below])
        self._tops = frozenset(kept[top] for top in self._tops)
        self._next.clear()
        if len(self._nodes) > _MAX_NODES // 2:
            raise TooAmbiguousError
