"""A chat's state on disk: a worker that is started anew goes on with the chat without reading it again."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from localai_app.engine.protocol import RestoreState, Sampling, SaveState, StateRestored, StateSaved
from tests.helpers.quick_model import quick_smollm2_path
from tests.helpers.real_models import gemma_path
from tests.helpers.torture import rounds

pytestmark = [
    pytest.mark.model,
    pytest.mark.skipif(importlib.util.find_spec("llama_cpp") is None, reason="llama.cpp is not installed"),
]

GREEDY = Sampling(temperature=0.0, max_tokens=6)
MIB = 1024**2
LONG_SENTENCES, LONG_TOKENS = rounds(85, 250), rounds(1000, 3000)
"""3,000 tokens where the whole number is wanted; what does not grow with the chat weighs more in a shorter one."""
STORY = "Every boat in the harbour has a name and a small light. " * 10


def save(worker, path: Path, conversation: str = "7") -> StateSaved:
    request_id = worker.new_id()
    worker.client.send(SaveState(id=request_id, conversation=conversation, path=str(path)))
    return worker.wait_for(StateSaved, request_id)


def restore(worker, path: Path) -> int:
    request_id = worker.new_id()
    worker.client.send(RestoreState(id=request_id, conversation="7", path=str(path)))
    return worker.wait_for(StateRestored, request_id).n_tokens


def test_a_chat_goes_on_after_its_worker_ended(start_worker, tmp_path: Path) -> None:
    path = tmp_path / "states" / "7.state"
    options = {"model_path": str(quick_smollm2_path()), "ctx": 512}
    worker = start_worker("llama")
    worker.load(**options)
    assert save(worker, path).n_bytes == 0, "a chat that was never answered has no state"
    answer, first = worker.chat(STORY, sampling=GREEDY, conversation="7")
    saved = save(worker, path)
    assert saved.n_tokens == first.stats.prompt_tokens + first.stats.completion_tokens - 1
    assert saved.n_bytes == path.stat().st_size
    kept, _ = worker.chat(STORY, answer, "Why?", sampling=GREEDY, conversation="7")
    worker.client.stop()

    worker = start_worker("llama")
    worker.load(**options)
    assert restore(worker, path) == saved.n_tokens
    assert restore(worker, path) == 0, "it is held already"
    text, second = worker.chat(STORY, answer, "Why?", sampling=GREEDY, conversation="7")
    assert second.stats.reused_tokens == saved.n_tokens
    assert text == kept, "the same to the bit as if it had never been unloaded"

    worker.load(model_path=str(quick_smollm2_path()), ctx=1024)
    assert restore(worker, path) == 0
    assert not path.exists(), "of no use to another context"


@pytest.mark.parametrize("damage", [lambda data: data[:-1], lambda _data: b"no state", lambda data: data[:-9] + b"123456789"])
def test_a_damaged_state_is_removed_and_the_chat_is_read(
    start_worker, tmp_path: Path, damage: Callable[[bytes], bytes],
) -> None:
    path = tmp_path / "7.state"
    worker = start_worker("llama")
    worker.load(model_path=str(quick_smollm2_path()), ctx=512)
    worker.chat(STORY, sampling=GREEDY, conversation="7")
    save(worker, path)
    path.write_bytes(damage(path.read_bytes()))
    worker.load(model_path=str(quick_smollm2_path()), ctx=512)
    assert restore(worker, path) == 0
    assert not path.exists()
    assert worker.chat(STORY, sampling=GREEDY, conversation="7")[1].stats.reused_tokens == 0


def test_a_checkpoint_comes_back_as_well(start_worker, tmp_path: Path) -> None:
    worker = start_worker("llama")
    options = {"model_path": str(gemma_path()), "ctx": 1024, "ubatch": 64, "kept_bytes": 64 * MIB}
    worker.load(**options)
    long_answer = Sampling(temperature=0.0, max_tokens=1)
    worker.complete(STORY * 6, long_answer)
    worker.complete(STORY * 6 + "A new day begins. " * 25, long_answer)
    saved = save(worker, tmp_path / "state", conversation="")
    assert saved.n_tokens > 512
    worker.load(**options)
    worker.complete("x", long_answer)
    request_id = worker.new_id()
    worker.client.send(RestoreState(id=request_id, conversation="other", path=str(tmp_path / "state")))
    assert worker.wait_for(StateRestored, request_id).n_tokens == saved.n_tokens
    again = worker.complete(STORY * 6 + "A new day begins. " * 25, long_answer)[1].stats
    assert again.prompt_tokens - again.reused_tokens == 1


@pytest.mark.timeout(600)
def test_a_long_chat_is_read_once(start_worker, tmp_path: Path) -> None:
    """In the same run: its second turn, and its third one after a restart, beside the cold read of the first."""
    path = tmp_path / "7.state"
    worker = start_worker("llama")
    options = {"model_path": str(quick_smollm2_path()), "ctx": 4096}
    worker.load(**options)
    boats = "".join(f"Boat {number} has a small light and a name. " for number in range(LONG_SENTENCES))
    turns = [boats + "How many are there?"]
    stats = []
    for question in ("And where?", "And why?", ""):
        request_id = worker.send_chat(*turns, sampling=GREEDY, conversation="7")
        worker.wait_until(lambda: worker.ends_of(request_id), "answer", 300)  # noqa: B023 - called at once
        answer, finished = worker.finish(request_id)
        stats.append(finished.stats)
        turns += [answer, question]
        if len(stats) == 2:
            assert save(worker, path).n_tokens > LONG_TOKENS
            worker.client.stop()
            worker = start_worker("llama")
            worker.load(**options)
            loaded_s = time.perf_counter()
            assert restore(worker, path) > LONG_TOKENS
            restored_s = time.perf_counter() - loaded_s
    cold, second, third = stats
    assert cold.prompt_tokens - cold.reused_tokens == cold.prompt_tokens > LONG_TOKENS
    assert second.prompt_tokens - second.reused_tokens < 20
    assert third.prompt_tokens - third.reused_tokens < 20
    from_disk_s = restored_s + third.ttft_s
    print(f"{cold.prompt_tokens} tokens: {cold.ttft_s:.2f} s read cold, {second.ttft_s:.3f} s as second turn, "
          f"{from_disk_s:.3f} s from disk ({path.stat().st_size / 1e6:.0f} MB)")
    assert second.ttft_s < cold.ttft_s / 10
    assert from_disk_s < cold.ttft_s / 10
