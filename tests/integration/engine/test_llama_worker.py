"""The llama.cpp back end with real models, compared with llama-cpp-python's own high-level class."""

from __future__ import annotations

import functools
import importlib.util
import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from localai_app.engine.failure import error_of
from localai_app.engine.outcome import OutcomeKind
from localai_app.engine.protocol import (
    Complete,
    DevicesListed,
    Finished,
    FinishReason,
    KvType,
    ListDevices,
    LoadProgressed,
    PromptProgressed,
    Ready,
    Sampling,
    Stop,
    TextGenerated,
)
from tests.helpers.fit_errors import source_rows
from tests.helpers.gguf_files import Typed, write_tiny_gguf
from tests.helpers.quick_model import quick_smollm2_path
from tests.helpers.real_models import gemma_path, smollm2_path
from tests.helpers.synthetic import synthesise, write_sparse

pytestmark = [
    pytest.mark.model,
    pytest.mark.skipif(importlib.util.find_spec("llama_cpp") is None, reason="llama.cpp is not installed"),
]

GREEDY = Sampling(temperature=0.0, max_tokens=24)
QUESTION = "Name three colours and say where they are found."
STORY = "Write a long story about a fox."


@pytest.fixture
def smollm2(start_worker) -> Iterator:
    worker = start_worker("llama")
    worker.load(model_path=str(quick_smollm2_path()), ctx=2048)
    return worker


@pytest.fixture
def tiny(start_worker, tmp_path: Path):
    """A worker with a tiny random model; the template can be given."""
    def load(template: str | None = None, ctx: int = 512, **metadata: Typed):
        extra = {"chat_template": template} if template is not None else {}
        path = write_tiny_gguf(tmp_path / "tiny.gguf", metadata=metadata, **extra)
        worker = start_worker("llama")
        worker.load(model_path=str(path), ctx=ctx)
        return worker

    return load


@functools.cache
def reference_answer(path: Path, question: str, max_tokens: int) -> str:
    """The greedy answer by llama_cpp.Llama from a cold cache, with the settings that the worker uses."""
    code = f"""
import json, llama_cpp
llama = llama_cpp.Llama({str(path)!r}, n_ctx=2048, n_threads=1, n_threads_batch=1, flash_attn=True, verbose=False)
messages = [{{"role": "user", "content": {question!r}}}]
answer = llama.create_chat_completion(messages, temperature=0.0, max_tokens={max_tokens})
print(json.dumps(answer["choices"][0]["message"]["content"]))
"""
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, timeout=120)
    answer: str = json.loads(done.stdout)
    return answer


def test_ready_and_devices(start_worker) -> None:
    worker = start_worker("llama")
    ready = worker.wait_for(Ready)
    assert ready.backend == "llama"
    assert ready.engine_build.startswith("llama-cpp-python ")
    worker.client.send(ListDevices(id=7))
    devices = worker.wait_for(DevicesListed, 7).devices
    cpu = next(device for device in devices if device.kind == "cpu")
    assert cpu.total_bytes == pytest.approx(psutil.virtual_memory().total, rel=0.02)
    assert ready.gpu_offload or all(device.kind in ("cpu", "accelerator") for device in devices)


def test_load_tells_what_was_loaded(start_worker) -> None:
    path = smollm2_path()
    worker = start_worker("llama")
    loaded = worker.load(model_path=str(path), ctx=1024, threads=0)
    assert (loaded.ctx, loaded.ctx_train, loaded.n_layer, loaded.gpu_layers) == (1024, 8192, 31, 0)
    assert loaded.has_chat_template
    assert loaded.threads == psutil.cpu_count(logical=False)
    assert loaded.model_bytes == pytest.approx(path.stat().st_size, rel=0.05)
    fractions = [event.fraction for event in worker.events if isinstance(event, LoadProgressed)]
    assert fractions[0] == 0.0
    assert fractions[-1] == 1.0
    worker.client.stop()
    assert len(worker.outcomes[0].stderr_tail) < 2000


def test_greedy_answer_is_that_of_llama_cpp_python(smollm2) -> None:
    text, finished = smollm2.chat(QUESTION, sampling=GREEDY)
    assert text == reference_answer(quick_smollm2_path(), QUESTION, 24)
    assert finished.stats.completion_tokens <= 24
    smollm2.load(model_path=str(quick_smollm2_path()), ctx=2048)
    assert smollm2.chat(QUESTION, sampling=GREEDY)[0] == text


def test_seed_makes_an_answer_repeatable(start_worker) -> None:
    answers = []
    for seed in (1, 1, 2):
        worker = start_worker("llama")
        worker.load(model_path=str(quick_smollm2_path()), ctx=512)
        answers.append(worker.chat("Tell me something.", sampling=Sampling(seed=seed, max_tokens=20))[0])
        worker.client.stop()
    assert answers[0] == answers[1] != answers[2]


