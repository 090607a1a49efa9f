from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from localai_app.engine.worker.detokenize import TextAssembler, pieces_within
from localai_app.engine.worker.echo import split_pieces

words = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


@given(st.lists(words, max_size=6).map("👩‍🌾é".join), st.data())
def test_text_survives_any_cutting_of_its_bytes(text: str, data: st.DataObject) -> None:
    rest, assembler, shown = text.encode(), TextAssembler(), ""
    while rest:
        length = data.draw(st.integers(1, 4))
        shown += assembler.feed(rest[:length])
        assert text.startswith(shown)
        rest = rest[length:]
    assert shown == text


@given(st.lists(st.binary(max_size=6)))
def test_no_bytes_make_a_replacement_character(pieces: list[bytes]) -> None:
    assembler = TextAssembler()
    shown = "".join(assembler.feed(piece) for piece in pieces)
    assert "�" not in shown or "�".encode() in b"".join(pieces)
    shown.encode("utf-8")


def test_broken_character_does_not_swallow_what_follows() -> None:
    assembler = TextAssembler()
    assert assembler.feed(b"\xf0\x9f\x99") == ""
    assert assembler.feed(b"ok") == "ok"


@given(words, st.integers(0, 40))
def test_pieces_within_a_shortened_text(text: str, shown_length: int) -> None:
    pieces, shown = split_pieces(text), text[:shown_length]
    count, part = pieces_within(pieces, shown)
    assert b"".join(pieces[:count]).decode() == part
    assert shown.startswith(part)
    if shown == text:
        assert (count, part) == (len(pieces), text)


def test_pieces_after_a_dropped_character_do_not_count() -> None:
    assert pieces_within([b"a", b"\xf0\x9f", b"b"], "ab") == (1, "a")


def test_hidden_tokens_count_with_what_precedes_them() -> None:
    assert pieces_within([b"a", b"", b"b"], "a") == (2, "a")
