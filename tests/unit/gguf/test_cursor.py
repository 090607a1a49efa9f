"""Walking over long lists of strings: where it ends, whatever their lengths and however the bytes arrive."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localai_app.gguf.cursor import Cursor, TruncatedError

LENGTHS = st.one_of(st.integers(0, 20), st.integers(60, 66), st.sampled_from((255, 256, 3_000)))


def encoded(lengths: list[int]) -> bytes:
    return b"".join(struct.pack("<Q", length) + bytes(index % 256 for index in range(length)) for length in lengths)


def cursor_over(content: bytes, step: int) -> Cursor:
    return Cursor(lambda offset, n: content[offset : offset + min(n, step)], len(content))


@given(st.lists(LENGTHS, min_size=1, max_size=12), st.integers(1, 80), st.integers(1000, 50_000))
def test_the_walk_ends_behind_the_last_string(lengths: list[int], times: int, step: int) -> None:
    repeated = (lengths * times)[:600]
    content = encoded(repeated)
    cursor = cursor_over(content + b"behind", step)
    cursor.skip_strings(len(repeated))
    assert cursor.position == len(content)


@pytest.mark.parametrize("count", [255, 256, 257, 1000])
def test_a_list_that_the_file_cuts_off_is_noticed(count: int) -> None:
    content = encoded([7] * count)
    with pytest.raises(TruncatedError):
        cursor_over(content[:-1], 4096).skip_strings(count)
