"""How much the worker's own loop costs beside llama.cpp; prints figures. Run with `-m bench`."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from localai_app.engine.protocol import LoadOptions, Sampling
from localai_app.engine.worker.answer import AnswerLoop
from localai_app.engine.worker.channel import EventSender
from localai_app.engine.worker.llama import LlamaBackend
from localai_app.engine.worker.llama_model import LlamaModel
from localai_app.engine.worker.sampler import TokenSampler
from localai_app.engine.worker.stop_flag import StopFlags
from tests.helpers.real_models import gemma_path, smollm2_path

pytestmark = [pytest.mark.model, pytest.mark.bench]

TOKENS = 128
ROUNDS = 6
PROMPT = "The history of the lighthouse begins"


@pytest.fixture(autouse=True)
def only_on_demand(request: pytest.FixtureRequest) -> None:
    if "bench" not in request.config.option.markexpr:
        pytest.skip("figures are taken with `-m bench`, on an otherwise idle computer")


@pytest.fixture
def drained_pipe() -> Iterator[int]:
    """The writing end of a pipe that somebody reads."""
    read_fd, write_fd = os.pipe()
    reader = threading.Thread(target=lambda: [None for _ in iter(lambda: os.read(read_fd, 65536), b"")])
    reader.start()
    yield write_fd
    os.close(write_fd)
    reader.join()
    os.close(read_fd)


@pytest.mark.parametrize("path_of", [smollm2_path, gemma_path], ids=["smollm2", "gemma"])
@pytest.mark.parametrize(
    "sampling",
    [Sampling(temperature=0.0, max_tokens=TOKENS), Sampling(seed=1, max_tokens=TOKENS)],
    ids=["greedy", "default"],
)
def test_loop_keeps_the_speed_of_llama_cpp(path_of: Any, sampling: Sampling, drained_pipe: int) -> None:
    backend, model = load(path_of())
    sender = EventSender(drained_pipe)
    bare_s, worker_s = [], []
    for _ in range(ROUNDS):
        bare_s.append(bare_loop(model, sampling))
        worker_s.append(worker_loop(backend, model, sampling, sender))
    model.free()
    ratio = min(bare_s) / min(worker_s)
    print(f"\nbare {TOKENS / min(bare_s):.0f} tok/s, worker {TOKENS / min(worker_s):.0f}, ratio {ratio:.3f}")
    assert ratio >= 0.95


def load(path: Path) -> tuple[LlamaBackend, LlamaModel]:
    backend = LlamaBackend(StopFlags())
    backend.load(1, LoadOptions(model_path=str(path), ctx=2048), lambda _fraction: None)
    assert backend._model is not None
    return backend, backend._model


def bare_loop(model: LlamaModel, sampling: Sampling) -> float:
    """Seconds of decoding and sampling TOKENS tokens and nothing else."""
    import ctypes

    library = model.library
    model.truncate_cache(0)
    tokens = model.tokenize_start(PROMPT)
    sampler = TokenSampler(library, model, sampling)
    prompt = (ctypes.c_int32 * len(tokens))(*tokens)
    assert library.llama_decode(model.context, library.llama_batch_get_one(prompt, len(tokens))) == 0
    one = (ctypes.c_int32 * 1)(sampler.sample(model.context))
    batch = library.llama_batch_get_one(one, 1)
    started_s = time.perf_counter()
    for _ in range(TOKENS - 1):
        assert library.llama_decode(model.context, batch) == 0
        one[0] = sampler.sample(model.context)
    elapsed_s = time.perf_counter() - started_s
    sampler.close()
    model.truncate_cache(0)
    return elapsed_s


def worker_loop(backend: LlamaBackend, model: LlamaModel, sampling: Sampling, sender: EventSender) -> float:
    """The same by the worker's loop, as it counts itself."""
    model.truncate_cache(0)
    source = backend.prepare_completion(PROMPT, sampling)
    loop = AnswerLoop(1, source, sampling, sender, StopFlags())
    loop.run(time.perf_counter())
    stats = loop._stats()
    assert stats.completion_tokens > TOKENS / 2
    return stats.completion_s * (TOKENS - 1) / (stats.completion_tokens - 1)