def test_second_turn_reads_only_what_is_new(smollm2) -> None:
    answer, first = smollm2.chat(QUESTION, sampling=GREEDY)
    second_text, second = smollm2.chat(QUESTION, answer, "Which is the brightest?", sampling=GREEDY)
    stats = second.stats
    assert stats.reused_tokens >= first.stats.prompt_tokens + first.stats.completion_tokens - 1
    assert 0 < stats.prompt_tokens - stats.reused_tokens < 30
    assert second_text
    again = smollm2.chat(QUESTION, answer, "Which is the brightest?", sampling=GREEDY)[1].stats
    assert again.reused_tokens == again.prompt_tokens - 1
    edited = smollm2.chat(QUESTION + " Please.", sampling=GREEDY)[1].stats
    assert 0 < edited.reused_tokens < first.stats.prompt_tokens


def test_stopped_answer_can_be_continued(smollm2) -> None:
    request_id = smollm2.send_chat(STORY, sampling=Sampling(temperature=0.0))
    smollm2.wait_until(lambda: len(smollm2.text_of(request_id)) > 30, "some text")
    smollm2.client.send(Stop(id=request_id))
    begun, finished = smollm2.finish(request_id)
    assert finished.reason is FinishReason.CANCELLED
    rest, going_on = smollm2.chat(STORY, prefill=begun, sampling=GREEDY)
    stats = going_on.stats
    assert rest
    assert stats.prompt_tokens - stats.reused_tokens <= 3
    fresh, _ = smollm2.chat(STORY, sampling=Sampling(temperature=0.0, max_tokens=200))
    assert fresh.startswith(begun)


def test_stop_in_the_middle_of_the_prompt(start_worker) -> None:
    worker = start_worker("llama")
    worker.load(model_path=str(quick_smollm2_path()), ctx=8192)
    request_id = worker.send_chat("The weather is fine today. " * 400)
    worker.wait_until(
        lambda: any(isinstance(event, PromptProgressed) and event.done >= 512 for event in worker.events), "progress")
    started_s = time.perf_counter()
    worker.client.send(Stop(id=request_id))
    text, finished = worker.finish(request_id)
    assert time.perf_counter() - started_s < 0.3
    assert (text, finished.reason) == ("", FinishReason.CANCELLED)
    progress = [event for event in worker.events if isinstance(event, PromptProgressed)]
    assert progress[-1].done < progress[-1].total
    after, finished = worker.complete("France", GREEDY)
    assert finished.stats.reused_tokens == 0
    worker.load(model_path=str(quick_smollm2_path()), ctx=8192)
    assert worker.complete("France", GREEDY)[0] == after


def test_stop_while_decoding(smollm2) -> None:
    request_id = smollm2.send_chat(STORY)
    smollm2.wait_for(TextGenerated, request_id)
    started_s = time.perf_counter()
    smollm2.client.send(Stop(id=request_id))
    assert smollm2.finish(request_id)[1].reason is FinishReason.CANCELLED
    assert time.perf_counter() - started_s < 0.3


def test_context_that_fills_up(start_worker) -> None:
    worker = start_worker("llama")
    loaded = worker.load(model_path=str(quick_smollm2_path()), ctx=256)
    _text, finished = worker.complete("banana " * 60, Sampling(temperature=0.0))
    assert finished.reason is FinishReason.CONTEXT
    assert finished.stats.context_used == finished.stats.context_total == loaded.ctx
    refusal = worker.refusal(worker.send_chat("banana " * 5000))
    assert refusal.code == "prompt_too_long"
    assert "5,0" in error_of(refusal).message
    assert worker.chat("Hi", sampling=GREEDY)[0]


@pytest.mark.parametrize("kv_type", list(KvType))
def test_kv_types_and_small_batches(start_worker, kv_type: KvType) -> None:
    worker = start_worker("llama")
    worker.load(model_path=str(quick_smollm2_path()), ctx=512, kv_type=kv_type, batch=64, ubatch=32, use_mmap=False)
    request_id = worker.send_chat("What is the capital of France? " * 10, sampling=GREEDY)
    text, finished = worker.finish(request_id)
    steps = [event.done for event in worker.events if isinstance(event, PromptProgressed)]
    assert max(later - earlier for earlier, later in itertools.pairwise(steps)) <= 32
    assert steps[-1] == finished.stats.prompt_tokens
    assert text


