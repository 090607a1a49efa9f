"""Tokens per second of a real worker at several depths and KV types, beside what is predicted for them.

For each model and KV type, one worker per depth keeps its prompt in the cache, and the workers answer in turns, so that what
else runs on the computer slows all depths alike. Of all tokens at a depth the quickest tenth counts: a deep token takes long,
so that a whole answer is hardly ever left undisturbed. Each depth is held out in turn and predicted from the measured speed at
the other two.
"""

from __future__ import annotations

import os
import queue
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from localai_app.engine.client import EngineClient
from localai_app.engine.launch import worker_command
from localai_app.engine.protocol import (
    Complete,
    Event,
    Finished,
    GenerationStats,
    KvType,
    Load,
    Loaded,
    LoadOptions,
    RequestFailed,
    Sampling,
    TextGenerated,
)
from localai_app.fit.budgets import budgets_of
from localai_app.fit.gpu_table import GpuTable
from localai_app.fit.memory import ModelMemory
from localai_app.fit.placement import Placer
from localai_app.fit.speed import speed_parts
from localai_app.fit.speed_parts import SpeedParts
from localai_app.gguf.dimensions import geometry_of
from localai_app.gguf.label import label_of_name
from localai_app.gguf.reader import read_header_file
from localai_app.gguf.tensors import weights_of
from localai_app.hardware.bandwidth import measure_memory_bandwidth
from localai_app.hardware.cpu import probe_cpu
from localai_app.hardware.memory import measure_memory
from localai_app.hardware.report import HardwareReport
from tests.bench.tables import print_table
from tests.helpers.real_models import gemma_path, smollm2_path

pytestmark = [pytest.mark.bench, pytest.mark.model, pytest.mark.timeout(1800)]

DEPTHS = (0, 1500, 6000)
KV_TYPES = (KvType.F16, KvType.Q8_0)
CTX = 8192
TOKENS = 12
"""Per answer."""
QUICK_SHARE = 0.1
ROUNDS = int(os.environ.get("LOCALAI_BENCH_ROUNDS", "40"))
WAIT_S = 600.0
MOST_OFF = 0.15
"""The held-out depth is predicted within this share of what is measured there."""
SENTENCE = " The keeper walked up the stairs and wrote down the wind, the sea and all the ships that passed in the night."


@dataclass(frozen=True)
class Measured:
    """The quick tokens at one depth: mean number of tokens before each, and seconds per token."""

    depth: float
    token_s: float
    prompt_tps: float


@dataclass(frozen=True)
class Answered:
    """One answer, and the seconds that each of its tokens took, as far as text came of it."""

    done: Finished
    token_s: tuple[float, ...]


@pytest.mark.parametrize("kv_type", KV_TYPES, ids=lambda kv_type: kv_type.value)
@pytest.mark.parametrize("model_path", [gemma_path, smollm2_path], ids=["Gemma 3 270M", "SmolLM2 135M"])
def test_speed_at_depth(
    model_path: Callable[[], Path], kv_type: KvType, tmp_path: Path, request: pytest.FixtureRequest,
) -> None:
    path = model_path()
    parts = predicted(path, kv_type)
    measured = measure(path, kv_type, tmp_path)
    rows, off = [], {}
    for index, one in enumerate(measured):
        others = [(other.depth, other.token_s) for other in measured if other is not one]
        calibrated_s = parts.token.fitted(others).at(one.depth)
        off[round(one.depth)] = error = one.token_s / calibrated_s - 1
        low, high = parts.token_range(round(one.depth)) or (0.0, 0.0)
        prompt_low, prompt_high = parts.prompt_range(max(1, round(one.depth))) or (0.0, 0.0)
        prompt = f"; prompt {one.prompt_tps:.0f} tok/s, formula {prompt_low:.0f} to {prompt_high:.0f}" if index else ""
        rows.append((
            f"depth {one.depth:.0f}",
            f"{1 / one.token_s:.1f} tok/s, formula {low:.1f} to {high:.1f}, calibrated on the other two depths "
            f"{1 / calibrated_s:.1f} ({error:+.1%} time){prompt}"))
    print_table(f"{request.node.callspec.id} on the processor, quickest tenth of the tokens of {ROUNDS} answers", rows)
    assert {depth: f"{error:+.1%}" for depth, error in off.items() if abs(error) > MOST_OFF} == {}


