"""Splits a growing Markdown text into parts that are finished and a tail that may still change.

A block is finished once a further one has begun on a complete line after it: CommonMark decides
blocks line by line, and no later line reaches back over a block. Items of a top-level list count as
blocks of their own, and an open code fence is followed line by line without parsing it again, so the
work per piece does not grow with the length of the answer.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from localai_app.gui.chat.markdown_html import CodePart, Part, list_start, markdown_parser, parts_of, table_part, table_rows
from localai_app.gui.chat.plain_text import harmless

if TYPE_CHECKING:
    from markdown_it.tree import SyntaxTreeNode

_FENCE = re.compile(r"(?P<marks>`{3,}|~{3,})(?P<info>[^\n]*)\n")
ROWS_AT_ONCE = 40
"""Rows of a table that are finished together; laying out more at once would be felt."""
_LONE_FENCE = re.compile(r" {0,3}[`~]+[ \t]*")
_LONE_MARKERS = re.compile(r"[ \t]*(?:[-=*+_~`#>|]+|\d{1,9}[.)]?)[ \t]*")


@dataclass(frozen=True, slots=True)
class _Block:
    """A top-level block or list item: where it starts in the source that was parsed (lines), and its parts' source."""

    node: SyntaxTreeNode
    start_line: int
    number: int = 1
    rows: tuple[SyntaxTreeNode, ...] = ()
    """Of a long table, which is finished piece by piece."""


@dataclass(frozen=True, slots=True)
class _ListPosition:
    """Where parsing goes on inside a list: the kind of its items and the number of the next one."""

    markup: str
    next_number: int


@dataclass(frozen=True, slots=True)
class _TablePosition:
    """Where parsing goes on inside a long table: its header is put in front of the rows again."""

    header: str


@dataclass(slots=True)
class _OpenFence:
    """A code fence at the left margin whose end has not come."""

    closing: re.Pattern[str]
    language: str
    code: str = ""


class MarkdownStream:
    """Feed it text, ask `advance` what is new."""

    def __init__(self) -> None:
        self._pending = ""
        """Source from the start of the last open block on."""
        self._fence: _OpenFence | None = None
        self._list: _ListPosition | None = None
        self._table: _TablePosition | None = None
        self._has_new_line = False

    def feed(self, text: str) -> None:
        """Append the next piece of source."""
        clean = harmless(text)
        self._has_new_line = self._has_new_line or "\n" in clean
        self._pending = self._pending + clean if self._pending or self._fence else clean.lstrip("\n")

    def advance(self, *, is_final: bool = False) -> list[Part]:
        """The parts finished since the last call, each exactly once; with `is_final` everything that is left."""
        finished: list[Part] = []
        if is_final or self._has_new_line:
            self._has_new_line = False
            while self._step(finished, is_final=is_final):
                pass
        return finished

    def tail(self) -> list[Part]:
        """The parts of the open block as they stand now."""
        if self._fence is not None:
            shown = "" if _LONE_FENCE.fullmatch(self._pending) else self._pending
            return [_code_of(self._fence, shown)]
        blocks, lines = self._blocks(_without_lone_markers(self._pending))
        return [part for index in range(len(blocks)) for part in _parts(blocks, index, lines)]

    def _step(self, finished: list[Part], *, is_final: bool) -> bool:
        """Finish what can be finished; true if a fence was opened or closed, so that there may be more."""
        if self._fence is not None:
            return self._follow_fence(finished, is_final=is_final)
        end = len(self._pending) if is_final else self._pending.rfind("\n") + 1
        complete = self._pending[:end]
        if not complete.strip(" \t\n"):
            return False
        blocks, lines = self._blocks(complete)
        count = len(blocks) if is_final else len(blocks) - 1
        for index in range(count):
            finished.extend(_parts(blocks, index, lines))
        if is_final:
            self._pending, self._list, self._table = "", None, None
            return False
        if count > 0:
            self._list = _position_in_list(blocks, count)
            self._table = _position_in_table(blocks, count, lines)
            header = self._table.header if self._table is not None else ""
            self._pending = header + "".join(lines[blocks[count].start_line :]) + self._pending[end:]
        return self._open_fence()

    def _blocks(self, source: str) -> tuple[list[_Block], list[str]]:
        from markdown_it.tree import SyntaxTreeNode

        root = SyntaxTreeNode(markdown_parser().parse(source))
        blocks: list[_Block] = []
        for node in root.children:
            if node.type in ("bullet_list", "ordered_list"):
                first = list_start(node)
                if not blocks and self._list is not None and self._list.markup == _markup(node):
                    first = self._list.next_number
                blocks.extend(_Block(item, _first_line(item), first + index) for index, item in enumerate(node.children))
            elif node.type == "table":
                blocks.extend(_table_blocks(node, is_continued=not blocks and self._table is not None))
            else:
                blocks.append(_Block(node, _first_line(node)))
        return blocks, _lines(source)

    def _open_fence(self) -> bool:
        match = _FENCE.match(self._pending)
        if match is None or (match["marks"][0] == "`" and "`" in match["info"]):
            return False
        mark = match["marks"]
        words = match["info"].split(maxsplit=1)
        closing = re.compile(rf" {{0,3}}{re.escape(mark[0])}{{{len(mark)},}}[ \t]*\n?")
        self._fence = _OpenFence(closing, words[0] if words else "")
        self._list = None
        self._pending = self._pending[match.end() :]
        return True

    def _follow_fence(self, finished: list[Part], *, is_final: bool) -> bool:
        fence = self._fence
        assert fence is not None
        position = 0
        while position < len(self._pending):
            end = self._pending.find("\n", position) + 1
            if end == 0:
                if not is_final:
                    break
                end = len(self._pending)
            line = self._pending[position:end]
            position = end
            if fence.closing.fullmatch(line):
                return self._close_fence(finished, position)
            fence.code += line
        self._pending = self._pending[position:]
        if is_final:
            self._close_fence(finished, 0)
        return False

    def _close_fence(self, finished: list[Part], position: int) -> bool:
        assert self._fence is not None
        finished.append(_code_of(self._fence))
        self._fence = None
        self._pending = self._pending[position:]
        return True


