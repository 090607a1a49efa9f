"""The worker program: one model, one conversation at a time, spoken to in the protocol.

`localai-app --engine-worker` ends up here. Commands come on stdin. Before any library is loaded, the
protocol moves to private descriptors and fd 1 becomes stderr, because libraries print.
"""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from localai_app.engine.outcome import EXIT_ADDRESS_UNUSABLE
from localai_app.engine.protocol import PROTOCOL_VERSION, Ready
from localai_app.engine.worker.backend import Backend
from localai_app.engine.worker.channel import CommandReader, EventSender, Pulse
from localai_app.engine.worker.stop_flag import StopFlags
from localai_app.settings.addresses import parse_address

NICENESS = 5
"""Workers give way to the window: a token less per second is not seen, a stuck window is."""

_OPENMP_SPINS = "1000"
"""How long llama.cpp's threads wait busily for each other, in libgomp's unit, before they sleep.

libgomp's own 300,000 is for computers that do nothing else: with other programs on all cores a thread waits
for one that is not scheduled, thousands of times a token. Measured with SmolLM2 on 2 cores: 0.4 to 10 tokens
per second like that and 11 to 37 with this value; equal (160) on idle cores. libgomp takes 1,000 by itself
where a program has more threads than there are cores.
"""


def main(argv: Sequence[str]) -> int:
    """Run a worker until its stdin ends; `argv` is what follows `--engine-worker`. Returns the exit status."""
    options = _parse(argv)
    commands_fd, events_fd = _take_over_protocol()
    _prepare_process()
    if options.memory_cap_bytes:
        _cap_memory(options.memory_cap_bytes)
    sender = EventSender(events_fd)
    stop_flags = StopFlags()
    reader = CommandReader(commands_fd, stop_flags)
    reader.start()
    Pulse(sender).start()
    from localai_app.engine.worker.library import EngineAbsentError
    from localai_app.engine.worker.session import Session

    try:
        backend = _make_backend(options, stop_flags, sender)
    except EngineAbsentError as error:
        print(f"worker: {error}", file=sys.stderr, flush=True)
        return error.exit_status
    sender.send(
        Ready(
            protocol=PROTOCOL_VERSION,
            backend=backend.name,
            engine_build=backend.engine_build(),
            gpu_offload=backend.supports_gpu_offload(),
            pid=os.getpid(),
        )
    )
    if options.lend:
        return _lend(options)
    try:
        Session(backend, reader.commands, sender, stop_flags).run()
    except BaseException:  # noqa: BLE001 - printed, and the process ends
        traceback.print_exc()
        sys.stderr.flush()
        # Without the interpreter's own end, which would wait for llama.cpp's destructors.
        os._exit(1)


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="localai-app --engine-worker", description="Internal: run by the window.")
    parser.add_argument("--backend", choices=("llama", "echo"), default="llama")
    parser.add_argument("--library-dir", type=_absolute, help="llama: folder of libllama; the installed package's unless given")
    parser.add_argument(
        "--backend-file", action="append", default=[], type=_absolute, metavar="FILE",
        help="llama: a back end to load; may be given several times")
    parser.add_argument(
        "--preload-file", action="append", default=[], type=_absolute, metavar="FILE",
        help="llama: a library to load before the back ends; may be given several times")
    parser.add_argument("--no-gpu", action="store_true", help="llama: the processor only, whatever else is there")
    parser.add_argument("--memory-cap-bytes", type=int, default=0, help="memory of its own that it may use, 0: any (Linux)")
    parser.add_argument(
        "--rpc", action="append", default=[], type=_address, metavar="HOST:PORT",
        help="llama: devices that an RPC server lends; may be given several times")
    parser.add_argument("--lend", type=_address, metavar="HOST:PORT", help="llama: be an RPC server, and nothing else")
    parser.add_argument("--tokens", type=int, default=0, help="echo: tokens in an answer, 0: one pass over the text")
    parser.add_argument("--tokens-per-s", type=float, default=0.0, help="echo: 0 is as fast as possible")
    parser.add_argument("--prompt-tokens-per-s", type=float, default=0.0, help="echo: 0 is as fast as possible")
    parser.add_argument("--load-s", type=float, default=0.0, help="echo: seconds that loading takes")
    parser.add_argument("--text", choices=("sample", "prompt"), default="sample", help="echo: what to answer")
    parser.add_argument("--fault", default="", help="echo: what to do wrong, and where")
    return parser.parse_args(list(argv))


