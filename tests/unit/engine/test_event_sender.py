"""The worker's end of the pipe while its reader is behind: nothing of an answer is lost or told as something else."""

from __future__ import annotations

import os
import select
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from localai_app.engine.framing import decode_event
from localai_app.engine.protocol import (
    Channel,
    Event,
    Finished,
    FinishReason,
    GenerationStats,
    LossProgressed,
    QuantizeProgressed,
    TextGenerated,
    TokenLogprob,
)
from localai_app.engine.worker import channel
from localai_app.engine.worker.channel import EventSender

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="pipes cannot be asked for room there")


@pytest.mark.timeout(20)
def test_text_of_one_channel_is_joined_while_nobody_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel, "PULSE_INTERVAL_S", 0.0)
    with full_pipe() as (sender, read_rest):
        sender.send(text("I ", Channel.THINKING, logprob=-1.0))
        sender.send(text("think", Channel.THINKING, logprob=-2.0))
        sender.repeat_progress()
        sender.send(text("So", tokens=3))
        sender.send(text(" it is", tokens=4))
        sender.send(text("so", Channel.THINKING, takes_back=True))
        sender.send(text("and", Channel.THINKING))
        *texts, last = read_rest(Finished(id=1, reason=FinishReason.STOP, stats=GenerationStats()))
    assert isinstance(last, Finished)
    seen = [(event.text, event.channel, event.takes_back) for event in texts if isinstance(event, TextGenerated)]
    assert seen == [
        ("I think", Channel.THINKING, False), ("So it is", Channel.ANSWER, False), ("so", Channel.THINKING, True),
        ("and", Channel.THINKING, False)]
    thought, answered = texts[:2]
    assert isinstance(thought, TextGenerated)
    assert isinstance(answered, TextGenerated)
    assert [entry.logprob for entry in thought.logprobs] == [-1.0, -2.0]
    assert answered.stats.completion_tokens == 4


def test_sign_of_life_says_nothing_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(channel, "PULSE_INTERVAL_S", 0.0)
    read_fd, write_fd = os.pipe()
    sender = EventSender(write_fd)
    sender.send(text("so", Channel.THINKING, logprob=-1.0, takes_back=True))
    sender.repeat_progress()
    os.close(write_fd)
    with os.fdopen(read_fd, "rb") as stream:
        first, repeated = [decode_event(line.rstrip()) for line in stream]
    assert isinstance(first, TextGenerated)
    assert isinstance(repeated, TextGenerated)
    assert first.takes_back
    assert (repeated.text, repeated.logprobs, repeated.takes_back) == ("", (), False)
    assert repeated.channel is Channel.THINKING


@pytest.mark.parametrize("progress", [
    LossProgressed(id=1, load_fraction=1.0, done=5, total=9), QuantizeProgressed(id=1, fraction=0.5)])
def test_work_on_files_gives_signs_of_life(
    monkeypatch: pytest.MonkeyPatch, progress: LossProgressed | QuantizeProgressed,
) -> None:
    monkeypatch.setattr(channel, "PULSE_INTERVAL_S", 0.0)
    read_fd, write_fd = os.pipe()
    sender = EventSender(write_fd)
    sender.send(progress)
    sender.repeat_progress()
    os.close(write_fd)
    with os.fdopen(read_fd, "rb") as stream:
        assert [decode_event(line.rstrip()) for line in stream] == [progress, progress]


def text(
    words: str, kind: Channel = Channel.ANSWER, *, tokens: int = 0, logprob: float | None = None, takes_back: bool = False,
) -> TextGenerated:
    logprobs = () if logprob is None else (TokenLogprob(text=words, logprob=logprob),)
    return TextGenerated(
        id=1, text=words, channel=kind, takes_back=takes_back, logprobs=logprobs,
        stats=GenerationStats(completion_tokens=tokens))


@contextmanager
def full_pipe() -> Iterator[tuple[EventSender, Callable[[Event], list[Event]]]]:
    """A sender whose pipe has no room, and what sends a last event while everything is read."""
    read_fd, write_fd = os.pipe()
    while select.select([], [write_fd], [], 0)[1]:
        os.write(write_fd, b"\n" * select.PIPE_BUF)
    sender = EventSender(write_fd)
    received = bytearray()

    def read_all() -> None:
        while data := os.read(read_fd, 65536):
            received.extend(data)

    def read_rest(last: Event) -> list[Event]:
        reader = threading.Thread(target=read_all)
        reader.start()
        sender.send(last)
        os.close(write_fd)
        reader.join()
        return [decode_event(line) for line in bytes(received).split(b"\n") if line]

    yield sender, read_rest
    os.close(read_fd)