def test_stop_string_across_tokens(smollm2) -> None:
    whole, _ = smollm2.complete("The capital of France is", GREEDY)
    middle = whole[len(whole) // 2 - 3: len(whole) // 2 + 3]
    text, finished = smollm2.complete("The capital of France is", Sampling(temperature=0.0, max_tokens=24, stop=(middle,)))
    assert text == whole[: whole.index(middle)]
    assert finished.reason is FinishReason.STOP


def test_repeat_penalty_changes_the_answer(start_worker) -> None:
    worker = start_worker("llama")
    # As Q4_0 it says something else by itself.
    worker.load(model_path=str(smollm2_path()), ctx=256)
    plain, _ = worker.complete("la la la la la la la", GREEDY)
    penalized, _ = worker.complete("la la la la la la la", Sampling(temperature=0.0, max_tokens=24, repeat_penalty=1.8))
    assert plain.count("la") > penalized.count("la")


def test_speed_figures_agree_with_the_clock(smollm2) -> None:
    started_s = time.perf_counter()
    request_id = smollm2.send_chat(STORY, sampling=Sampling(seed=3, max_tokens=100))
    _text, finished = smollm2.finish(request_id)
    elapsed_s = time.perf_counter() - started_s
    stats = finished.stats
    assert stats.ttft_s + stats.completion_s == pytest.approx(elapsed_s, rel=0.1, abs=0.03)
    assert 0 < stats.prompt_s <= stats.ttft_s


def wild(seed: int) -> Sampling:
    return Sampling(temperature=2.0, top_k=0, top_p=1.0, min_p=0.0, seed=seed, max_tokens=150)


def test_answer_survives_every_character(tiny) -> None:
    """Random weights over single bytes: broken characters in plenty, none of which may be shown."""
    worker = tiny()
    for seed in range(5):
        text, finished = worker.complete("é🙂", wild(seed))
        assert "�" not in text
        assert finished.stats.completion_tokens == 150 or finished.reason is FinishReason.STOP


def test_base_model_completes_but_does_not_chat(start_worker) -> None:
    worker = start_worker("llama")
    loaded = worker.load(model_path=str(gemma_path()), ctx=2048)
    assert not loaded.has_chat_template
    text, finished = worker.complete("The capital of France is", Sampling(temperature=0.0, max_tokens=5))
    assert text.startswith(" the capital")
    assert finished.stats.prompt_tokens == 6, "five words and one BOS token"
    refusal = worker.refusal(worker.send_chat("Hi"))
    assert refusal.code == "template_failed"
    assert "base model" in error_of(refusal).message


def test_sliding_window_model_gives_the_same_with_and_without_reuse(start_worker) -> None:
    """Gemma's window is 512 tokens: going back further than it reaches has to evaluate everything anew."""
    story = "Once upon a time there was a fox. " * 95
    worker = start_worker("llama")
    worker.load(model_path=str(gemma_path()), ctx=4096, ubatch=64)
    few = Sampling(temperature=0.0, max_tokens=4)
    cold, _ = worker.complete(story[:300], few)
    worker.complete(story, few)
    back, finished = worker.complete(story[:300], few)
    assert back == cold
    assert finished.stats.reused_tokens == 0
    _text, forward = worker.complete(story[:400], few)
    assert forward.stats.reused_tokens > 0


def test_second_load_replaces_the_first(smollm2, tmp_path: Path) -> None:
    smollm2.chat("Hi", sampling=GREEDY)
    assert smollm2.load(model_path=str(write_tiny_gguf(tmp_path / "t.gguf")), ctx=256).ctx == 256
    assert smollm2.chat("Hi", sampling=GREEDY)[1].stats.reused_tokens == 0


def test_request_before_a_load(start_worker) -> None:
    worker = start_worker("llama")
    assert worker.refusal(worker.send_chat("Hi")).code == "no_model_loaded"


def test_files_that_are_no_models(start_worker, tmp_path: Path) -> None:
    """Each is refused in words, and the worker lives on."""
    whole = smollm2_path().read_bytes()
    files = {
        "garbage.gguf": (os.urandom(4096), "not_a_gguf"),
        "empty.gguf": (b"", "not_a_gguf"),
        "text.gguf": (b"Not Found\n", "not_a_gguf"),
        "magic only.gguf": (b"GGUF", "gguf_truncated"),
        "no weights.gguf": (whole[:3_000_000], "gguf_truncated"),
        "half a header.gguf": (whole[:200_000], "gguf_truncated"),
        "wéights cut.gguf": (whole[:-1_000_000], "gguf_truncated"),
    }
    worker = start_worker("llama")
    for name, (data, code) in files.items():
        (tmp_path / name).write_bytes(data)
        refusal = worker.refusal(worker.send_load(model_path=str(tmp_path / name)))
        assert (name, refusal.code) == (name, code)
        assert name in error_of(refusal).message
    assert worker.refusal(worker.send_load(model_path=str(tmp_path))).code == "not_a_gguf"
    assert worker.refusal(worker.send_load(model_path=str(tmp_path / "gone.gguf"))).code == "model_file_missing"
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe.gguf")
        assert worker.refusal(worker.send_load(model_path=str(tmp_path / "pipe.gguf"))).code == "not_a_gguf"
    worker.load(model_path=str(write_tiny_gguf(tmp_path / "ok.gguf")), ctx=256)


def test_unknown_architecture_and_bad_devices(start_worker, tmp_path: Path) -> None:
    path = write_tiny_gguf(tmp_path / "m.gguf", metadata={"general.architecture": Typed("str", "mamba9000")})
    worker = start_worker("llama")
    refusal = worker.refusal(worker.send_load(model_path=str(path)))
    assert (refusal.code, refusal.fields["architecture"]) == ("architecture_unknown", "mamba9000")
    tiny = str(write_tiny_gguf(tmp_path / "t.gguf"))
    refusal = worker.refusal(worker.send_load(model_path=tiny, devices=("CUDA99",), gpu_layers=1))
    assert "no device called CUDA99" in error_of(refusal).message


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="RLIMIT_AS is of Linux")
def test_context_too_large_for_memory(start_worker, python_worker, tmp_path: Path) -> None:
    code = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_AS, (2 * 1024**3, 2 * 1024**3));"
        "from localai_app.engine.worker.main import main; sys.exit(main(['--backend', 'llama']))"
    )
    worker = start_worker(command=python_worker(code))
    request_id = worker.send_load(model_path=str(smollm2_path()), ctx=1_000_000)
    worker.wait_until(lambda: worker.ends_of(request_id), "end of the load")
    if worker.outcomes:
        assert worker.wait_for_outcome().kind is OutcomeKind.OUT_OF_MEMORY
    else:
        assert worker.refusal(request_id).code == "engine_out_of_memory"