def predicted(path: Path, kv_type: KvType) -> SpeedParts:
    """What the formula says of the model on this computer's processor."""
    cpu = probe_cpu().cpu
    assert cpu is not None
    bandwidth = max(measure_memory_bandwidth() for _ in range(3))
    hardware = HardwareReport(
        system="linux", cpu=cpu, memory=msgspec.structs.replace(measure_memory(), bandwidth_bytes_per_s=bandwidth))
    header = read_header_file(path)
    model = ModelMemory(geometry_of(header), weights_of([header]), 512)
    placement = Placer(model, budgets_of(hardware).host).on_cpu(CTX, kv_type)
    parts = speed_parts(placement, model, label_of_name(path.name), hardware, GpuTable())
    assert parts is not None
    return parts


def measure(path: Path, kv_type: KvType, folder: Path) -> list[Measured]:
    """The quickest of several answers at each depth, the depths in turns."""
    with ExitStack() as stack:
        workers = [stack.enter_context(running_worker(path, kv_type, folder)) for _depth in DEPTHS]
        prompts = [prompt_of(depth) for depth in DEPTHS]
        # The first answer evaluates the prompt; later ones find it in the cache.
        first = [answer(*worker, prompt, 1) for worker, prompt in zip(workers, prompts, strict=True)]
        rounds = [
            [answer(*worker, prompt, number) for worker, prompt in zip(workers, prompts, strict=True)]
            for number in range(2, 2 + ROUNDS)]
    return [
        Measured(
            done.stats.prompt_tokens + done.stats.completion_tokens / 2,
            quick_token_s([seconds for one in rounds for seconds in one[index].token_s]), first[index].done.stats.prompt_tps)
        for index, done in enumerate(answered.done for answered in rounds[-1])]


def quick_token_s(samples: list[float]) -> float:
    """The time that the quickest tenth of some tokens stays below."""
    return sorted(samples)[int(len(samples) * QUICK_SHARE)]


def prompt_of(depth: int) -> str:
    """A text of about so many tokens."""
    return "It was late." + SENTENCE * (depth // 25)


@contextmanager
def running_worker(
    path: Path, kv_type: KvType, folder: Path,
) -> Iterator[tuple[EngineClient, queue.SimpleQueue[Event]]]:
    """A real worker with the model loaded, and its events."""
    events: queue.SimpleQueue[Event] = queue.SimpleQueue()
    client = EngineClient(worker_command(), cwd=folder, on_event=events.put, on_exit=lambda _outcome: None)
    client.start()
    try:
        client.send(Load(id=1, options=LoadOptions(model_path=str(path), ctx=CTX, kv_type=kv_type)))
        while not isinstance(event := events.get(timeout=WAIT_S), Loaded):
            assert not isinstance(event, RequestFailed)
        yield client, events
    finally:
        client.stop()


def answer(client: EngineClient, events: queue.SimpleQueue[Event], prompt: str, request_id: int) -> Answered:
    """One answer of `TOKENS` tokens."""
    client.send(Complete(id=request_id, prompt=prompt, sampling=Sampling(temperature=0.0, max_tokens=TOKENS)))
    token_s: list[float] = []
    before: GenerationStats | None = None
    while not isinstance(event := events.get(timeout=WAIT_S), Finished):
        assert not isinstance(event, RequestFailed)
        if isinstance(event, TextGenerated):
            if before is not None and event.stats.completion_tokens > before.completion_tokens:
                tokens = event.stats.completion_tokens - before.completion_tokens
                token_s += [(event.stats.completion_s - before.completion_s) / tokens] * tokens
            before = event.stats
    assert event.stats.completion_tokens > TOKENS / 2, "the model ended too early to be measured"
    return Answered(event, tuple(token_s))
