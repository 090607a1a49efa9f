"""Devices that are not main memory, on a computer without a GPU: llama.cpp's RPC servers on loopback.

`python -m tests.helpers.lent_devices serve PORT` lends the processor; `... compare PORT FILE...` plans and then loads
each model with its layers there, and prints one JSON line per case.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib.util
import json
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
CASES = ((99, 4096, "f16"), (99, 8192, "q8_0"), (3, 4096, "f16"))
"""(layers on the lent device, context, KV type)"""


def library_folder() -> Path | None:
    """Where llama.cpp's libraries lie, if they can lend devices (Linux)."""
    spec = importlib.util.find_spec("llama_cpp")
    if spec is None or not spec.submodule_search_locations or not sys.platform.startswith("linux"):
        return None
    folder = Path(next(iter(spec.submodule_search_locations))) / "lib"
    return folder if (folder / "libggml-rpc.so.0").exists() else None


@contextlib.contextmanager
def lent_device() -> Iterator[int]:
    """A server on loopback; its port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.helpers.lent_devices", "serve", str(port)], cwd=ROOT, stdout=log, stderr=log)
        try:
            _wait_for(port)
            yield port
        finally:
            process.kill()
            process.wait()


def compare(port: int, models: Sequence[Path]) -> list[dict[str, Any]]:
    """For each model and case: the planned and the loaded buffers by device."""
    result = subprocess.run(
        [sys.executable, "-m", "tests.helpers.lent_devices", "compare", str(port), *map(str, models)], cwd=ROOT,
        capture_output=True, text=True, timeout=120, check=False)
    assert result.returncode == 0, result.stderr[-2000:]
    return [json.loads(line) for line in result.stdout.splitlines() if line.startswith("{")]


def _wait_for(port: int) -> None:
    end_s = time.monotonic() + 20
    while time.monotonic() < end_s:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    raise TimeoutError("the RPC server did not come up")


def _serve(port: int) -> None:
    folder = library_folder()
    assert folder is not None
    ggml = ctypes.CDLL(str(folder / "libggml.so.0"), mode=ctypes.RTLD_GLOBAL)
    rpc = ctypes.CDLL(str(folder / "libggml-rpc.so.0"))
    ggml.ggml_backend_dev_by_type.restype = ctypes.c_void_p
    devices = (ctypes.c_void_p * 1)(ggml.ggml_backend_dev_by_type(0))
    start = rpc.ggml_backend_rpc_start_server
    start.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_size_t, ctypes.c_void_p]
    start(f"127.0.0.1:{port}".encode(), None, 1, 1, devices)


def _compare(port: int, models: Sequence[str]) -> None:
    import msgspec

    from localai_app.engine.protocol import KvType, LoadOptions, PlannedBuffer
    from localai_app.engine.worker.llama import LlamaBackend
    from localai_app.engine.worker.plan import buffers_in_log
    from localai_app.engine.worker.stop_flag import StopFlags
    from localai_app.gguf.plan_header import plan_header, write_plan_file
    from localai_app.gguf.reader import read_header_file

    folder = library_folder()
    assert folder is not None
    backend = LlamaBackend(StopFlags())
    rpc, ggml = ctypes.CDLL(str(folder / "libggml-rpc.so.0")), ctypes.CDLL(str(folder / "libggml.so.0"))
    rpc.ggml_backend_rpc_add_server.restype = ctypes.c_void_p
    ggml.ggml_backend_register.argtypes = [ctypes.c_void_p]
    ggml.ggml_backend_register(rpc.ggml_backend_rpc_add_server(f"127.0.0.1:{port}".encode()))
    kinds = {device.name: device.kind for device in backend.devices()}
    (lent,) = (name for name, kind in kinds.items() if kind == "gpu")

    def by_device(buffers: Sequence[PlannedBuffer]) -> dict[str, Any]:
        return {buffer.device: msgspec.to_builtins(buffer) for buffer in buffers}

    for model in models:
        with tempfile.TemporaryDirectory() as temporary:
            header = Path(temporary) / "plan.gguf"
            write_plan_file(header, plan_header([read_header_file(Path(model))]))
            for layers, ctx, kv_type in CASES:
                options = LoadOptions(model_path=model, ctx=ctx, gpu_layers=layers, kv_type=KvType(kv_type), devices=(lent,))
                planned = backend.plan(1, str(header), options).buffers
                backend._log.start_capture()
                backend.load(1, options, lambda _fraction: None)
                loaded = buffers_in_log(backend._log.end_capture(), kinds)
                print(json.dumps({
                    "model": Path(model).name, "case": [layers, ctx, kv_type], "lent": lent, "planned": by_device(planned),
                    "loaded": by_device(loaded)}), flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        _serve(int(sys.argv[2]))
    else:
        _compare(int(sys.argv[2]), sys.argv[3:])
