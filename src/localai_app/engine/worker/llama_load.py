"""Loading a model into llama.cpp: parameters from LoadOptions, progress, and words for every failure."""

from __future__ import annotations

import ctypes
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from localai_app.engine.failure import RequestRefusedError
from localai_app.engine.outcome import says_out_of_memory, unknown_architecture_in
from localai_app.engine.protocol import KvType, Loaded, LoadOptions, PlannedBuffer
from localai_app.engine.worker.breakdown import MemoryBreakdown
from localai_app.engine.worker.buffers import buffers_in_log, with_table
from localai_app.engine.worker.conversations import Conversations
from localai_app.engine.worker.devices import DeviceRegistry
from localai_app.engine.worker.expert_blocks import expert_overrides
from localai_app.engine.worker.llama_log import LlamaLog
from localai_app.engine.worker.llama_model import LlamaModel
from localai_app.engine.worker.stop_flag import StopFlags
from localai_app.engine.worker.warm_up import warm_up
from localai_app.errors import (
    ARCHITECTURE_UNKNOWN,
    ENGINE_OUT_OF_MEMORY,
    GGUF_TRUNCATED,
    MODEL_FILE_MISSING,
    MODEL_FILE_UNREADABLE,
    MODEL_LOAD_FAILED,
    NOT_A_GGUF,
)

_GGUF_MAGIC = b"GGUF"
_MAX_REASON_CHARS = 240


