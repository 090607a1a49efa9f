from __future__ import annotations

import pytest

from localai_app.engine.failure import RequestRefusedError, error_of
from localai_app.engine.protocol import RequestFailed
from localai_app.engine.worker.llama_load import refusal_from_log
from localai_app.errors import PROMPT_TOO_LONG


def test_refusal_arrives_with_its_words() -> None:
    event = RequestRefusedError(PROMPT_TOO_LONG, needed="9,000", context="4,096").as_event(3)
    error = error_of(event)
    assert event.id == 3
    assert error.message == "The conversation needs 9,000 tokens, and the context holds 4,096."


@pytest.mark.parametrize("event", [RequestFailed(id=1, code="from_the_future"), RequestFailed(id=1, code="prompt_too_long")])
def test_unknown_or_incomplete_refusal_still_has_words(event: RequestFailed) -> None:
    assert error_of(event).code == "engine_crashed"
    assert event.code in error_of(event).message


@pytest.mark.parametrize(
    ("lines", "code", "words"),
    [
        (["error loading model: unknown model architecture: 'foo'"], "architecture_unknown", "foo"),
        (["ggml_backend_alloc: failed to allocate CUDA0 buffer of size 99"], "engine_out_of_memory", ""),
        (["llama_model_load: error loading model: tensor 'a' data is not within the file bounds"], "gguf_truncated", "weights"),
        (["gguf_init_from_file_ptr: failed to read key-value pairs"], "gguf_truncated", "header"),
        (["x", "llama_model_load: error loading model: missing tensor 'y'"], "model_load_failed", "missing tensor 'y'"),
        (["f: no room"], "model_load_failed", "no room"),
        ([], "model_load_failed", "no reason"),
    ],
)
def test_log_of_a_failed_load_is_understood(lines: list[str], code: str, words: str) -> None:
    refusal = refusal_from_log("m.gguf", tuple(lines))
    error = error_of(refusal.as_event(1))
    assert error.code == code
    assert words in error.message
