"""The client and a real worker process with the echo back end: the ordinary course of things."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from localai_app.engine.client import EngineClient
from localai_app.engine.framing import decode_event, encode_line
from localai_app.engine.launch import worker_command
from localai_app.engine.outcome import OutcomeKind
from localai_app.engine.protocol import (
    PROTOCOL_VERSION,
    Complete,
    DevicesListed,
    Finished,
    FinishReason,
    ListDevices,
    LoadProgressed,
    PromptProgressed,
    Ready,
    Sampling,
    Shutdown,
    Stop,
    TextGenerated,
)
from localai_app.engine.worker.echo import sample_text, split_pieces
from localai_app.errors import AppError
from tests.helpers.orphans import outlives_its_parent

GREEDY = Sampling(temperature=0.0)


def test_worker_introduces_itself(start_worker) -> None:
    worker = start_worker()
    ready = worker.wait_for(Ready)
    assert (ready.protocol, ready.backend, ready.pid) == (PROTOCOL_VERSION, "echo", worker.client.pid)
    assert worker.client.is_running


def test_load_reports_progress_at_most_every_100_ms(start_worker) -> None:
    worker = start_worker("echo", "--load-s", "0.5")
    loaded = worker.load(ctx=1234)
    fractions = [event.fraction for event in worker.events if isinstance(event, LoadProgressed)]
    assert loaded.ctx == 1234
    assert loaded.load_s >= 0.5
    assert fractions == sorted(fractions)
    assert (fractions[0], fractions[-1]) == (0.0, 1.0)
    assert 3 <= len(fractions) <= 8


def test_answer_is_the_text_of_the_back_end(start_worker) -> None:
    worker = start_worker()
    text, finished = worker.chat("Hello", sampling=GREEDY)
    assert text == sample_text(GREEDY)
    assert finished.reason is FinishReason.STOP
    assert finished.stats.completion_tokens == len(split_pieces(text))
    assert "�" not in text
    assert "👩‍🌾" in text


def test_stats_add_up(start_worker) -> None:
    worker = start_worker("echo", "--tokens", "60", "--tokens-per-s", "200", "--prompt-tokens-per-s", "2000")
    worker.load(ctx=2048)
    _text, finished = worker.chat("word " * 100, sampling=GREEDY)
    stats = finished.stats
    assert stats.completion_tokens == 60
    assert stats.tps == pytest.approx(200, rel=0.2)
    assert stats.prompt_tps == pytest.approx(2000, rel=0.2)
    assert stats.ttft_s >= stats.prompt_s > 0
    assert (stats.context_used, stats.context_total) == (stats.prompt_tokens + 60, 2048)
    live = [event.stats for event in worker.events if isinstance(event, TextGenerated)]
    assert [item.completion_tokens for item in live] == sorted(item.completion_tokens for item in live)
    assert live[-1] == stats


def test_second_turn_reuses_the_first(start_worker) -> None:
    worker = start_worker("echo", "--text", "prompt")
    worker.load()
    answer, _ = worker.chat("one two three")
    assert answer == "one two three"
    _text, finished = worker.chat("one two three", answer, "four")
    assert 0 < finished.stats.reused_tokens < finished.stats.prompt_tokens


def test_prefill_is_not_repeated(start_worker) -> None:
    worker = start_worker("echo", "--text", "prompt")
    text, _ = worker.chat("one two three", prefill="one two")
    assert text == " three"


def test_seed_decides_the_text(start_worker) -> None:
    worker = start_worker()
    first, again, other = (worker.chat("x", sampling=Sampling(seed=seed))[0] for seed in (1, 1, 2))
    assert first == again != other


@pytest.mark.parametrize(("stop", "expected_end"), [("Comparison", "## "), ("☕", "both shorten the time that is needed. ")])
def test_stop_string_is_never_shown(start_worker, stop: str, expected_end: str) -> None:
    worker = start_worker()
    text, finished = worker.chat("x", sampling=Sampling(temperature=0.0, stop=(stop, "never there")))
    assert finished.reason is FinishReason.STOP
    assert text.endswith(expected_end)
    assert stop not in text


def test_max_tokens_end_the_answer(start_worker) -> None:
    _text, finished = start_worker().chat("x", sampling=Sampling(max_tokens=7))
    assert (finished.reason, finished.stats.completion_tokens) == (FinishReason.LENGTH, 7)


def test_full_context_ends_the_answer(start_worker) -> None:
    worker = start_worker("echo", "--tokens", "1000")
    worker.load(ctx=50)
    _text, finished = worker.chat("one two three")
    assert finished.reason is FinishReason.CONTEXT
    assert finished.stats.context_used == 50


def test_too_long_prompt_is_refused_with_its_numbers(start_worker) -> None:
    worker = start_worker()
    worker.load(ctx=50)
    refusal = worker.refusal(worker.send_chat("word " * 2000))
    assert refusal.code == "prompt_too_long"
    assert refusal.fields["context"] == "50"
    assert int(refusal.fields["needed"].replace(",", "")) >= 2000


@pytest.mark.parametrize("arguments", [("--tokens-per-s", "20"), ("--prompt-tokens-per-s", "10")], ids=["decoding", "prefill"])
def test_stop_takes_effect_within_300_ms(start_worker, arguments: tuple[str, str]) -> None:
    worker = start_worker("echo", *arguments)
    request_id = worker.send_chat("word " * 600)
    worker.wait_for(PromptProgressed if "prompt" in arguments[0] else TextGenerated, request_id)
    started_s = time.perf_counter()
    worker.client.send(Stop(id=request_id))
    _text, finished = worker.finish(request_id)
    assert time.perf_counter() - started_s < 0.3
    assert finished.reason is FinishReason.CANCELLED
    assert worker.chat("next", sampling=Sampling(max_tokens=3))[1].reason is FinishReason.LENGTH


def test_stop_of_a_waiting_request_and_of_unknown_ones(start_worker) -> None:
    worker = start_worker("echo", "--tokens-per-s", "50")
    running = worker.send_chat("x", sampling=Sampling(max_tokens=10))
    waiting = worker.send_chat("y")
    for request_id in (waiting, 999, -5):
        worker.client.send(Stop(id=request_id))
    assert worker.finish(running)[1].reason is FinishReason.LENGTH
    text, finished = worker.finish(waiting)
    assert (text, finished.reason) == ("", FinishReason.CANCELLED)


def test_hundred_rapid_sends_keep_their_order(start_worker) -> None:
    worker = start_worker("echo", "--text", "prompt")
    started_s = time.perf_counter()
    ids = [worker.send_chat(f"message {number}") for number in range(100)]
    assert time.perf_counter() - started_s < 0.5
    worker.finish(ids[-1])
    assert [event.id for event in worker.events if isinstance(event, Finished)] == ids
    assert [worker.text_of(request_id) for request_id in ids] == [f"message {number}" for number in range(100)]
    assert len(worker.threads) == 1


def test_large_and_broken_text_passes_unharmed(start_worker) -> None:
    worker = start_worker("echo", "--text", "prompt")
    worker.load(ctx=10_000_000)
    text = "Grüße 🇪🇹👩‍🌾\x00\x1b[31m" + "ab c" * 20_000
    assert worker.chat(text)[0] == text
    assert worker.chat("a lone \ud83d surrogate")[0] == "a lone ? surrogate"


def test_devices_of_the_echo(start_worker) -> None:
    worker = start_worker()
    worker.client.send(ListDevices(id=5))
    assert worker.wait_for(DevicesListed, 5).devices == ()


def test_receiver_that_fails_does_not_stop_the_flow(tmp_path: Path, expect_log) -> None:
    expect_log("a receiver of engine")
    finished = threading.Event()

    def on_event(event: object) -> None:
        if isinstance(event, Finished):
            finished.set()
        raise ZeroDivisionError

    client = EngineClient(worker_command("echo"), cwd=tmp_path, on_event=on_event, on_exit=lambda _: None)
    client.start()
    client.send(Complete(id=1, prompt="x"))
    assert finished.wait(10)
    client.stop()


def test_stop_leaves_nothing_behind(start_worker) -> None:
    before = open_descriptors()
    worker = start_worker("echo", "--tokens-per-s", "10")
    worker.send_chat("x")
    worker.wait_for(TextGenerated)
    pid = worker.client.pid
    started_s = time.perf_counter()
    worker.client.stop()
    assert time.perf_counter() - started_s < 1.0
    assert [outcome.kind for outcome in worker.outcomes] == [OutcomeKind.STOPPED]
    assert not psutil.pid_exists(pid)
    assert not worker.client.is_running
    assert open_descriptors() == before
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("engine-")]
    worker.client.stop()
    assert len(worker.outcomes) == 1


def open_descriptors() -> int:
    return psutil.Process().num_fds() if sys.platform != "win32" else psutil.Process().num_handles()


def test_stop_from_within_a_callback(tmp_path: Path) -> None:
    ended = threading.Event()
    client = EngineClient(
        worker_command("echo"), cwd=tmp_path, on_event=lambda _: client.stop(), on_exit=lambda _: ended.set())
    client.start()
    assert ended.wait(10)
    client.stop()


def test_shutdown_command_ends_the_worker(start_worker) -> None:
    worker = start_worker()
    worker.client.send(Shutdown())
    assert worker.wait_for_outcome().exit_code == 0


def test_program_that_does_not_exist(tmp_path: Path) -> None:
    client = EngineClient([str(tmp_path / "no such program")], cwd=tmp_path, on_event=print, on_exit=print)
    with pytest.raises(AppError, match="could not be started"):
        client.start()
    client.stop()
    assert not client.is_running


@pytest.mark.skipif(sys.platform == "win32", reason="niceness is of POSIX")
def test_worker_gives_way_and_does_not_inherit_secrets(start_worker, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.setenv("GGML_BACKEND_PATH", "/tmp/planted.so")
    worker = start_worker()
    process = psutil.Process(worker.client.pid)
    environment = process.environ()
    assert process.nice() > psutil.Process().nice()
    assert "HF_TOKEN" not in environment
    assert "GGML_BACKEND_PATH" not in environment
    assert environment["GGML_NO_BACKTRACE"] == "1"
    assert Path(process.cwd()) == tmp_path / "worker"
    assert list((tmp_path / "worker").iterdir()) == []


@pytest.mark.skipif(sys.platform == "win32", reason="uses POSIX signals")
@pytest.mark.parametrize("rate", ["0", "5"], ids=["busy", "waiting"])
def test_worker_ends_within_2_s_of_its_parent(tmp_path: Path, rate: str) -> None:
    """The parent is a process of its own that is killed while the worker answers."""
    code = f"""