@pytest.mark.skipif(os.name == "nt", reason="an open file cannot be cut short there")
def test_file_cut_short_while_in_use(start_worker, tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(smollm2_path().read_bytes())
    worker = start_worker("llama")
    worker.load(model_path=str(path), ctx=512)
    os.truncate(path, 4096)
    worker.send_chat("Hi")
    outcome = worker.wait_for_outcome()
    assert "model file changed" in outcome.error().message


def test_bos_appears_once(tiny) -> None:
    """The tiny vocabulary adds BOS by itself; a template that writes it too must not double it."""
    plain = tiny("{{ messages[0].content }}").chat("abc", sampling=Sampling(max_tokens=1))[1].stats.prompt_tokens
    written = tiny("{{ bos_token }}{{ messages[0].content }}").chat("abc", sampling=Sampling(max_tokens=1))[1].stats
    assert written.prompt_tokens == plain


@pytest.mark.skipif(os.name == "nt", reason="uses POSIX signals")
def test_kill_in_the_middle_of_a_real_answer(smollm2) -> None:
    request_id = smollm2.send_chat(STORY)
    smollm2.wait_until(lambda: len(smollm2.text_of(request_id)) > 20, "some text")
    os.kill(smollm2.client.pid, 9)
    outcome = smollm2.wait_for_outcome()
    assert outcome.kind is OutcomeKind.SIGNAL
    assert not any(isinstance(event, Finished) for event in smollm2.events)


def test_library_output_does_not_reach_the_protocol(start_worker, python_worker) -> None:
    """What C code prints to fd 1 ends in the log."""
    code = (
        "import ctypes, sys; from localai_app.engine.worker import llama_load, main;"
        "libc = ctypes.CDLL(None); old = llama_load.require_model_file;"
        "llama_load.require_model_file = lambda p: (libc.puts(b'from C'), libc.fflush(None), print('from Python'), old(p));"
        "sys.exit(main.main(['--backend', 'llama']))"
    )
    worker = start_worker(command=python_worker(code))
    worker.refusal(worker.send_load(model_path="nothing.gguf"))
    worker.client.stop()
    assert "from C" in worker.outcomes[0].stderr_tail


def test_a_model_without_a_vocabulary_refuses_in_words(start_worker, tmp_path: Path) -> None:
    header = write_sparse(tmp_path / "model.gguf", synthesise(
        next(row for row in source_rows() if row["id"] == "qwen3.5-0.8b"), "Q4_K_M"))
    worker = start_worker("llama")
    loaded = worker.load(model_path=str(header), ctx=512)
    assert not loaded.has_chat_template
    request_id = worker.new_id()
    worker.client.send(Complete(id=request_id, prompt="Hello", sampling=Sampling(max_tokens=1)))
    refusal = worker.refusal(request_id)
    assert refusal.code == "model_load_failed"
    assert "no vocabulary" in error_of(refusal).message
