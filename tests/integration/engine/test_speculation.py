"""Drafted tokens with real models: the same greedy text as without, counted, and switched off where they do not help."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import psutil
import pytest

from localai_app.engine.protocol import FinishReason, GenerationStats, KvType, Sampling, SelfTest, SelfTested
from localai_app.engine.tiny_model import write_tiny_model
from tests.helpers.gguf_files import TinyModel, Typed, tiny_metadata, write_tiny_gguf
from tests.helpers.real_models import gemma_path, smollm2_path

pytestmark = [
    pytest.mark.model,
    pytest.mark.skipif(importlib.util.find_spec("llama_cpp") is None, reason="llama.cpp is not installed"),
]

PARAGRAPH = (
    "The harbour of the old town lies below the hill. Every morning the fishermen sort their nets, and the gulls wait on the "
    "wall until the first baskets are carried up to the market. ")
REPEAT = f"Repeat this text word for word, twice:\n\n{PARAGRAPH}"
LIST = "one, two, three, four, five, six, seven, eight, nine, ten, one, two, three, four, five, six,"
GREEDY = Sampling(temperature=0.0, max_tokens=56)


def counts(stats: GenerationStats) -> tuple[int, int]:
    return stats.drafted_tokens, stats.accepted_tokens


@pytest.fixture
def answers(start_worker):
    """The texts and statistics of prompts with and without drafts, in one worker."""
    def ask(path: Path, prompts: tuple[str, ...], *, sampling: Sampling = GREEDY, draft: str = "", **options):
        worker = start_worker("llama")
        results = []
        for drafts in ({}, {"draft_tokens": 8, "lookup": not draft, "draft_path": draft, "draft_gain": 1.5}):
            worker.load(model_path=str(path), ctx=2048, **options, **drafts)
            results.append([worker.complete(prompt, sampling) for prompt in prompts])
        return results

    return ask


@pytest.mark.parametrize("model", [smollm2_path, gemma_path])
def test_lookup_gives_the_same_greedy_text(answers, model) -> None:
    plain, drafted = answers(model(), (LIST,))
    assert [text for text, _end in drafted] == [text for text, _end in plain]
    assert sum(end.stats.accepted_tokens for _text, end in drafted) > 0
    assert all(counts(end.stats) == (0, 0) for _text, end in plain)


@pytest.mark.parametrize("kv_type", [KvType.F16, KvType.Q8_0])
def test_an_exact_answer_stays_exact_in_a_long_context(answers, tmp_path: Path, kv_type: KvType) -> None:
    """From 512 cells on, llama.cpp divides the attention of a single token with an f16 cache among its threads."""
    tiny = write_tiny_gguf(tmp_path / "tiny.gguf", n_embd=128)
    prompts = (PARAGRAPH * 4, PARAGRAPH, "abcdefgh" * 60)
    plain, drafted = answers(tiny, prompts, sampling=Sampling(temperature=0.0, max_tokens=300), threads=2, kv_type=kv_type)
    assert plain[0][1].stats.prompt_tokens > 512
    assert [text for text, _end in drafted] == [text for text, _end in plain]


def test_a_draft_model_gives_the_same_greedy_text(answers) -> None:
    path = smollm2_path()
    plain, drafted = answers(path, (PARAGRAPH,), draft=str(path), sampling=Sampling(temperature=0.0, max_tokens=40))
    assert drafted[0][0] == plain[0][0]
    # The model is its own draft, so that nearly every token is right; that is slower, and no gain is expected of it.
    drafted_count, accepted_count = counts(drafted[0][1].stats)
    assert accepted_count > 0.8 * drafted_count > 4


def test_a_seed_gives_the_same_text(answers) -> None:
    sampling = Sampling(seed=7, temperature=0.8, max_tokens=40)
    plain, drafted = answers(smollm2_path(), (LIST,), sampling=sampling)
    assert drafted[0][0] == plain[0][0]


def test_limits_and_stop_strings_hold_in_the_middle_of_a_draft(start_worker) -> None:
    worker = start_worker("llama")
    worker.load(model_path=str(smollm2_path()), ctx=256, draft_tokens=8, lookup=True, draft_gain=1.5)
    for limit in range(20, 24):
        stats = worker.complete(LIST, Sampling(temperature=0.0, max_tokens=limit))[1].stats
        assert stats.completion_tokens == limit
    text, finished = worker.complete(LIST, Sampling(temperature=0.0, max_tokens=200, stop=("three",)))
    assert finished.reason is FinishReason.STOP
    assert "three" not in text
    _text, finished = worker.complete(LIST, Sampling(temperature=0.8, max_tokens=None))
    assert finished.reason in (FinishReason.CONTEXT, FinishReason.STOP)
    assert finished.stats.context_used <= 256
    again = worker.complete(LIST + " seven,", Sampling(temperature=0.0, max_tokens=4))[1].stats
    assert again.reused_tokens > 10


def test_drafting_is_given_up_where_it_gains_nothing(start_worker) -> None:
    """A model as its own draft costs a whole token for each drafted one: whatever is accepted, it cannot be faster."""
    path = smollm2_path()
    worker = start_worker("llama")
    worker.load(model_path=str(path), ctx=1024, draft_tokens=4, draft_path=str(path))
    stats = worker.complete(PARAGRAPH, Sampling(temperature=0.8, max_tokens=100))[1].stats
    assert stats.drafted_tokens > 0
    assert stats.accepted_tokens < 0.5 * stats.completion_tokens
    assert 0.0 < stats.draft_gain < 1.05


def test_a_model_of_another_vocabulary_is_refused_in_words(start_worker) -> None:
    worker = start_worker("llama")
    request_id = worker.send_load(model_path=str(smollm2_path()), ctx=512, draft_tokens=4, draft_path=str(gemma_path()))
    refused = worker.refusal(request_id)
    assert refused.code == "draft_refused"
    assert refused.fields["reason"] == "their tokenizers are of different kinds"
    assert worker.load(model_path=str(smollm2_path()), ctx=512).drafting == ""


def test_a_vocabulary_with_another_token_is_refused_in_words(start_worker, tmp_path: Path) -> None:
    worker = start_worker("llama")
    main, same = write_tiny_gguf(tmp_path / "main.gguf"), write_tiny_gguf(tmp_path / "same.gguf")
    loaded = worker.load(model_path=str(main), ctx=256, draft_tokens=4, draft_path=str(same))
    assert loaded.drafting == "Tokens are drafted by same.gguf."
    tokens = list(tiny_metadata(TinyModel())["tokenizer.ggml.tokens"].value)
    tokens[100] = "<other>"
    other = write_tiny_gguf(tmp_path / "other.gguf", metadata={"tokenizer.ggml.tokens": Typed("arr", tokens, "str")})
    request_id = worker.send_load(model_path=str(main), ctx=256, draft_tokens=4, draft_path=str(other))
    assert worker.refusal(request_id).fields["reason"] == "token 100 of its vocabulary is another one"


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc to see which files are mapped")
def test_a_self_test_gives_the_draft_model_back_too(start_worker, tmp_path: Path) -> None:
    path = smollm2_path().resolve()
    worker = start_worker("llama")
    worker.load(model_path=str(path), ctx=256, use_repack=False, draft_tokens=4, draft_path=str(path))

    def mapped() -> bool:
        return str(path) in {entry.path for entry in psutil.Process(worker.client.pid).memory_maps()}

    assert mapped()
    request_id = worker.new_id()
    worker.client.send(SelfTest(id=request_id, model_path=str(write_tiny_model(tmp_path))))
    worker.wait_for(SelfTested, request_id)
    assert not mapped()
