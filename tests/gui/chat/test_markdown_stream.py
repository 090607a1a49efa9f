"""Streaming Markdown piece by piece gives what the whole text gives at once."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it.tree import SyntaxTreeNode

from localai_app.gui.chat.markdown_html import CodePart, Part, TextPart, list_start, markdown_parser, parts_of
from localai_app.gui.chat.markdown_stream import MarkdownStream
from localai_app.gui.chat.plain_text import harmless
from tests.helpers.torture import rounds

FRAGMENTS = (
    "Some *text* here", "**bold** and `code`", "\n", "\n\n", "\n\n\n", "- item", "* star", "+ plus", "1. one", "2. two",
    "7) seven", "1. same", "  ", "   ", "    ", "\t", "```", "```python\n", "~~~", "````", "def f():\n    return 1\n",
    "| a | b |\n", "|---|--:|\n", "| 1 | 2 |\n", "# Title\n", "## Two", "---\n", "===", "> quote\n", "> ", "-", "=",
    "#", "[x](https://e.org)", "[r]: https://e.org\n", "![i](file:///etc/passwd)", "<b>html</b>",
    "<img src=x onerror=1>\n", "é😀", "👩‍👩‍👧", "\\", "&amp;", "~~gone~~", "- [ ] task", "\u2028", "1.", "0) nil",
)


def in_whole(source: str) -> list[Part]:
    """The reference: markdown-it over the whole text, without any of the stream's bookkeeping."""
    parts: list[Part] = []
    for node in SyntaxTreeNode(markdown_parser().parse(harmless(source))).children:
        if node.type in ("bullet_list", "ordered_list"):
            for index, item in enumerate(node.children):
                parts.extend(parts_of(item, source_length=0, number=list_start(node) + index))
        else:
            parts.extend(parts_of(node, source_length=0))
    return parts


def streamed(pieces: list[str]) -> list[Part]:
    stream = MarkdownStream()
    parts: list[Part] = []
    for piece in pieces:
        stream.feed(piece)
        parts.extend(stream.advance())
        stream.tail()
    return parts + stream.advance(is_final=True)


def cut(source: str, widths: list[int]) -> list[str]:
    pieces, position = [], 0
    for width in widths:
        pieces.append(source[position : position + width])
        position += width
    return [*pieces, source[position:]]


@settings(max_examples=rounds(120, 3000), deadline=None)
@given(st.lists(st.sampled_from(FRAGMENTS), max_size=25), st.lists(st.integers(0, 12), max_size=40))
def test_any_chunking_equals_the_whole(fragments: list[str], widths: list[int]) -> None:
    source = "".join(fragments)
    assert streamed(cut(source, widths)) == in_whole(source)


@settings(max_examples=rounds(60, 1500), deadline=None)
@given(st.lists(st.sampled_from(FRAGMENTS), max_size=15))
def test_one_character_at_a_time_equals_the_whole(fragments: list[str]) -> None:
    source = "".join(fragments)
    assert streamed(list(source)) == in_whole(source)


@settings(max_examples=rounds(40, 1000), deadline=None)
@given(st.text(max_size=200))
def test_any_text_keeps_its_letters(source: str) -> None:
    assert streamed(list(source)) == in_whole(source)


def test_numbers_go_on_over_finished_items() -> None:
    parts = streamed(list("1. a\n1. b\n1. c\n\ntext\n"))
    assert [part.html for part in parts if isinstance(part, TextPart)][:3] == [
        '<ol start="1"><li>a</li></ol>', '<ol start="2"><li>b</li></ol>', '<ol start="3"><li>c</li></ol>']


def test_code_inside_a_list_is_a_part_of_its_own() -> None:
    parts = streamed(["1. Install:\n   ```bash\n   pip install x\n   ```\n   then run\n2. Go\n"])
    assert parts == [
        TextPart('<ol start="1"><li>Install:</li></ol>'), CodePart("pip install x", "bash", 1), TextPart("<p>then run</p>", 1),
        TextPart('<ol start="2"><li>Go</li></ol>')]


def test_code_shows_while_it_streams() -> None:
    stream = MarkdownStream()
    stream.feed("```py\nx = 1\ny =")
    assert stream.advance() == []
    assert stream.tail() == [CodePart("x = 1\ny =", "py")]
    stream.feed(" 2\n``")
    assert stream.advance() == []
    assert stream.tail() == [CodePart("x = 1\ny = 2", "py")]
    stream.feed("`\nafter")
    assert stream.advance() == [CodePart("x = 1\ny = 2", "py")]
    assert stream.tail() == [TextPart("<p>after</p>")]


def test_a_dash_under_a_text_does_not_flash_as_a_heading() -> None:
    stream = MarkdownStream()
    stream.feed("Here:\n-")
    assert stream.tail() == [TextPart("<p>Here:</p>")]


def test_nothing_in_the_html_can_load_or_run() -> None:
    source = (
        "![a](http://x/i.png) ![b](file:///etc/passwd) ![c](data:image/png;base64,AA)\n\n[j](javascript:alert(1)) "
        "[f](file:///etc) [u](\\\\\\\\host\\\\share)\n\n<img src=x onerror=alert(1)>\n\n<script>1</script>\n")
    html = "".join(part.html for part in streamed([source]) if isinstance(part, TextPart))
    assert "<img" not in html
    assert "<script" not in html
    assert "href" not in html
    assert "&lt;img src=x" in html


def test_overrides_are_written_out_and_controls_dropped() -> None:
    assert harmless("a\u202eb\x00c\x1b[31m\ud800") == "a[U+202E]bc␛[31m�"


def test_a_line_of_megabytes_is_cut_on_screen() -> None:
    (part,) = streamed(["x" * 5_000_000])
    assert isinstance(part, TextPart)
    assert len(part.html) < 25_000
    assert "4,980,000 more characters" in part.html


def test_a_long_table_is_finished_in_pieces_whichever_way_it_comes() -> None:
    rows = "".join(f"| {number} | text {number} |\n" for number in range(100))
    source = f"Before\n\n| a | b |\n|:--|--:|\n{rows}\nAfter\n"
    parts = streamed(list(source))
    assert parts == streamed([source]) == streamed(cut(source, [37] * 60))
    tables = [part.html for part in parts if isinstance(part, TextPart) and "<table" in part.html]
    assert [html.count("<tr>") for html in tables] == [40, 40, 21]
    assert [html.count("<th") for html in tables] == [2, 0, 0]
    assert sum(html.count(f">text {number}<") for number in range(100) for html in tables) == 100
    assert parts[-1] == TextPart("<p>After</p>")


def test_a_long_table_shows_its_last_rows_while_it_streams() -> None:
    stream = MarkdownStream()
    stream.feed("| a | b |\n|---|---|\n" + "| x | y |\n" * 45)
    finished = stream.advance()
    assert len(finished) == 1
    stream.feed("| last ")
    stream.advance()
    (tail,) = stream.tail()
    assert isinstance(tail, TextPart)
    assert "last" in tail.html
    assert "<th" not in tail.html