def _absolute(text: str) -> Path:
    """A full path: a relative one would depend on the working directory."""
    path = Path(text)
    if not path.is_absolute():
        raise argparse.ArgumentTypeError("give a full path")
    return path


def _address(text: str) -> str:
    """Which addresses may be used is decided by whoever starts a worker (`services.lent_devices`)."""
    if parse_address(text) is None:
        raise argparse.ArgumentTypeError("give HOST:PORT")
    return text


def _make_backend(options: argparse.Namespace, stop_flags: StopFlags, sender: EventSender) -> Backend:
    if options.backend == "echo":
        from localai_app.engine.worker.echo import EchoBackend, EchoPace
        from localai_app.engine.worker.faults import FaultPlan

        pace = EchoPace(
            tokens=options.tokens,
            tokens_per_s=options.tokens_per_s,
            prompt_tokens_per_s=options.prompt_tokens_per_s,
            load_s=options.load_s,
            repeats_prompt=options.text == "prompt",
        )
        return EchoBackend(pace, FaultPlan.parse(options.fault, sender), stop_flags)
    from localai_app.engine.worker.library import Library
    from localai_app.engine.worker.llama import LlamaBackend

    library = Library(
        options.library_dir, tuple(options.backend_file), hides_gpus=options.no_gpu, preload=tuple(options.preload_file))
    return LlamaBackend(stop_flags, options.rpc, library)


def _lend(options: argparse.Namespace) -> int:
    """Serve until stdin ends, which the command reader sees; 1 where the address cannot be used."""
    from localai_app.engine.worker.binding import bare_package
    from localai_app.engine.worker.lending import serve_devices
    from localai_app.engine.worker.library import EngineAbsentError

    with bare_package():
        from llama_cpp import llama_cpp as library
    try:
        serve_devices(library._lib, options.lend, hides_gpus=options.no_gpu)
    except EngineAbsentError as error:
        print(f"worker: {error}", file=sys.stderr, flush=True)
        return error.exit_status
    print(f"worker: the address {options.lend} cannot be used", file=sys.stderr, flush=True)
    return EXIT_ADDRESS_UNUSABLE


def _take_over_protocol() -> tuple[int, int]:
    """Private copies of stdin and stdout; fd 0 reads nothing from now on, and fd 1 writes to stderr."""
    commands_fd, events_fd = os.dup(0), os.dup(1)
    if sys.platform == "win32":
        import msvcrt

        msvcrt.setmode(commands_fd, os.O_BINARY)
        msvcrt.setmode(events_fd, os.O_BINARY)
    null_fd = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null_fd, 0)
    os.close(null_fd)
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    return commands_fd, events_fd


def _prepare_process() -> None:
    os.environ["GGML_NO_BACKTRACE"] = "1"
    os.environ.setdefault("GOMP_SPINCOUNT", _OPENMP_SPINS)
    faulthandler.disable()
    with contextlib.suppress(OSError):
        if sys.platform == "win32":
            import psutil

            psutil.Process().nice(psutil.BELOW_NORMAL_PRIORITY_CLASS)
        else:
            os.nice(NICENESS)


def _cap_memory(limit_bytes: int) -> None:
    """Limit what the process can allocate. Not its address space, of which GPU drivers reserve more than there is memory."""
    if sys.platform == "linux":
        import resource

        _soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
        limit = limit_bytes if hard == resource.RLIM_INFINITY else min(limit_bytes, hard)
        resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))