class ModelLoader:
    """Loads one model; what C keeps pointers to lives in `_kept` until the load is over."""

    def __init__(self, library: Any, devices: DeviceRegistry, log: LlamaLog, stop_flags: StopFlags) -> None:
        self._library = library
        self._devices = devices
        self._log = log
        self._stop_flags = stop_flags
        self._kept: list[object] = []

    def load(
        self, request_id: int, options: LoadOptions, on_progress: Callable[[float], None]
    ) -> tuple[LlamaModel, Loaded]:
        """The model, ready, and the message about it; RequestRefusedError with the reason otherwise."""
        library = self._library
        started_s = time.perf_counter()
        require_model_file(Path(options.model_path))
        threads = options.threads or physical_core_count()
        rss_before_bytes = _rss_bytes()
        self._log.clear()
        self._log.start_capture(is_quiet=False)
        try:
            model, context = self._model_and_context(options, on_progress, threads)
        finally:
            lines = self._log.end_capture()
        loaded_model = LlamaModel(library, model, context, Conversations.checkpoint_bytes(options.kept_bytes))
        return loaded_model, Loaded(
            id=request_id,
            description=self._description(model),
            ctx=loaded_model.ctx,
            ctx_train=library.llama_model_n_ctx_train(model),
            n_layer=library.llama_model_n_layer(model) + 1,
            gpu_layers=offloaded_layers(library, model, options) if self._devices.has_accelerator() else 0,
            threads=threads,
            model_bytes=library.llama_model_size(model),
            load_s=time.perf_counter() - started_s,
            has_chat_template=bool(loaded_model.template_source()),
            buffers=self._buffers(lines, context),
            rss_before_bytes=rss_before_bytes,
        )

    def _model_and_context(
        self, options: LoadOptions, on_progress: Callable[[float], None], threads: int,
    ) -> tuple[Any, Any]:
        library, name = self._library, Path(options.model_path).name
        model = library.llama_model_load_from_file(
            os.fsencode(options.model_path), self.model_parameters(options, on_progress, name)
        )
        if not model:
            raise self._refusal(name)
        context = library.llama_init_from_model(model, self.context_parameters(options, threads))
        if not context:
            library.llama_model_free(model)
            raise self._refusal(name)
        try:
            warm_up(library, model, context)
        except RequestRefusedError:
            library.llama_free(context)
            library.llama_model_free(model)
            raise
        return model, context

    def _buffers(self, lines: Sequence[str], context: Any) -> tuple[PlannedBuffer, ...]:
        """What was allocated where: as logged, and to the byte where llama.cpp's table can be read."""
        kinds, owners = {device.name: device.kind for device in self._devices.devices()}, self._devices.owners()
        table = MemoryBreakdown(self._library._lib).of(context)
        return with_table(buffers_in_log(lines, kinds, owners), table, kinds, owners)

    def model_parameters(self, options: LoadOptions, on_progress: Callable[[float], None], name: str) -> Any:
        """`llama_model_params` of a load; valid as long as this loader lives."""
        library = self._library
        parameters = library.llama_model_default_params()
        parameters.n_gpu_layers = max(0, options.gpu_layers)
        parameters.use_extra_bufts = options.use_repack
        parameters.load_mode = library.LLAMA_LOAD_MODE_MMAP if options.use_mmap else library.LLAMA_LOAD_MODE_NONE
        pointers = self._device_pointers(options, name)
        if pointers is not None:
            parameters.devices = ctypes.cast(pointers, ctypes.c_void_p)
        if options.main_device is not None and options.gpu_layers > 0:
            parameters.split_mode, parameters.main_gpu = library.LLAMA_SPLIT_MODE_NONE, options.main_device
        if options.tensor_split:
            split = (ctypes.c_float * library.llama_max_devices())(*options.tensor_split[: library.llama_max_devices()])
            self._kept.append(split)
            parameters.tensor_split = split
        if options.cpu_expert_blocks > 0 and options.gpu_layers > 0:
            overrides = expert_overrides(options.cpu_expert_blocks, self._devices.main_memory_buffer_type())
            self._kept.append(overrides)
            parameters.tensor_buft_overrides = ctypes.cast(overrides, ctypes.c_void_p)

        def receive(fraction: float, _user_data: object) -> bool:
            on_progress(fraction)
            return True

        callback = library.llama_progress_callback(receive)
        self._kept.append(callback)
        parameters.progress_callback = callback
        return parameters

    def _device_pointers(self, options: LoadOptions, name: str) -> Any:
        """A NULL-ended list of devices, or None for all; without layers on a GPU it is empty, which keeps GPU memory free."""
        names = options.devices or self._devices.allowed_names()
        if not names and options.gpu_layers > 0 and not self._devices.hides_gpus:
            return None
        pointers: list[int | None] = []
        for device in names if options.gpu_layers > 0 else ():
            pointer = self._devices.pointer_to(device)
            if pointer is None:
                raise RequestRefusedError(MODEL_LOAD_FAILED, name=name, reason=f"there is no device called {device}")
            pointers.append(pointer)
        array = (ctypes.c_void_p * (len(pointers) + 1))(*pointers, None)
        self._kept.append(array)
        return array

    def context_parameters(self, options: LoadOptions, threads: int) -> Any:
        """`llama_context_params` of a load."""
        library = self._library
        parameters = library.llama_context_default_params()
        parameters.n_ctx = options.ctx
        parameters.n_batch = max(options.batch, options.ubatch)
        parameters.n_ubatch = options.ubatch
        parameters.n_threads, parameters.n_threads_batch = threads, options.prompt_threads or threads
        kv_types = {KvType.F16: library.GGML_TYPE_F16, KvType.Q8_0: library.GGML_TYPE_Q8_0, KvType.Q4_0: library.GGML_TYPE_Q4_0}
        parameters.type_k = parameters.type_v = kv_types[options.kv_type]
        # A quantized V cache exists only with flash attention; else llama.cpp tries whether the device has it.
        is_plain = options.kv_type is KvType.F16
        parameters.flash_attn_type = library.LLAMA_FLASH_ATTN_TYPE_AUTO if is_plain else library.LLAMA_FLASH_ATTN_TYPE_ENABLED
        parameters.swa_full = options.swa_full
        parameters.offload_kqv = options.gpu_layers > 0
        parameters.op_offload = options.gpu_layers > 0
        parameters.no_perf = True
        if hasattr(parameters, "n_outputs_max"):
            # Chat needs the logits of one token, and of each that was drafted. Room for a whole ubatch takes 300-500 MiB
            # with a large vocabulary.
            parameters.n_outputs_max = 1 + max(0, options.draft_tokens)
        parameters.abort_callback = _strlen_as(library.ggml_abort_callback)
        parameters.abort_callback_data = ctypes.cast(self._stop_flags.running_flag, ctypes.c_void_p)
        return parameters

    def _description(self, model: Any) -> str:
        buffer = ctypes.create_string_buffer(256)
        self._library.llama_model_desc(model, buffer, len(buffer))
        return buffer.value.decode("utf-8", "replace")

    def _refusal(self, name: str) -> RequestRefusedError:
        return refusal_from_log(name, self._log.errors)


