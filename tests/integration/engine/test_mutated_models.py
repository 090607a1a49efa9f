"""Damaged models in the real engine: it says what is wrong or dies with an outcome in words, and never anything else."""

from __future__ import annotations

import importlib.util
import sys
from collections import Counter
from pathlib import Path

import pytest

from localai_app.engine.failure import error_of
from localai_app.engine.outcome import OutcomeKind
from localai_app.engine.protocol import Loaded, RequestFailed, Sampling
from localai_app.gguf.reader import read_header_file
from tests.helpers.gguf_files import write_tiny_gguf
from tests.helpers.gguf_mutations import mutated
from tests.helpers.torture import rounds
from tests.integration.engine.conftest import RecordedWorker, StartWorker

pytestmark = [
    pytest.mark.model,
    pytest.mark.skipif(importlib.util.find_spec("llama_cpp") is None, reason="llama.cpp is not installed"),
    pytest.mark.skipif(sys.platform == "win32", reason="the memory of a worker is capped on Linux"),
    pytest.mark.timeout(1800),
]

CAP_BYTES = 2 * 1024**3


def new_worker(start_worker: StartWorker) -> RecordedWorker:
    return start_worker("llama", "--memory-cap-bytes", str(CAP_BYTES), hang_timeout_s=20.0)


def test_damaged_headers_end_in_words_in_the_engine_too(start_worker: StartWorker, tmp_path: Path) -> None:
    whole = write_tiny_gguf(tmp_path / "whole.gguf")
    content, header_end = whole.read_bytes(), read_header_file(whole).header_bytes
    path = tmp_path / "mutated.gguf"
    worker = new_worker(start_worker)
    seen: Counter[str] = Counter()
    for seed in range(rounds(20, 200)):
        path.write_bytes(mutated(content, header_end, seed))
        seen[load_and_ask(worker, path)] += 1
        if worker.outcomes:
            outcome = worker.wait_for_outcome()
            assert outcome.kind in (OutcomeKind.SIGNAL, OutcomeKind.ASSERTION, OutcomeKind.OUT_OF_MEMORY), outcome
            assert outcome.error().message
            seen["ended the worker"] += 1
            worker = new_worker(start_worker)
    print(dict(seen))
    assert seen["loaded"]
    assert seen["refused"]


def load_and_ask(worker: RecordedWorker, path: Path) -> str:
    """Load a model, and ask it if that goes well; what became of the load."""
    load_id = worker.send_load(model_path=str(path), ctx=64)
    worker.wait_until(lambda: worker.ends_of(load_id), "end of the load", 60.0)
    end = worker.ends_of(load_id)[0]
    if isinstance(end, Loaded):
        request_id = worker.send_chat("Hi", sampling=Sampling(max_tokens=2, seed=1))
        worker.wait_until(lambda: worker.ends_of(request_id), "end of the answer", 60.0)
        return "loaded"
    if isinstance(end, RequestFailed):
        error = error_of(end)
        assert error.message
        assert error.code == end.code
        return "refused"
    return "dead"
