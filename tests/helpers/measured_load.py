"""Loads a model in a worker of its own, has it read a prompt, and says what was allocated and what the process grew by."""

from __future__ import annotations

import queue
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import psutil

from localai_app.engine.client import EngineClient
from localai_app.engine.launch import worker_command
from localai_app.engine.protocol import (
    Complete,
    Event,
    Finished,
    Load,
    Loaded,
    LoadOptions,
    PlannedBuffer,
    Ready,
    RequestFailed,
    Sampling,
)

WAIT_S = 60.0
SENTENCE = "The keeper of the lighthouse counts the ships that pass, and writes their number down. "
PROMPT = SENTENCE * 24
"""Nearly one ubatch of 512 tokens with the vocabularies of both real models."""
E = TypeVar("E", bound=Event)


@dataclass(frozen=True)
class MeasuredLoad:
    """`growth_bytes`: main memory of the worker after a prompt, less that of the started worker before the load."""

    buffers: tuple[PlannedBuffer, ...]
    growth_bytes: int
    prompt_tokens: int
    loaded: Loaded


def measured_load(options: LoadOptions, folder: Path) -> MeasuredLoad:
    """One load in a fresh worker; fails the test where it does not load or answer."""
    events: queue.SimpleQueue[Event] = queue.SimpleQueue()
    client = EngineClient(worker_command(), cwd=folder, on_event=events.put, on_exit=lambda _outcome: None)
    client.start()
    try:
        _next(events, Ready)
        process = psutil.Process(client.pid)
        before_bytes = process.memory_info().rss
        client.send(Load(id=1, options=options))
        loaded = _next(events, Loaded)
        client.send(Complete(id=2, prompt=PROMPT, sampling=Sampling(temperature=0.0, max_tokens=1)))
        finished = _next(events, Finished)
        grown_bytes = process.memory_info().rss - before_bytes
    finally:
        client.stop()
    return MeasuredLoad(loaded.buffers, grown_bytes, finished.stats.prompt_tokens, loaded)


def loaded_buffers(options: LoadOptions, folder: Path) -> tuple[PlannedBuffer, ...]:
    """What llama.cpp allocated in one load in a fresh worker; fails the test where it does not load."""
    events: queue.SimpleQueue[Event] = queue.SimpleQueue()
    client = EngineClient(worker_command(), cwd=folder, on_event=events.put, on_exit=lambda _outcome: None)
    client.start()
    try:
        client.send(Load(id=1, options=options))
        return _next(events, Loaded).buffers
    finally:
        client.stop()


def _next(events: queue.SimpleQueue[Event], kind: type[E]) -> E:
    while not isinstance(event := events.get(timeout=WAIT_S), kind):
        assert not isinstance(event, RequestFailed), event
    return event

