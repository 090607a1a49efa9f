"""A desk for an installed program: a screen, an accessibility bus and, where wanted, a Hub, in a network of its own.

`unshare --net python -m tests.packaging.desk` reads a job as JSON from standard input and prints what came of it. In that
network there is nothing but loopback. Screen and bus are this computer's own, so that the fresh system needs no packages for
them.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.helpers.hub_server import HubServer, RepoFixture
from tests.packaging.clean_root import FIXED, HOME, USER_ID, CleanRoot
from tests.packaging.connections import traced

PROGRAM = "localai-app"
PERSON = Path(__file__).parent / "person.py"
SYSTEM_PYTHON = "/usr/bin/python3"  # Debian's own: python3-gi is made for it.
REGISTRY = "/usr/libexec/at-spi2-registryd"
SIZE = "1280x800"
END_S = 20.0


@contextmanager
def loopback_only() -> Iterator[None]:
    """Fail unless this process is in a network without a way out, whose loopback is then brought up."""
    listed = [line.split(":")[0].strip() for line in Path("/proc/self/net/dev").read_text().splitlines()[2:]]
    assert listed == ["lo"], f"this is no network of its own: {listed}"
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    yield


@contextmanager
def screen(folder: Path) -> Iterator[dict[str, str]]:
    """A virtual display whose picture lies in a file; the variables for its programs."""
    read_end, write_end = os.pipe()
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(write_end), "-screen", "0", f"{SIZE}x24", "-nolisten", "tcp", "-noreset", "-ac",
         "-fbdir", str(folder)],
        pass_fds=(write_end,), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    os.close(write_end)
    try:
        with os.fdopen(read_end) as answer:
            number = answer.readline().strip()
        assert number, "Xvfb did not start"
        yield {"DISPLAY": f":{number}", "SCREEN_FILE": str(folder / "Xvfb_screen0")}
    finally:
        server.terminate()
        server.wait()


@contextmanager
def accessibility_bus(root: CleanRoot, display: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """A bus that the program tells what is on screen: its address inside the fresh system, and outside."""
    folder = root.path(f"/run/user/{USER_ID}")
    folder.mkdir(parents=True, exist_ok=True)
    os.chown(folder, USER_ID, USER_ID)
    folder.chmod(0o700)
    inside, outside = f"unix:path=/run/user/{USER_ID}/bus", f"unix:path={folder}/bus"
    environment = {"PATH": os.environ["PATH"], "HOME": "/", "AT_SPI_BUS_ADDRESS": outside, **display}
    as_user = ["setpriv", f"--reuid={USER_ID}", f"--regid={USER_ID}", "--clear-groups"]
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    started: list[subprocess.Popen[bytes]] = []
    try:
        for command in (["dbus-daemon", "--session", "--nofork", f"--address={outside}"], [REGISTRY]):
            started.append(subprocess.Popen([*as_user, *command], env=environment, cwd="/", **quiet))
            _until(lambda: (folder / "bus").exists())
        yield inside, outside
    finally:
        for process in reversed(started):
            process.terminate()
            process.wait()


def _until(condition: Any) -> None:
    end_s = time.monotonic() + END_S
    while not condition():
        assert time.monotonic() < end_s, "it did not start"
        time.sleep(0.05)


class Desk:
    """Runs the program in the fresh system, each run traced into a log of its own."""

    def __init__(self, root: CleanRoot, job: Mapping[str, Any], environment: Mapping[str, str], bus: tuple[str, str]) -> None:
        self._root = root
        self._folder = Path(job["folder"])
        self._outside = {**environment, "PATH": os.environ["PATH"], "AT_SPI_BUS_ADDRESS": bus[1], "HOME": "/"}
        self._inside = {
            "DISPLAY": environment["DISPLAY"], "QT_QPA_PLATFORM": "xcb", "AT_SPI_BUS_ADDRESS": bus[0],
            "DBUS_SESSION_BUS_ADDRESS": bus[0], "XDG_RUNTIME_DIR": f"/run/user/{USER_ID}",
            "QT_LINUX_ACCESSIBILITY_ALWAYS_ON": "1"}
        if "HF_ENDPOINT" in environment:
            self._inside["HF_ENDPOINT"] = environment["HF_ENDPOINT"]

    def command(self, name: str, words: Sequence[str]) -> dict[str, Any]:
        """A command line to its end: exit code, what it printed, seconds."""
        started_s = time.monotonic()
        done = subprocess.run(
            self._traced(name, words), capture_output=True, text=True, check=False, env=self._environment(), cwd="/",
            stdin=subprocess.DEVNULL, timeout=240)
        seconds = time.monotonic() - started_s
        return {"code": done.returncode, "stdout": done.stdout, "stderr": done.stderr[-3000:], "seconds": seconds}

    def window(self, name: str, words: Sequence[str], parts: Sequence[Any]) -> dict[str, Any]:
        """The window, with each part in turn: a person's steps, or `{"run": words}` beside it. It is to end with the last."""
        program = subprocess.Popen(
            self._traced(name, words), env=self._environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            cwd="/", stdin=subprocess.DEVNULL, start_new_session=True)
        answer: dict[str, Any] = {"seen": {}, "failed": "", "steps": "", "codes": []}
        try:
            for number, part in enumerate(parts):
                if isinstance(part, dict):
                    aside = self.command(f"{name}-{number}", part["run"])
                    answer["codes"].append(aside["code"])
                    answer["steps"] += f"{aside['seconds']:6.1f} s {part['run']} {aside['stdout'][-500:]}{aside['stderr']}\n"
                else:
                    self._follow(part, answer)
                if answer["failed"]:
                    break
            else:
                answer["code"] = program.wait(END_S)
        except subprocess.TimeoutExpired as late:
            answer["failed"] = str(late)
        finally:
            # A tracer that is ended alone lets go of what it traced.
            if program.poll() is None:
                os.killpg(program.pid, signal.SIGKILL)
            answer["said"] = program.communicate()[0][-3000:]
        return answer

    def _follow(self, steps: Sequence[Mapping[str, Any]], answer: dict[str, Any]) -> None:
        """Let a person follow the steps; what was seen is added to `answer`."""
        job = {"program": PROGRAM, "shots": str(self._folder), "steps": list(steps)}
        as_user = ["setpriv", f"--reuid={USER_ID}", f"--regid={USER_ID}", "--clear-groups"]
        person = subprocess.run(
            [*as_user, SYSTEM_PYTHON, "-W", "ignore", str(PERSON)],
            input=json.dumps(job), capture_output=True, text=True, check=False, timeout=400, env=self._outside, cwd="/")
        answer["steps"] += person.stderr
        told = json.loads(person.stdout) if person.stdout else {"seen": {}, "failed": "the person could not begin"}
        answer["seen"].update(told["seen"])
        answer["failed"] = told["failed"]

    def _traced(self, name: str, words: Sequence[str]) -> list[str]:
        return traced(self._folder / f"{name}.strace", self._root.command(*words))

    def _environment(self) -> dict[str, str]:
        return {**FIXED, "HOME": HOME, **self._inside}


def main() -> int:
    """Do a job: {root, folder, repos: {name: file}, runs: [[kind, name, words, steps]]}."""
    job = json.load(sys.stdin)
    root = CleanRoot(Path(job["root"]), Path(job["folder"]))
    results: dict[str, Any] = {}
    with ExitStack() as stack:
        stack.enter_context(loopback_only())
        environment = dict(stack.enter_context(screen(Path(job["folder"]))))
        if job["repos"]:
            repos = {name: Path(file) for name, file in job["repos"].items()}
            hub = stack.enter_context(HubServer({name: RepoFixture({file.name: file}) for name, file in repos.items()}))
            environment["HF_ENDPOINT"] = hub.endpoint
            results["hub_ports"] = [urlsplit(url).port for url in (hub.endpoint, hub.cdn_endpoint)]
        desk = Desk(root, job, environment, stack.enter_context(accessibility_bus(root, environment)))
        for kind, name, words, *steps in job["runs"]:
            results[name] = desk.window(name, words, *steps) if kind == "window" else desk.command(name, words)
    print(json.dumps(results), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
