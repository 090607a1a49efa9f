"""How long a header takes to read: vocabularies of 262,144 tokens, without and with merges; `-m bench -s` prints the table."""

from __future__ import annotations

import struct
import time

import pytest

from localai_app.gguf.reader import read_header
from tests.bench.tables import print_table
from tests.helpers.gguf_files import Typed, encode_gguf

pytestmark = pytest.mark.bench

TOKENS, MERGES, ROUNDS = 262_144, 514_906, 9
"""As in Gemma 3; the merges of its tokenizer."""


def _header(*, has_merges: bool) -> bytes:
    words = [f"token{number:06d}"[: 3 + number % 10] for number in range(TOKENS)]
    entries: dict[str, Typed] = {
        "general.architecture": Typed("str", "gemma3"),
        "tokenizer.ggml.tokens": Typed("arr", words, "str"),
        "tokenizer.ggml.scores": Typed("arr", [0.0] * TOKENS, "f32"),
        "tokenizer.ggml.token_type": Typed("arr", [1] * TOKENS, "i32"),
    }
    if has_merges:
        entries["tokenizer.ggml.merges"] = Typed("arr", [f"{word} {word}" for word in words] + words[: MERGES - TOKENS], "str")
    return encode_gguf(entries)


def _read_ms(content: bytes) -> float:
    """Time of the processor, the best of some rounds: other programs do not count."""
    times = []
    for _ in range(ROUNDS):
        started_s = time.process_time()
        read_header(lambda offset, n: content[offset : offset + n], len(content), "bench.gguf")
        times.append((time.process_time() - started_s) * 1000)
    return min(times)


def _walk_ms(content: bytes) -> float:
    """The least that Python needs: one length and one step for each token."""
    unpack, times = struct.Struct("<Q").unpack_from, []
    for _ in range(ROUNDS):
        position, started_s = 64, time.process_time()
        for _token in range(TOKENS):
            unpack(content, position)
            position += 8
        times.append((time.process_time() - started_s) * 1000)
    return min(times)


def test_reading_a_large_vocabulary() -> None:
    tokens = f"{TOKENS:,} tokens"
    for name, has_merges, limit_ms in ((tokens, False, 30), (f"{tokens} and {MERGES:,} merges", True, 80)):
        content = _header(has_merges=has_merges)
        read_ms, walk_ms = _read_ms(content), _walk_ms(content)
        print_table(f"Reading a header of {name}, {len(content) / 1e6:.1f} MB", [
            (f"best of {ROUNDS}, meant to be under {limit_ms} ms", f"{read_ms:.1f} ms"),
            ("times a bare Python loop over its tokens", f"{read_ms / walk_ms:.2f}")])