import sys, threading
from pathlib import Path
from localai_app.engine.client import EngineClient
from localai_app.engine.launch import worker_command
from localai_app.engine.protocol import Complete, Sampling, TextGenerated
def on_event(event):
    if isinstance(event, TextGenerated) and event.stats.completion_tokens == 3:
        print(client.pid, flush=True)
client = EngineClient(worker_command("echo", ["--tokens-per-s", "{rate}", "--tokens", "100000000"]),
                      cwd=Path(sys.argv[1]), on_event=on_event, on_exit=print)
client.start()
client.send(Complete(id=1, prompt="x"))
threading.Event().wait()
"""
    assert not outlives_its_parent(code, tmp_path)


@pytest.mark.skipif(sys.platform == "win32", reason="uses POSIX pipes")
def test_worker_waits_for_a_slow_reader_without_losing_text(tmp_path: Path) -> None:
    """Text is joined while nobody reads, and complete in the end."""
    process = subprocess.Popen(worker_command("echo", ["--tokens", "7000"]), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(encode_line(Complete(id=1, prompt="x", sampling=GREEDY)))
    process.stdin.flush()
    time.sleep(1.0)
    texts, lines = [], 0
    for line in process.stdout:
        event = decode_event(line.rstrip(b"\n"))
        lines += 1
        if isinstance(event, TextGenerated):
            texts.append(event.text)
        if isinstance(event, Finished):
            break
    process.stdin.close()
    process.stdout.close()
    process.wait(5)
    expected = b"".join((split_pieces(sample_text(GREEDY)) * 100)[:7000]).decode("utf-8", "ignore")
    assert "".join(texts) == expected
    assert lines < 7000
