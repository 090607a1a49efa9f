"""What the result of `llama_decode` means."""

from __future__ import annotations

from localai_app.engine.failure import RequestRefusedError
from localai_app.engine.worker.answer import AnswerAbortedError
from localai_app.errors import ENGINE_CRASHED, ENGINE_OUT_OF_MEMORY

DONE, ABORTED = 0, 2
_NO_MEMORY = -2
"""Results, from llama.h: 1 no room in the cache, 2 aborted, -1 bad input, -2 no memory, -3 compute failed."""


def require_decoded(result: int) -> None:
    """AnswerAbortedError where the running request was asked to stop, RequestRefusedError for every other failure."""
    if result == DONE:
        return
    if result == ABORTED:
        raise AnswerAbortedError
    if result == _NO_MEMORY:
        raise RequestRefusedError(ENGINE_OUT_OF_MEMORY)
    raise RequestRefusedError(ENGINE_CRASHED, cause=f"llama.cpp could not evaluate a batch (result {result})")