def _parts(blocks: list[_Block], index: int, lines: list[str]) -> list[Part]:
    block = blocks[index]
    if block.rows:
        return [table_part(block.rows)]
    end = blocks[index + 1].start_line if index + 1 < len(blocks) else len(lines)
    length = sum(len(line) for line in lines[block.start_line : end])
    return parts_of(block.node, source_length=length, number=block.number)


def _table_blocks(node: SyntaxTreeNode, *, is_continued: bool) -> list[_Block]:
    """A table as one block, or a long one in blocks of rows; a continued one without its header."""
    rows = table_rows(node)
    if is_continued:
        rows = rows[1:]
    elif len(rows) <= ROWS_AT_ONCE:
        return [_Block(node, _first_line(node))]
    chunks = [tuple(rows[start : start + ROWS_AT_ONCE]) for start in range(0, len(rows), ROWS_AT_ONCE)]
    starts = [_first_line(node), *(_first_line(chunk[0]) for chunk in chunks[1:])]
    return [_Block(node, start, rows=chunk) for start, chunk in zip(starts, chunks, strict=True)]


def _position_in_table(blocks: list[_Block], index: int, lines: list[str]) -> _TablePosition | None:
    """Where block `index` stands if it goes on with the table of the block before it."""
    block = blocks[index]
    if not block.rows or blocks[index - 1].node is not block.node:
        return None
    first = _first_line(block.node)
    return _TablePosition("".join(lines[first : first + 2]))


def _position_in_list(blocks: list[_Block], index: int) -> _ListPosition | None:
    """Where block `index` stands if it goes on with the list of the block before it."""
    node = blocks[index].node
    if node.type != "list_item" or blocks[index - 1].node.parent is not node.parent or node.parent is None:
        return None
    return _ListPosition(_markup(node.parent), blocks[index].number)


def _markup(node: SyntaxTreeNode) -> str:
    """What makes two items belong to one list: its type, and the sign of the bullet or after the number."""
    return node.type + node.markup


def _first_line(node: SyntaxTreeNode) -> int:
    return node.map[0] if node.map is not None else 0


def _lines(source: str) -> list[str]:
    """Lines with their ends, split where CommonMark splits them (and nowhere else, unlike `str.splitlines`)."""
    return [line + "\n" for line in source.removesuffix("\n").split("\n")]


def _without_lone_markers(source: str) -> str:
    """Source without a last line that is only the beginning of a marker: `-` under a text would flash as a heading."""
    start = source.rfind("\n") + 1
    return source[:start] if start > 0 and _LONE_MARKERS.fullmatch(source, start) else source


def _code_of(fence: _OpenFence, unfinished_line: str = "") -> CodePart:
    return CodePart((fence.code + unfinished_line).rstrip(" \t\n"), fence.language)
