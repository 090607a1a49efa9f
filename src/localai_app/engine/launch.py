"""How a worker is started: its command line and its environment."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from localai_app.paths import is_frozen

CommandSource = Sequence[str] | Callable[[], Sequence[str]]
"""A worker's command line, or what is asked for one at each start: which build of llama.cpp runs may change between two."""

WORKER_OPTION = "--engine-worker"

PLANNER_MEMORY_BYTES = 2 * 1024**3
"""What a dry run may take: a few MB of graph, and the recurrent states, which llama.cpp really allocates (150 MB for 27 B)."""

PLANNER_OPTIONS = ("--memory-cap-bytes", str(PLANNER_MEMORY_BYTES))

_DROPPED_VARIABLES = (
    # Each of these makes a program load code from a place that somebody else chose.
    "GGML_BACKEND_PATH",
    "LLAMA_CPP_LIB_PATH",
    "LD_PRELOAD",
    "LD_AUDIT",
    "DYLD_INSERT_LIBRARIES",
    "PYTHONSTARTUP",
    # A worker never talks to the network, so it has no use for a secret.
    "HF_TOKEN",
    "HUGGING_FACE_HUB_TOKEN",
)


def worker_command(backend: str = "llama", extra: Sequence[str] = ()) -> list[str]:
    """The command line of a worker with this back end (`llama` or `echo`), in a checkout or in a frozen build."""
    return [*program_command(), WORKER_OPTION, "--backend", backend, *extra]


def program_command() -> list[str]:
    """The command line that starts this program again, in a checkout or in a frozen build.

    On Windows the window's program has no streams to speak of, so the one with a console is taken, which lies beside it.
    """
    if not is_frozen():
        return [sys.executable, "-m", "localai_app"]
    with_console = Path(sys.executable).with_name("localai-app.exe")
    return [str(with_console) if sys.platform == "win32" and with_console.is_file() else sys.executable]


def planner_command(extra: Sequence[str] = ()) -> list[str]:
    """The command line of a worker for dry runs: llama.cpp with little memory, because it reads headers of strangers."""
    return worker_command("llama", (*PLANNER_OPTIONS, *extra))


def command_now(source: CommandSource) -> list[str]:
    """The command line for a start now; AppError where there is no build to start."""
    return list(source() if callable(source) else source)


def rpc_options(addresses: Sequence[str]) -> list[str]:
    """What to add to a command so that it uses the devices lent at these addresses (HOST:PORT)."""
    return [word for address in addresses for word in ("--rpc", address)]


def worker_environment(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of a worker, from `environ` (this process's unless given), without planted libraries and secrets."""
    cleaned = dict(os.environ if environ is None else environ)
    for name in _DROPPED_VARIABLES:
        cleaned.pop(name, None)
    # An assertion of ggml otherwise starts a debugger for its stack trace, which can hang.
    cleaned["GGML_NO_BACKTRACE"] = "1"
    cleaned["PYTHONUTF8"] = "1"
    # The working directory is no place to import modules from.
    cleaned["PYTHONSAFEPATH"] = "1"
    return cleaned
