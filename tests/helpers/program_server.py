"""Commands of the program as processes of their own that do not import it anew: forks of one process that has.

Importing takes half of the time of most commands. `python -m tests.helpers.program_server FD` listens on the socket FD until
its parent ends. Only for Linux: the address is an abstract one, and a fork goes on where the server stands.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LOOK_AT_PARENT_S = 2.0
IMPORTED = ("localai_app.__main__", "localai_app.cli.main", "pydantic.types", "typer._adapters")
"""The program, and what typer imports at the first option that it reads."""


class ProgramServer:
    """One server; `close` ends it."""

    def __init__(self) -> None:
        self._address = f"\0localai-tests-{os.getpid()}-{secrets.token_hex(4)}"
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(self._address)
            listener.listen()
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.helpers.program_server", str(listener.fileno())],
                pass_fds=[listener.fileno()], cwd=ROOT, stdin=subprocess.DEVNULL)

    def close(self) -> None:
        """End the server; commands that still run go on."""
        self._process.kill()
        self._process.wait()

    def run(
        self, arguments: Sequence[str], environment: Mapping[str, str], cwd: Path, timeout_s: float,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command to its end, with nothing to read; TimeoutExpired after `timeout_s`."""
        request = {"arguments": list(arguments), "environment": dict(environment), "cwd": str(cwd)}
        with (
            socket.socket(socket.AF_UNIX) as connection, tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr,
        ):
            connection.settimeout(timeout_s)
            connection.connect(self._address)
            socket.send_fds(connection, [b"{"], [stdout.fileno(), stderr.fileno()])
            connection.sendall(json.dumps(request).encode()[1:])
            connection.shutdown(socket.SHUT_WR)
            pid = 0
            try:
                with connection.makefile() as answers:
                    pid = int(answers.readline())
                    code = int(answers.readline())
            except TimeoutError:
                if pid:
                    os.kill(pid, signal.SIGKILL)
                raise subprocess.TimeoutExpired(list(arguments), timeout_s) from None
            texts = []
            for file in (stdout, stderr):
                file.seek(0)
                texts.append(file.read().decode("utf-8"))
        return subprocess.CompletedProcess(list(arguments), code, *texts)


def _main(listener: socket.socket) -> int:
    for name in IMPORTED:
        importlib.import_module(name)
    # No fork looks for garbage among what was imported, which would copy the memory that they share.
    gc.freeze()
    parent = os.getppid()
    listener.settimeout(LOOK_AT_PARENT_S)
    while os.getppid() == parent:
        try:
            connection, _address = listener.accept()
        except TimeoutError:
            continue
        finally:
            _reap()
        if os.fork() == 0:
            listener.close()
            return _command(connection)
        connection.close()
    return 0


def _reap() -> None:
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return


def _command(connection: socket.socket) -> int:
    """In a fork: one more fork becomes the command, whose process and exit code this one tells."""
    data, files, _flags, _address = socket.recv_fds(connection, 65536, 2)
    while part := connection.recv(65536):
        data += part
    pid = os.fork()
    if pid:
        connection.sendall(f"{pid}\n".encode())
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        connection.sendall(f"{code}\n".encode())
        os._exit(0)
    connection.close()
    for number, file in enumerate(files, start=1):
        os.dup2(file, number)
        os.close(file)
    request = json.loads(data)
    os.environ.clear()
    os.environ.update(request["environment"])
    os.chdir(request["cwd"])
    sys.argv = ["localai-app", *request["arguments"]]
    result: int = importlib.import_module("localai_app.__main__").main(request["arguments"])
    return result


if __name__ == "__main__":
    sys.exit(_main(socket.socket(fileno=int(sys.argv[1]))))
