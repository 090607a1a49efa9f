"""Devices that are not main memory, on a computer without a GPU: llama.cpp's RPC servers on loopback.

`python -m tests.helpers.lent_devices serve PORT` lends the processor; `... compare PORT...` reads load options from stdin, one
JSON document a line, plans and then loads each of them, and prints what lies where.
"""

from __future__ import annotations

import collections
import contextlib
import ctypes
import importlib.util
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from localai_app.engine.protocol import LoadOptions, PlannedBuffer

ASSIGNED = re.compile(r"^load_tensors: layer +\d+ assigned to device (\w+)")
ROOT = Path(__file__).resolve().parents[2]


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """One load: its buffers as a dry run plans them and as the real load has them, by the device's name."""

    planned: dict[str, PlannedBuffer]
    loaded: dict[str, PlannedBuffer]
    layers: dict[str, int]
    """Layers that the real load gave to each device, the head included."""


def library_folder() -> Path | None:
    """Where llama.cpp's libraries lie, if they can lend devices (Linux)."""
    spec = importlib.util.find_spec("llama_cpp")
    if spec is None or not spec.submodule_search_locations or not sys.platform.startswith("linux"):
        return None
    folder = Path(next(iter(spec.submodule_search_locations))) / "lib"
    return folder if (folder / "libggml-rpc.so.0").exists() else None


@contextlib.contextmanager
def lent_devices(count: int = 1) -> Iterator[list[int]]:
    """Servers on loopback, one device each: RPC0, RPC1 and so on; their ports."""
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(_server()) for _number in range(count)]


@contextlib.contextmanager
def _server() -> Iterator[int]:
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


def compare(ports: Sequence[int], loads: Sequence[LoadOptions]) -> list[Comparison]:
    """Plans and real loads of the same options, with the devices of these servers."""
    result = subprocess.run(
        [sys.executable, "-m", "tests.helpers.lent_devices", "compare", *map(str, ports)], cwd=ROOT,
        input=b"\n".join(msgspec.json.encode(options) for options in loads), capture_output=True, timeout=120, check=False)
    assert result.returncode == 0, result.stderr[-2000:].decode(errors="replace")
    return [msgspec.json.decode(line, type=Comparison) for line in result.stdout.splitlines() if line.startswith(b"{")]


def _wait_for(port: int) -> None:
    end_s = time.monotonic() + 30
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


def _compare(ports: Sequence[str]) -> None:
    from localai_app.engine.worker.llama import LlamaBackend
    from localai_app.engine.worker.stop_flag import StopFlags

    backend = LlamaBackend(StopFlags(), [f"127.0.0.1:{port}" for port in ports])
    for line in sys.stdin:
        options = msgspec.json.decode(line, type=LoadOptions)
        planned, (loaded, layers) = _planned(backend, options), _loaded(backend, options)
        comparison = Comparison(planned=planned, loaded=loaded, layers=layers)
        print(msgspec.json.encode(comparison).decode(), flush=True)


def _planned(backend: Any, options: LoadOptions) -> dict[str, PlannedBuffer]:
    from localai_app.gguf.plan_header import plan_header, write_plan_file
    from localai_app.gguf.reader import read_header_file

    with tempfile.TemporaryDirectory() as temporary:
        header = Path(temporary) / "plan.gguf"
        write_plan_file(header, plan_header([read_header_file(Path(options.model_path))]))
        return {buffer.device: buffer for buffer in backend.plan(1, str(header), options).buffers}


def _loaded(backend: Any, options: LoadOptions) -> tuple[dict[str, PlannedBuffer], dict[str, int]]:
    """From llama.cpp's own table; without mmap, so that every tensor lies in a buffer of its own size."""
    from localai_app.engine.worker.buffers import buffers_in_log, with_table

    kinds, owners = {device.name: device.kind for device in backend.devices()}, backend._devices.owners()
    backend._log.start_capture()
    backend.load(1, msgspec.structs.replace(options, use_mmap=False), lambda _fraction: None)
    lines = backend._log.end_capture()
    logged = buffers_in_log(lines, kinds, owners)
    layers = collections.Counter(found[1] for line in lines if (found := ASSIGNED.match(line)))
    table = backend._planner._breakdown.of(backend._model.context)
    return {buffer.device: buffer for buffer in with_table(logged, table, kinds, owners)}, dict(layers)


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        _serve(int(sys.argv[2]))
    else:
        _compare(sys.argv[2:])
