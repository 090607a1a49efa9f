"""What a smaller file loses, measured by a worker, against llama.cpp's definition on the same text."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import psutil
import pytest

from localai_app.compare.loss import LossFigures, figures_of
from localai_app.engine.launch import worker_command
from localai_app.engine.protocol import (
    LoadOptions,
    LossProgressed,
    LossScored,
    Quantize,
    Quantized,
    Ready,
    RequestFailed,
    ScoreLoss,
    Stop,
)
from localai_app.engine.worker.scoring_model import LOGITS_BYTES, rows_within
from localai_app.paths import resources_dir
from tests.helpers.full_logits_program import full_logits
from tests.helpers.real_models import gemma_path, smollm2_path
from tests.integration.engine.conftest import RecordedWorker

CTX, CHUNKS = 64, 2
LABELS = ("Q8_0", "Q4_0", "Q2_K")
PATIENCE_S = 240.0
Array = npt.NDArray[Any]


@contextmanager
def llama_worker(folder: Path) -> Iterator[RecordedWorker]:
    """A worker with llama.cpp, ended with the block."""
    running = RecordedWorker(worker_command("llama"), folder / "worker")
    running.client.start()
    try:
        running.wait_for(Ready)
        yield running
    finally:
        running.client.stop()


@pytest.fixture(scope="module")
def text_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    text = (resources_dir() / "texts" / "mixed-english.txt").read_text(encoding="utf-8")
    path = tmp_path_factory.mktemp("text") / "text.txt"
    path.write_text(text[:6000], encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def requantized(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """SmolLM2 as llama.cpp's quantizer makes it."""
    folder = tmp_path_factory.mktemp("requantized")
    made = {}
    with llama_worker(folder) as worker:
        for label in LABELS:
            target = folder / f"{label}.gguf"
            quantize(worker, smollm2_path(), target, label)
            made[label] = target
    return made


def quantize(worker: RecordedWorker, source: Path, target: Path, label: str) -> Quantized:
    request_id = worker.new_id()
    worker.client.send(Quantize(
        id=request_id, source_path=str(source), target_path=str(target), label=label, metadata={"localai.test": "from Q4_1"}))
    return worker.wait_for(Quantized, request_id, PATIENCE_S)


def send_score(worker: RecordedWorker, reference: Path, variant: Path, text: str, **options: Any) -> int:
    request_id = worker.new_id()
    one, other = (LoadOptions(model_path=str(path), ctx=CTX, threads=1) for path in (reference, variant))
    defaults: dict[str, Any] = {"ctx": CTX, "max_tokens": CTX * CHUNKS, "generated_tokens": 4}
    worker.client.send(ScoreLoss(id=request_id, reference=one, variant=other, text=text, **(defaults | options)))
    return request_id


def score(worker: RecordedWorker, reference: Path, variant: Path, text: str, **options: Any) -> LossScored:
    return worker.wait_for(LossScored, send_score(worker, reference, variant, text, **options), PATIENCE_S)


def log_softmax(logits: Array) -> Array:
    wide = logits.astype(np.float64)
    wide -= wide.max(axis=-1, keepdims=True)
    wide -= np.log(np.exp(wide).sum(axis=-1, keepdims=True))
    return wide


