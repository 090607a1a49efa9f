"""What a back end of the worker can do: llama.cpp, or the echo that tests use in its place."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol

from localai_app.engine.protocol import (
    Chat,
    Device,
    Loaded,
    LoadOptions,
    LossScored,
    Planned,
    Quantize,
    Quantized,
    Sampling,
    ScoreLoss,
    SelfTested,
)
from localai_app.engine.worker.answer import AnswerSource, Sender
from localai_app.engine.worker.benchmark import BenchmarkTarget
from localai_app.engine.worker.tuning import TuningTarget


class Backend(Protocol):
    """One engine. Every method raises RequestRefusedError for what the user should know."""

    name: str

    def engine_build(self) -> str:
        """Version and build, in one line."""

    def supports_gpu_offload(self) -> bool:
        """Whether this build can use a GPU at all."""

    def load(self, request_id: int, options: LoadOptions, on_progress: Callable[[float], None]) -> Loaded:
        """Load a model in place of the present one; `on_progress` gets the share of the weights read."""

    def prepare_chat(self, request: Chat) -> AnswerSource:
        """An answer to a conversation, through the model's template; it goes on behind the text `request.prefill`."""

    def count_tokens(self, chat: Chat) -> int:
        """The length of the prompt that a conversation makes, all of it, however long."""

    def context_total(self) -> int:
        """Tokens that the context of the loaded model holds."""

    def prepare_completion(self, prompt: str, sampling: Sampling) -> AnswerSource:
        """A continuation of a text."""

    def prepare_benchmark(self, threads: int) -> AbstractContextManager[BenchmarkTarget]:
        """The loaded model to be timed with so many threads (0: as loaded), its cache empty before and after."""

    def save_state(self, conversation: str, path: str) -> tuple[int, int]:
        """Write what is held of a conversation to a file: its tokens and the bytes of the file, 0 where none was written."""

    def restore_state(self, conversation: str, path: str) -> int:
        """Take the state of a conversation from a file; its tokens, 0 where none came."""

    def prepare_tuning(self) -> TuningTarget:
        """The loaded model to be timed in other ways than it was loaded."""

    def plan(self, request_id: int, header_path: str, options: LoadOptions) -> Planned:
        """What a load would allocate on each device; nothing is loaded."""

    def work_on_files(self, command: ScoreLoss | Quantize, sender: Sender) -> LossScored | Quantized:
        """What a variant loses against a reference, for which the model in use may give way; or a model with fewer bits.

        Progress goes to `sender`.
        """

    def devices(self) -> tuple[Device, ...]:
        """What this back end can compute on."""

    def self_test(self, request_id: int, model_path: str, *, on_gpu: bool) -> SelfTested:
        """What the tiny model at this path comes out as, with every layer on the GPUs or with none."""