def require_model_file(path: Path) -> None:
    """RequestRefusedError unless the path is a readable file that starts as GGUF files do."""
    name = path.name
    if not path.exists():
        raise RequestRefusedError(MODEL_FILE_MISSING, name=name)
    if not path.is_file():
        # Opening a pipe would wait forever for somebody to write into it.
        raise RequestRefusedError(NOT_A_GGUF, name=name)
    try:
        with path.open("rb") as file:
            magic = file.read(len(_GGUF_MAGIC))
    except OSError as error:
        raise RequestRefusedError(MODEL_FILE_UNREADABLE, name=name, detail=str(error)) from error
    if magic != _GGUF_MAGIC:
        raise RequestRefusedError(NOT_A_GGUF, name=name)


def offloaded_layers(library: Any, model: Any, options: LoadOptions) -> int:
    """How many of the layers that run are offloaded by these options.

    llama.cpp counts blocks for next-token prediction, which it does not load, before the head.
    """
    unused = library.llama_model_n_layer_nextn(model) if hasattr(library, "llama_model_n_layer_nextn") else 0
    asked = options.gpu_layers if options.gpu_layers <= 1 else options.gpu_layers - unused
    return int(min(max(0, asked), library.llama_model_n_layer(model) + 1))


def refusal_from_log(name: str, errors: tuple[str, ...]) -> RequestRefusedError:
    """Why llama.cpp did not load a model, from the errors it logged."""
    text = "\n".join(errors)
    architecture = unknown_architecture_in(text)
    if architecture is not None:
        return RequestRefusedError(ARCHITECTURE_UNKNOWN, architecture=architecture, detail=text)
    if says_out_of_memory(text):
        return RequestRefusedError(ENGINE_OUT_OF_MEMORY, detail=text)
    if "not within the file bounds" in text or "corrupted or incomplete" in text:
        return RequestRefusedError(GGUF_TRUNCATED, name=name, where="its weights", detail=text)
    if "failed to read" in text and "gguf_" in text:
        return RequestRefusedError(GGUF_TRUNCATED, name=name, where="its header", detail=text)
    return RequestRefusedError(MODEL_LOAD_FAILED, name=name, reason=_main_reason(errors), detail=text)


def _main_reason(errors: tuple[str, ...]) -> str:
    """The most telling of the errors: the one with the reason, without the name of the C function in front."""
    marker = "error loading model: "
    for line in errors:
        if marker in line:
            return line.split(marker, 1)[1].strip()[:_MAX_REASON_CHARS]
    return errors[0].split(": ", 1)[-1].strip()[:_MAX_REASON_CHARS] if errors else "llama.cpp gives no reason"


def physical_core_count() -> int:
    """Physical cores that this process may use: more threads than these slow llama.cpp down."""
    import psutil

    physical = psutil.cpu_count(logical=False) or psutil.cpu_count() or 1
    allowed = len(os.sched_getaffinity(0)) if sys.platform == "linux" else physical
    return max(1, min(physical, allowed))


def _rss_bytes() -> int:
    """Main memory that this process holds now."""
    import psutil

    return int(psutil.Process().memory_info().rss)


def _strlen_as(callback_type: Any) -> Any:
    """C's `strlen` as llama.cpp's abort callback: with a C string as its data, "is it non-empty" is "stop now".

    llama.cpp asks after every node of the graph, thousands of times a token; a Python function there would
    cost more than the sampling and would wait for the interpreter each time.
    """
    runtime = ctypes.CDLL("ucrtbase") if sys.platform == "win32" else ctypes.CDLL(None)
    return ctypes.cast(runtime.strlen, callback_type)
