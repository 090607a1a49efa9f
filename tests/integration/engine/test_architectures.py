"""Every architecture of the catalog in llama.cpp: a tiny model with random weights loads, answers by its seed, and stops."""

from __future__ import annotations

import importlib.util
import math
from pathlib import Path

import pytest

from localai_app.engine.protocol import FinishReason, Sampling, TextGenerated
from localai_app.engine.sampling import LogitBias
from localai_app.gguf.dimensions import geometry_of
from localai_app.gguf.reader import read_header_file
from tests.helpers.random_model import catalog_architectures, small_facts, write_random_model
from tests.integration.engine.conftest import StartWorker

pytestmark = [
    pytest.mark.model,
    pytest.mark.skipif(importlib.util.find_spec("llama_cpp") is None, reason="llama.cpp is not installed"),
]

EOS = 2
NOT_YET = LogitBias(token=EOS, bias=-100.0)
AT_ONCE = LogitBias(token=EOS, bias=100.0)
N_TOKENS = 12


@pytest.mark.parametrize("architecture", catalog_architectures())
def test_a_model_of_random_weights_loads_answers_and_stops(
    architecture: str, start_worker: StartWorker, tmp_path: Path,
) -> None:
    path = write_random_model(tmp_path / "random.gguf", architecture)
    facts = small_facts(architecture)
    assert geometry_of(read_header_file(path)).n_embd == facts["n_embd"]
    worker = start_worker("llama")
    texts = []
    for seed in (1, 1, 2):
        # Loaded anew, so that the same batches are evaluated.
        loaded = worker.load(model_path=str(path), ctx=256)
        sampling = Sampling(seed=seed, max_tokens=N_TOKENS, logit_bias=(NOT_YET,), logprobs=3)
        text, finished = worker.complete("Hello", sampling)
        texts.append(text)
        assert finished.reason is FinishReason.LENGTH
        assert finished.stats.completion_tokens == N_TOKENS
    assert loaded.n_layer >= facts["n_layer"]
    assert loaded.has_chat_template
    assert texts[0] == texts[1] != texts[2]
    chances = [each.logprob for event in worker.events if isinstance(event, TextGenerated) for each in event.logprobs]
    assert len(chances) >= N_TOKENS
    assert all(math.isfinite(chance) and chance <= 0.0 for chance in chances)

    text, finished = worker.chat("Hello", sampling=Sampling(seed=1, max_tokens=N_TOKENS, logit_bias=(AT_ONCE,)))
    assert (text, finished.reason) == ("", FinishReason.STOP)
    text, finished = worker.chat("Hello", sampling=Sampling(seed=1, max_tokens=N_TOKENS, logit_bias=(NOT_YET,)))
    assert text
    assert finished.reason is FinishReason.LENGTH


def test_another_seed_makes_other_weights(tmp_path: Path) -> None:
    first, again, other = (
        write_random_model(tmp_path / f"{number}.gguf", "llama", seed).read_bytes() for number, seed in enumerate((1, 1, 2)))
    assert first == again != other
    assert len(first) == len(other)
