"""The log of llama.cpp: what is kept, what explains a failure, and what is written to stderr."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import pytest

from localai_app.engine.worker.llama_log import LlamaLog

INFO, WARN, ERROR = 2, 3, 4
Say = Callable[[int, str], None]


@pytest.fixture
def log_and_say() -> tuple[LlamaLog, Say]:
    told: list[Callable[[int, bytes, object], None]] = []
    log = LlamaLog(SimpleNamespace(
        llama_log_callback=lambda receive: receive, llama_log_set=lambda receive, _data: told.append(receive)))
    return log, lambda level, text: told[0](level, text.encode(), None)


def test_a_capture_that_is_not_quiet_loses_no_error(
    log_and_say: tuple[LlamaLog, Say], capsys: pytest.CaptureFixture[str],
) -> None:
    log, say = log_and_say
    log.start_capture(is_quiet=False)
    say(INFO, "load_tensors: CPU_Mapped model buffer size = 1.00 MiB\n")
    say(ERROR, "failed to allocate buffer\n")
    assert log.end_capture() == ["load_tensors: CPU_Mapped model buffer size = 1.00 MiB", "failed to allocate buffer"]
    assert log.errors == ("failed to allocate buffer",)
    assert capsys.readouterr().err == "failed to allocate buffer\n"


def test_captures_lie_inside_one_another_and_a_quiet_one_writes_nothing(
    log_and_say: tuple[LlamaLog, Say], capsys: pytest.CaptureFixture[str],
) -> None:
    log, say = log_and_say
    log.start_capture()
    say(WARN, "first")
    log.start_capture(is_quiet=False)
    say(ERROR, "second")
    assert log.end_capture() == ["second"]
    say(WARN, "third")
    assert log.end_capture() == ["first", "second", "third"]
    assert capsys.readouterr().err == ""
    say(WARN, "fourth")
    assert log.end_capture() == []
    assert capsys.readouterr().err == "fourth\n"
