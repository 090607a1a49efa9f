"""Markdown blocks as parts for the screen: rich text (HTML without anything to load) and code.

The HTML carries classes only; colours come from the style sheet of the widget that shows it. Images
become words, links keep their address only if it is http or https.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.token import Token
    from markdown_it.tree import SyntaxTreeNode

MAX_RICH_CHARACTERS = 20_000
"""A single block longer than this (a line of megabytes) is cut on screen: laying it out would stop the window."""
_LIST_TYPES = ("bullet_list", "ordered_list")
_CODE_TYPES = ("fence", "code_block")


@dataclass(frozen=True, slots=True)
class TextPart:
    """Rich text. `indent`: how many lists it stands in."""

    html: str
    indent: int = 0


@dataclass(frozen=True, slots=True)
class CodePart:
    """One code block, shown by a widget of its own."""

    code: str
    language: str = ""
    indent: int = 0


Part = TextPart | CodePart


@lru_cache(maxsize=1)
def markdown_parser() -> MarkdownIt:
    """CommonMark with tables and strikethrough, without HTML.

    Reference definitions are off: one at the end of an answer would change blocks that are finished.
    """
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark", {"html": False, "breaks": True, "maxNesting": 20})
    return parser.enable(["table", "strikethrough"]).disable(["reference", "html_block", "html_inline"])


def parts_of(node: SyntaxTreeNode, *, source_length: int, number: int = 1) -> list[Part]:
    """The parts of one top-level block, or of one item of a top-level list (`number` as it is counted)."""
    if node.type in _CODE_TYPES:
        return [_code_part(node, 0)]
    if source_length > MAX_RICH_CHARACTERS:
        return [_shortened_part(node)]
    if node.type == "list_item":
        return _item_parts(node, number, 0)
    return [TextPart(_block_html(node))]


def _shortened_part(node: SyntaxTreeNode) -> TextPart:
    text = "\n".join(child.content for child in node.walk() if child.type in ("inline", *_CODE_TYPES))
    shown = escape(text[:MAX_RICH_CHARACTERS], quote=False).replace("\n", "<br>")
    hidden = max(0, len(text) - MAX_RICH_CHARACTERS)
    note = f'<p class="note">{hidden:,} more characters are not shown; Copy takes all of them.</p>' if hidden else ""
    return TextPart(f"<p>{shown}</p>{note}")


def _code_part(node: SyntaxTreeNode, indent: int) -> CodePart:
    words = node.info.split(maxsplit=1) if node.type == "fence" else []
    return CodePart(node.content.rstrip(" \t\n"), words[0] if words else "", indent)


def _item_parts(item: SyntaxTreeNode, number: int, indent: int) -> list[Part]:
    """A list item; code inside it becomes a part of its own, one step further in."""
    if not _holds_code(item):
        return [TextPart(_list_html(item, number, _blocks_html(item.children)), indent)]
    lead: list[SyntaxTreeNode] = []
    children = list(item.children)
    while children and not (children[0].type in _CODE_TYPES or _holds_code(children[0])):
        lead.append(children.pop(0))
    parts: list[Part] = [TextPart(_list_html(item, number, _blocks_html(lead)), indent)]
    for child in children:
        parts.extend(_nested_parts(child, indent + 1))
    return parts


def _nested_parts(node: SyntaxTreeNode, indent: int) -> list[Part]:
    if node.type in _CODE_TYPES:
        return [_code_part(node, indent)]
    if node.type in _LIST_TYPES:
        first = list_start(node)
        return [part for index, item in enumerate(node.children) for part in _item_parts(item, first + index, indent)]
    return [TextPart(_block_html(node), indent)]


def _holds_code(node: SyntaxTreeNode) -> bool:
    """Whether code stands in `node` where it can become a part (in lists, not in quotes)."""
    return node.type in ("list_item", *_LIST_TYPES) and any(
        child.type in _CODE_TYPES or _holds_code(child) for child in node.children)


def list_start(node: SyntaxTreeNode) -> int:
    """The number of a list's first item."""
    start = node.attrs.get("start", 1)
    return int(start)


def _list_html(item: SyntaxTreeNode, number: int, inner: str) -> str:
    is_ordered = item.parent is not None and item.parent.type == "ordered_list"
    return f'<ol start="{number}"><li>{inner}</li></ol>' if is_ordered else f"<ul><li>{inner}</li></ul>"


