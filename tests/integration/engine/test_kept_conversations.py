"""Several conversations in one worker: none is read again when it is gone back to, whatever its cache can rewind."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from localai_app.engine.protocol import GenerationStats, Sampling
from tests.helpers.gguf_architectures import write_architecture
from tests.helpers.real_models import gemma_path, smollm2_path

pytestmark = [
    pytest.mark.model,
    pytest.mark.skipif(importlib.util.find_spec("llama_cpp") is None, reason="llama.cpp is not installed"),
]

GREEDY = Sampling(temperature=0.0, max_tokens=8)
MIB = 1024**2
FOXES = "Foxes live in forests and on the edge of towns. " * 12
BOATS = "Small boats leave the harbour before the sun is up. " * 12


def read(stats: GenerationStats) -> int:
    """Prompt tokens that were evaluated."""
    return stats.prompt_tokens - stats.reused_tokens


def second_turn(worker, *, between: bool) -> tuple[str, GenerationStats]:
    """The second answer about foxes, with another chat in between or not."""
    answer, _first = worker.chat(FOXES, sampling=GREEDY, conversation="foxes")
    if between:
        worker.chat(BOATS, sampling=GREEDY, conversation="boats")
    text, finished = worker.chat(FOXES, answer, "Where?", sampling=GREEDY, conversation="foxes")
    return text, finished.stats


def test_going_back_to_a_chat_reads_only_what_is_new(start_worker) -> None:
    worker = start_worker("llama")
    worker.load(model_path=str(smollm2_path()), ctx=1024, kept_bytes=256 * MIB)
    text, stats = second_turn(worker, between=True)
    assert read(stats) < 20
    boats = worker.chat(BOATS, sampling=GREEDY, conversation="boats")[1].stats
    assert read(boats) == 1
    branch = worker.chat(FOXES, "They run.", "Why?", sampling=GREEDY, conversation="branch")[1].stats
    assert branch.reused_tokens > 130, "a branch goes on from what it has in common with its origin"
    worker.load(model_path=str(smollm2_path()), ctx=1024)
    assert second_turn(worker, between=False)[0] == text, "the copy brought back is the same to the bit"
    _text, stats = second_turn(worker, between=True)
    assert read(stats) > 130, "without memory for copies the chat is read again"


def test_the_chat_used_longest_ago_goes_first(start_worker) -> None:
    worker = start_worker("llama")
    # SmolLM2 keeps 22.5 KiB a token: room for two chats of 150 to 250 tokens.
    worker.load(model_path=str(smollm2_path()), ctx=1024, kept_bytes=16 * MIB)
    for topic in ("foxes", "boats", "trees", "stars"):
        worker.chat(f"All about {topic}: " + FOXES, sampling=GREEDY, conversation=topic)
    reads = [
        read(worker.chat(f"All about {topic}: " + FOXES, sampling=GREEDY, conversation=topic)[1].stats)
        for topic in ("boats", "foxes")]
    assert reads[0] == 1
    assert reads[1] > 130


@pytest.mark.parametrize("kept_bytes", [0, 64 * MIB])
def test_sliding_window_goes_back_to_the_end_of_a_prompt(start_worker, kept_bytes: int) -> None:
    worker = start_worker("llama")
    worker.load(model_path=str(gemma_path()), ctx=2048, ubatch=64, kept_bytes=kept_bytes)
    begun, seen = "The fox and the boat. " * 100, "A new day begins at sea. " * 60
    worker.complete(begun, GREEDY)
    worker.complete(begun + seen, GREEDY)
    back, finished = worker.complete(begun, GREEDY)
    assert read(finished.stats) == (1 if kept_bytes else finished.stats.prompt_tokens)
    if kept_bytes:
        worker.load(model_path=str(gemma_path()), ctx=2048, ubatch=64)
        worker.complete(begun, GREEDY)
        assert worker.complete(begun, GREEDY)[0] == back


@pytest.mark.parametrize("architecture", ["mamba", "lfm2"])
def test_state_that_cannot_go_back(start_worker, tmp_path: Path, architecture: str) -> None:
    worker = start_worker("llama")
    path = write_architecture(tmp_path / "tiny.gguf", architecture)
    worker.load(model_path=str(path), ctx=1024, kept_bytes=64 * MIB)
    first = worker.complete("a b c d e f g h " * 20, GREEDY)[1].stats
    again = worker.complete("a b c d e f g h " * 20, GREEDY)[1].stats
    assert (read(first), read(again)) == (first.prompt_tokens, 1)
    longer = worker.complete("a b c d e f g h " * 22, GREEDY)[1].stats
    assert longer.reused_tokens >= first.prompt_tokens - 1
    other = worker.complete("x y z " * 30, GREEDY)[1].stats
    assert other.reused_tokens == 0
    back = worker.complete("a b c d e f g h " * 22, GREEDY)[1].stats
    assert read(back) == 1
