"""Several conversations in one worker: none is read again when it is gone back to, whatever its cache can rewind."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from localai_app.engine.protocol import GenerationStats, RestoreState, Sampling, SaveState, StateRestored, StateSaved
from tests.helpers.quick_model import quick_smollm2_path
from tests.helpers.random_model import write_random_model
from tests.helpers.real_models import gemma_path

pytestmark = [
    pytest.mark.model,
    pytest.mark.skipif(importlib.util.find_spec("llama_cpp") is None, reason="llama.cpp is not installed"),
]

KINDS = ("qwen3", "gpt-oss", "llama4", "gemma3n", "deepseek2", "deepseek4", "glm-dsa", "lfm2", "granitehybrid", "qwen35")
"""Plain, windowed, chunked, shared, latent, compressed, with an indexer, and four that carry a state along."""
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
    worker.load(model_path=str(quick_smollm2_path()), ctx=1024, kept_bytes=256 * MIB)
    text, stats = second_turn(worker, between=True)
    assert read(stats) < 20
    boats = worker.chat(BOATS, sampling=GREEDY, conversation="boats")[1].stats
    assert read(boats) == 1
    branch = worker.chat(FOXES, "They run.", "Why?", sampling=GREEDY, conversation="branch")[1].stats
    assert branch.reused_tokens > 130, "a branch goes on from what it has in common with its origin"
    worker.load(model_path=str(quick_smollm2_path()), ctx=1024)
    assert second_turn(worker, between=False)[0] == text, "the copy brought back is the same to the bit"
    _text, stats = second_turn(worker, between=True)
    assert read(stats) > 130, "without memory for copies the chat is read again"


def test_the_chat_used_longest_ago_goes_first(start_worker) -> None:
    worker = start_worker("llama")
    # SmolLM2 keeps 22.5 KiB a token: room for two chats of 150 to 250 tokens.
    worker.load(model_path=str(quick_smollm2_path()), ctx=1024, kept_bytes=16 * MIB)
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
    # What comes after the prompt is longer than Gemma's window of 512 tokens and a step together.
    begun, seen = "The fox and the boat. " * 20, "A new day begins at sea. " * 100
    worker.complete(begun, GREEDY)
    worker.complete(begun + seen, GREEDY)
    back, finished = worker.complete(begun, GREEDY)
    assert read(finished.stats) == (1 if kept_bytes else finished.stats.prompt_tokens)
    if kept_bytes:
        worker.load(model_path=str(gemma_path()), ctx=2048, ubatch=64)
        worker.complete(begun, GREEDY)
        assert worker.complete(begun, GREEDY)[0] == back


@pytest.mark.parametrize("architecture", KINDS)
def test_every_kind_of_cache_comes_back_as_it_was(start_worker, tmp_path: Path, architecture: str) -> None:
    """By a checkpoint, by a copy, and from disk: each time the last token is read, and the answer is the same."""
    worker = start_worker("llama")
    options = {"model_path": str(write_random_model(tmp_path / "tiny.gguf", architecture)), "ctx": 1024, "kept_bytes": 64 * MIB}
    worker.load(**options)
    prompt, state = "a b c d e f g h " * 20, str(tmp_path / "1.state")
    first = worker.complete(prompt, GREEDY)[1].stats
    assert read(first) == first.prompt_tokens > 300
    anew, by_checkpoint = worker.complete(prompt, GREEDY)
    other = worker.complete("x y z " * 30, GREEDY)[1].stats
    assert other.reused_tokens <= 2
    back, by_copy = worker.complete(prompt, GREEDY)
    assert (read(by_checkpoint.stats), read(by_copy.stats)) == (1, 1)
    worker.client.send(SaveState(id=101, conversation="", path=state))
    assert worker.wait_for(StateSaved, 101).n_tokens >= first.prompt_tokens
    worker.load(**options)
    worker.client.send(RestoreState(id=102, conversation="1", path=state))
    worker.wait_for(StateRestored, 102)
    later, by_file = worker.complete(prompt, GREEDY)
    assert read(by_file.stats) == 1
    assert anew == back == later