def by_definition(reference: Array, variant: Array, tokens: Array) -> dict[str, float]:
    """The figures of tools/perplexity from full logits (chunks, rows, vocabulary), straight from their definition."""
    n_vocab = reference.shape[-1]
    following = tokens[:, tokens.shape[1] // 2 + 1 :].reshape(-1)
    kld_list, nll_list, base_list, same = [], [], [], []
    for one, two, token in zip(reference.reshape(-1, n_vocab), variant.reshape(-1, n_vocab), following, strict=True):
        base, other = log_softmax(one), log_softmax(two)
        kld_list.append((np.exp(base) * (base - other)).sum())
        nll_list.append(-other[token])
        base_list.append(-base[token])
        same.append(base.argmax() == other.argmax())
    klds, nll, base_nll = np.array(kld_list), np.array(nll_list), np.array(base_list)
    n = len(klds)
    return {
        "kld": klds.mean(), "kld_error": klds.std(ddof=1) / math.sqrt(n), "kld_median": float(np.median(klds)),
        "kld_p99": float(np.quantile(klds, 0.99)), "kld_max": klds.max(), "perplexity": math.exp(nll.mean()),
        "base_perplexity": math.exp(base_nll.mean()),
        "log_ratio_error": (nll - base_nll).std(ddof=1) / math.sqrt(n),
        "same_top": float(np.mean(same)),
        "p_diff_rms": math.sqrt(((np.exp(-nll) - np.exp(-base_nll)) ** 2).mean())}


def figures_to_compare(figures: LossFigures) -> dict[str, float]:
    return {
        "kld": figures.kld.value, "kld_error": figures.kld.error, "kld_median": figures.kld_median, "kld_p99": figures.kld_p99,
        "kld_max": figures.kld_max, "perplexity": figures.variant_perplexity.value,
        "base_perplexity": figures.reference_perplexity.value, "log_ratio_error": figures.log_ratio.error,
        "same_top": figures.same_top.value, "p_diff_rms": figures.p_diff_rms.value}


def test_figures_equal_the_definition_of_the_perplexity_tool(
    requantized: dict[str, Path], text_path: Path, tmp_path: Path,
) -> None:
    text = text_path.read_text(encoding="utf-8")
    (reference, tokens), *others = full_logits(
        [smollm2_path(), *(requantized[label] for label in LABELS)], text_path, tmp_path, ctx=CTX, n_chunks=CHUNKS)
    klds = []
    with llama_worker(tmp_path) as worker:
        for label, (logits, same_tokens) in zip(LABELS, others, strict=True):
            assert (same_tokens == tokens).all()
            scored = score(worker, smollm2_path(), requantized[label], text)
            assert scored.sums is not None
            assert (scored.sums.count, scored.n_tokens, scored.ctx) == (CHUNKS * (CTX // 2 - 1), CHUNKS * CTX, CTX)
            expected = by_definition(reference, logits, tokens)
            measured = figures_to_compare(figures_of(scored.sums))
            print(label, {name: (round(measured[name], 6), round(expected[name], 6)) for name in expected})
            assert measured == pytest.approx(expected, rel=0.01), label
            klds.append(measured["kld"])
            assert scored.variant is not None
            assert scored.variant.generated_tokens == 2
            assert scored.variant.generated_s > 0
            assert scored.variant.read_tokens == CHUNKS * CTX
    assert 0 < klds[0] < klds[1] < klds[2]


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[RecordedWorker]:
    with llama_worker(tmp_path) as running:
        yield running


def test_a_file_loses_nothing_against_itself(worker: RecordedWorker, text_path: Path) -> None:
    text = text_path.read_text(encoding="utf-8")
    scored = score(worker, smollm2_path(), smollm2_path(), text, max_tokens=CTX)
    assert scored.sums is not None
    assert abs(scored.sums.kld) < 1e-9
    assert scored.sums.same_top == scored.sums.count == CTX // 2 - 1
    seen = [event for event in worker.events if isinstance(event, LossProgressed)]
    assert seen[-1].load_fraction == 1.0
    assert all(one.done <= two.done for one, two in itertools.pairwise(seen))


def test_memory_is_bounded_with_a_large_vocabulary(worker: RecordedWorker, text_path: Path, tmp_path: Path) -> None:
    """The rows of half a chunk of 256 would take 128 MiB a model here, twice in llama.cpp: 512 MiB for both."""
    variant = tmp_path / "gemma-Q3_K_S.gguf"
    quantize(worker, gemma_path(), variant, "Q3_K_S")
    assert worker.client.pid is not None
    process = psutil.Process(worker.client.pid)
    request_id = send_score(
        worker, gemma_path(), variant, text_path.read_text(encoding="utf-8"), ctx=256, max_tokens=256, generated_tokens=0)
    own_bytes: list[tuple[int, int]] = []

    def is_over() -> bool:
        memory = process.memory_info()
        # Without the pages of the mapped files, which are not the worker's own.
        done = next((event.done for event in reversed(worker.events) if isinstance(event, LossProgressed)), 0)
        own_bytes.append((done, memory.rss - memory.shared))
        return any(isinstance(event, LossScored) for event in worker.events)

    worker.wait_until(is_over, "LossScored", PATIENCE_S)
    scored = worker.wait_for(LossScored, request_id)
    loaded = max(own for done, own in own_bytes if done == 0)
    growth = max(own for _done, own in own_bytes) - loaded
    print("own memory, MiB: loaded", loaded >> 20, "and while scoring", growth >> 20, "more")
    # 128 MiB a model, numpy, and some rows in 64 bits.
    assert growth < 320 * 2**20

    # Read in slices, it still is the definition.
    slice_rows = rows_within(LOGITS_BYTES, 262_144)
    ((reference, tokens), (logits, _tokens)) = full_logits(
        [gemma_path(), variant], text_path, tmp_path, ctx=256, n_chunks=1, step=slice_rows)
    assert scored.sums is not None
    expected, measured = by_definition(reference, logits, tokens), figures_to_compare(figures_of(scored.sums))
    print({name: (round(measured[name], 6), round(float(expected[name]), 6)) for name in expected})
    assert measured == pytest.approx(expected, rel=0.01)


def test_it_can_be_stopped_and_the_worker_lives_on(worker: RecordedWorker, text_path: Path) -> None:
    text = text_path.read_text(encoding="utf-8")
    request_id = send_score(worker, smollm2_path(), smollm2_path(), text * 4, max_tokens=10**6)
    worker.wait_until(
        lambda: any(isinstance(event, LossProgressed) and event.done > 0 for event in worker.events), "progress", PATIENCE_S)
    worker.client.send(Stop(id=request_id))
    stopped = worker.wait_for(LossScored, request_id, PATIENCE_S)
    assert stopped.sums is None
    assert worker.load(model_path=str(smollm2_path()), ctx=256).ctx == 256


def failure_of(worker: RecordedWorker, request_id: int) -> RequestFailed:
    return worker.wait_for(RequestFailed, request_id, PATIENCE_S)


def test_what_cannot_be_measured_is_said_in_words(
    worker: RecordedWorker, requantized: dict[str, Path], text_path: Path, tmp_path: Path,
) -> None:
    text = text_path.read_text(encoding="utf-8")
    different = failure_of(worker, send_score(worker, smollm2_path(), gemma_path(), text))
    assert different.code == "loss_refused"
    assert "49,152 entries in one and 262,144 in the other" in different.fields["reason"]
    short = failure_of(worker, send_score(worker, smollm2_path(), requantized["Q4_0"], "Only a few words."))
    assert (short.code, short.fields["needed"]) == ("text_too_short", str(CTX))
    cut = tmp_path / "cut.gguf"
    cut.write_bytes(requantized["Q4_0"].read_bytes()[:50_000_000])
    assert failure_of(worker, send_score(worker, smollm2_path(), cut, text)).code == "gguf_truncated"
    missing = failure_of(worker, send_score(worker, tmp_path / "none.gguf", cut, text))
    assert missing.code == "model_file_missing"
    broken = failure_of(worker, send_score(worker, smollm2_path(), with_nan(requantized["Q8_0"], tmp_path), text))
    assert broken.code == "loss_refused"
    assert "not numbers" in broken.fields["reason"]
    assert not worker.outcomes


def with_nan(path: Path, folder: Path) -> Path:
    """A copy whose final norm, a vector of 32-bit numbers, is not a number."""
    from localai_app.gguf.reader import read_header_file

    header = read_header_file(path)
    norm = next(tensor for tensor in header.tensors if tensor.name == "output_norm.weight")
    data = bytearray(path.read_bytes())
    start = header.data_start + norm.offset
    data[start : start + 4 * norm.n_elements] = np.full(norm.n_elements, np.nan, dtype=np.float32).tobytes()
    target = folder / "nan.gguf"
    target.write_bytes(data)
    return target
