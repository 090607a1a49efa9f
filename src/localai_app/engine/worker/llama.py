"""The llama.cpp back end, over the low-level interface: one model, one context, one conversation at a time in the KV cache."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from localai_app.engine.failure import RequestRefusedError
from localai_app.engine.outcome import EXIT_ENGINE_UNUSABLE
from localai_app.engine.protocol import (
    Chat,
    ChatFormat,
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
from localai_app.engine.worker.answer import Sender
from localai_app.engine.worker.binding import package_version
from localai_app.engine.worker.conversations import Conversations
from localai_app.engine.worker.devices import DeviceRegistry, add_lent_devices
from localai_app.engine.worker.draft import Drafting
from localai_app.engine.worker.draft_load import load_drafting
from localai_app.engine.worker.library import EngineAbsentError, Library, load_library
from localai_app.engine.worker.llama_answer import LlamaAnswer
from localai_app.engine.worker.llama_benchmark import LlamaBenchmark
from localai_app.engine.worker.llama_load import ModelLoader
from localai_app.engine.worker.llama_log import LlamaLog
from localai_app.engine.worker.llama_model import LlamaModel
from localai_app.engine.worker.llama_tuning import LlamaTuning
from localai_app.engine.worker.plan import Planner
from localai_app.engine.worker.quantizing import run_quantize
from localai_app.engine.worker.scoring import LossScoring
from localai_app.engine.worker.speculative_answer import SpeculativeAnswer
from localai_app.engine.worker.state_file import state_key
from localai_app.engine.worker.stop_flag import StopFlags
from localai_app.engine.worker.template_choice import ChosenTemplate, TemplateFacts, choose_template
from localai_app.errors import NO_MODEL_LOADED, PROMPT_TOO_LONG, TEMPLATE_FAILED
from localai_app.units import format_count

_INSTALLED = Library()


class LlamaBackend:
    """llama.cpp. Loads the library when it is made; EngineAbsentError if there is none or it does not load."""

    name = "llama"

    def __init__(self, stop_flags: StopFlags, lent: Sequence[str] = (), library: Library = _INSTALLED) -> None:
        """`lent`: host:port of RPC servers whose devices are used as well."""
        self._library = load_library(library)
        self._stop_flags = stop_flags
        self._log = LlamaLog(self._library)
        for endpoint in lent:
            if not add_lent_devices(self._library._lib, endpoint):
                raise EngineAbsentError(EXIT_ENGINE_UNUSABLE, f"this llama.cpp cannot use devices lent at {endpoint}")
        self._devices = DeviceRegistry(self._library._lib, hides_gpus=library.hides_gpus)
        self._loader = partial(ModelLoader, self._library, self._devices, self._log, stop_flags)
        self._planner = Planner(self._library, self._devices, self._log, stop_flags)
        self._model: LlamaModel | None = None
        self._options = LoadOptions(model_path="", ctx=0)
        self._drafting: Drafting | None = None
        self._chosen = ChosenTemplate(ChatFormat(template="none"))
        self._conversations: Conversations | None = None
        self._state_key = ""

    def engine_build(self) -> str:
        """Version of the package, and llama.cpp's own line about the instructions it uses."""
        system = self._library.llama_print_system_info().decode("utf-8", "replace").strip()
        return f"llama-cpp-python {package_version()}; {system}"

    def supports_gpu_offload(self) -> bool:
        """Whether this build can use a GPU at all."""
        return self._devices.has_gpu_backend()

    def load(self, request_id: int, options: LoadOptions, on_progress: Callable[[float], None]) -> Loaded:
        """Load a model in place of the present one; every way to fail is told in words."""
        started_s = time.perf_counter()
        self._forget_model()
        model, loaded = self._loader().load(request_id, options, on_progress)
        try:
            self._drafting, told = load_drafting(
                self._library, model, options, lambda draft: self._loader().load(request_id, draft, lambda _fraction: None)[0])
        except RequestRefusedError:
            model.free()
            raise
        self._model, self._options = model, options
        self._conversations = Conversations(model, options.kept_bytes, starts_empty=options.starts_empty)
        self._state_key = state_key(options, model.ctx, self.engine_build())
        self._chosen = choose_template(options.chat_template, template_facts(model, options))
        if self._chosen.template is not None:
            model.show_tokens(self._chosen.shape.markers)
        return msgspec.structs.replace(
            loaded, has_chat_template=self._chosen.template is not None, format=self._chosen.format, drafting=told,
            load_s=time.perf_counter() - started_s)

    def prepare_chat(self, request: Chat) -> LlamaAnswer:
        """An answer to a conversation; RequestRefusedError TEMPLATE_FAILED for a base model, which has no template."""
        prompt = self._chat_prompt(request)
        reading = self._chosen.shape.reading(prompt, request, self._chosen.stop)
        answer = self._prepare(prompt + reading.resumed, request.sampling, request.conversation)
        answer.reading = reading
        answer.go_on_from(request.prefill)
        return answer

    def count_tokens(self, chat: Chat) -> int:
        """The length of a conversation's prompt; of a base model, which has no template, that of its texts alone."""
        model = self._loaded_model()
        if self._chosen.template is None:
            return len(model.tokenize_start("\n\n".join(message.content for message in chat.messages) + chat.prefill))
        prompt = self._chat_prompt(chat)
        return len(model.tokenize_start(prompt + self._chosen.shape.reading(prompt, chat).resumed))

    def context_total(self) -> int:
        """Tokens that the context holds; RequestRefusedError NO_MODEL_LOADED without a model."""
        return self._loaded_model().ctx

    def prepare_completion(self, prompt: str, sampling: Sampling) -> LlamaAnswer:
        """A continuation of a text."""
        return self._prepare(prompt, sampling)

    def prepare_benchmark(self, threads: int) -> LlamaBenchmark:
        """The loaded model to be timed, with an empty cache."""
        model, conversations = self._loaded_model(), self._conversations
        assert conversations is not None
        conversations.set_aside()
        return LlamaBenchmark(model, threads)

    def save_state(self, conversation: str, path: str) -> tuple[int, int]:
        """Write what is held of a conversation to a file; a disk that is full, for example, is no reason to fail."""
        if self._conversations is None or not self._state_key:
            return 0, 0
        try:
            return self._conversations.save(conversation, Path(path), self._state_key)
        except OSError as error:
            print(f"worker: a conversation was not saved: {error}", file=sys.stderr, flush=True)
            return 0, 0

    def restore_state(self, conversation: str, path: str) -> int:
        """Take the state of a conversation from a file, unless it is held already."""
        if self._conversations is None or not self._state_key:
            return 0
        return self._conversations.restore(conversation, Path(path), self._state_key)

    def prepare_tuning(self) -> LlamaTuning:
        """The loaded model to be timed in other ways than it was loaded."""
        model = self._loaded_model()
        if self._drafting is not None:
            self._drafting.forget_exactness()

        def make_context(cells: int, ubatch: int) -> Any:
            options = msgspec.structs.replace(self._options, ctx=cells, batch=ubatch, ubatch=ubatch, draft_tokens=0)
            return self._library.llama_init_from_model(
                model.model, self._loader().context_parameters(options, self._library.llama_n_threads(model.context)))

        return LlamaTuning(model, make_context)

    def plan(self, request_id: int, header_path: str, options: LoadOptions) -> Planned:
        """What a load would allocate on each device; RequestRefusedError with llama.cpp's reason if it would fail."""
        return self._planner.plan(request_id, header_path, options, self.engine_build())

    def self_test(self, request_id: int, model_path: str, *, on_gpu: bool) -> SelfTested:
        """What the tiny model comes out as on the processor, or on the GPUs; the model in use gives way to it."""
        from localai_app.engine.worker.self_test import run_self_test

        self._forget_model()
        return run_self_test(self._loader(), request_id, model_path, on_gpu=on_gpu)

    def work_on_files(self, command: ScoreLoss | Quantize, sender: Sender) -> LossScored | Quantized:
        """What a variant loses against a reference, for which the model in use gives way; or a model with fewer bits."""
        if isinstance(command, Quantize):
            return run_quantize(self._library, self._log, command, sender)
        self._forget_model()
        return LossScoring(command, self._loader, sender, self._stop_flags).run()

    def devices(self) -> tuple[Device, ...]:
        """Every device that llama.cpp has registered."""
        return self._devices.devices()

    def _chat_prompt(self, request: Chat) -> str:
        model, chosen = self._loaded_model(), self._chosen
        if chosen.template is None:
            raise RequestRefusedError(TEMPLATE_FAILED, reason="it is a base model, made to continue texts and not to chat")
        prompt = chosen.template.render(
            request.messages, variables=chosen.switch.variables_for(request.thinking), tools=request.tools)
        if model.adds_bos() and model.bos_text() and prompt.startswith(model.bos_text()):
            # The tokenizer adds it; a second one would be a token that the model has never seen there.
            prompt = prompt[len(model.bos_text()):]
        return prompt

    def _prepare(self, prompt: str, sampling: Sampling, conversation: str = "") -> LlamaAnswer:
        model, conversations = self._loaded_model(), self._conversations
        assert conversations is not None
        tokens = conversations.open(conversation, prompt)
        if len(tokens) >= model.ctx:
            raise RequestRefusedError(PROMPT_TOO_LONG, needed=format_count(len(tokens)), context=format_count(model.ctx))
        conversations.transcript.remember_prompt(prompt, tokens)
        if self._drafting is None or sampling.logprobs is not None:
            return LlamaAnswer(model, conversations.transcript, tokens, sampling)
        return SpeculativeAnswer(model, conversations.transcript, tokens, sampling, self._drafting)

    def _forget_model(self) -> None:
        if self._model is not None:
            self._model.free()
            self._model = self._conversations = None
        if self._drafting is not None:
            self._drafting.free()
            self._drafting = None

    def _loaded_model(self) -> LlamaModel:
        if self._model is None:
            raise RequestRefusedError(NO_MODEL_LOADED)
        return self._model


def template_facts(model: LlamaModel, options: LoadOptions) -> TemplateFacts:
    """What the file says about its template."""
    names = [model.metadata(f"general.{key}") for key in ("name", "basename", "finetune")]
    return TemplateFacts(
        own=model.template_source(), bos=model.bos_text(), eos=model.eos_text(),
        names=(*names, Path(options.model_path).stem),
        is_token=lambda text: model.has_vocabulary and len(model.tokenize_rest(text) or ()) == 1)