def _blocks_html(nodes: Sequence[SyntaxTreeNode]) -> str:
    """Blocks inside an item: the first paragraph stands on the line of the bullet."""
    if nodes and nodes[0].type == "paragraph":
        return _inline_of(nodes[0]) + "".join(_block_html(node) for node in nodes[1:])
    return "".join(_block_html(node) for node in nodes)


def _block_html(node: SyntaxTreeNode) -> str:
    write = _WRITERS.get(node.type)
    return write(node) if write is not None else "".join(_block_html(child) for child in node.children)


def _code_html(node: SyntaxTreeNode) -> str:
    return f"<pre>{escape(node.content.rstrip(' ' + chr(9) + chr(10)), quote=False)}</pre>"


def _quote_html(node: SyntaxTreeNode) -> str:
    inner = "".join(_block_html(child) for child in node.children)
    row = f'<tr><td class="bar" width="3"></td><td class="quoted">{inner}</td></tr>'
    return f'<table class="quote" width="100%" cellspacing="0">{row}</table>'


def _nested_list_html(node: SyntaxTreeNode) -> str:
    items = "".join(f"<li>{_blocks_html(item.children)}</li>" for item in node.children)
    return f'<ol start="{list_start(node)}">{items}</ol>' if node.type == "ordered_list" else f"<ul>{items}</ul>"


def table_rows(node: SyntaxTreeNode) -> list[SyntaxTreeNode]:
    """All rows of a table, the header first."""
    return [row for section in node.children for row in section.children]


def table_part(rows: Sequence[SyntaxTreeNode]) -> TextPart:
    """Some rows of a long table, in columns of equal width so that they stand below the rows of other parts."""
    share = round(100 / max(1, len(rows[0].children))) if rows else 100
    return TextPart(_rows_html(rows, f' width="{share}%"'))


def _table_html(node: SyntaxTreeNode) -> str:
    return _rows_html(table_rows(node), "")


def _rows_html(rows: Sequence[SyntaxTreeNode], width: str) -> str:
    lines = []
    for row in rows:
        cells = "".join(
            f'<{cell.tag} align="{_alignment(cell)}"{width}>{_inline_of(cell)}</{cell.tag}>' for cell in row.children)
        lines.append(f"<tr>{cells}</tr>")
    return f'<table class="data" width="100%" cellspacing="0">{"".join(lines)}</table>'


def _alignment(cell: SyntaxTreeNode) -> str:
    style = str(cell.attrs.get("style", ""))
    return style.removeprefix("text-align:") or "left"


_WRITERS: dict[str, Callable[[SyntaxTreeNode], str]] = {
    "paragraph": lambda node: f"<p>{_inline_of(node)}</p>",
    "heading": lambda node: f'<p class="{node.tag}">{_inline_of(node)}</p>',
    "hr": lambda _node: "<hr>",
    "fence": _code_html,
    "code_block": _code_html,
    "blockquote": _quote_html,
    "bullet_list": _nested_list_html,
    "ordered_list": _nested_list_html,
    "table": _table_html,
}


def _inline_of(node: SyntaxTreeNode) -> str:
    return "".join(inline_html(child.token.children or ()) for child in node.children if child.type == "inline" and child.token)


_TAGS = {
    "strong_open": "<b>", "strong_close": "</b>", "em_open": "<i>", "em_close": "</i>", "s_open": "<s>", "s_close": "</s>",
    "softbreak": "<br>", "hardbreak": "<br>",
}


def inline_html(tokens: Sequence[Token]) -> str:
    """The inside of a paragraph. Anything unknown becomes its escaped source."""
    out: list[str] = []
    open_links: list[str] = []
    for token in tokens:
        if token.type in _TAGS:
            out.append(_TAGS[token.type])
        elif token.type == "code_inline":
            out.append(f"<code>{escape(token.content, quote=False)}</code>")
        elif token.type == "link_open":
            address = str(token.attrs.get("href", ""))
            is_web = is_web_address(address)
            open_links.append("</a>" if is_web else f" ({escape(address)})")
            out.append(f'<a href="{escape(address)}">' if is_web else "")
        elif token.type == "link_close":
            out.append(open_links.pop() if open_links else "")
        elif token.type == "image":
            out.append(f'<span class="note">[image: {escape(token.content or str(token.attrs.get("src", "")))}]</span>')
        else:
            out.append(escape(token.content, quote=False))
    return "".join(out)


def is_web_address(address: str) -> bool:
    """Whether a link may be offered at all."""
    return address.lower().startswith(("http://", "https://"))
