"""Keeps tests apart from the developer's own files and from the network."""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

FOLDERS = {
    "HOME": "",
    "USERPROFILE": "",
    "APPDATA": "AppData/Roaming",
    "LOCALAPPDATA": "AppData/Local",
    "XDG_CONFIG_HOME": ".config",
    "XDG_DATA_HOME": ".local/share",
    "XDG_CACHE_HOME": ".cache",
    "XDG_STATE_HOME": ".local/state",
    "XDG_RUNTIME_DIR": "run",
    "HF_HOME": ".cache/huggingface",
}
REMOVED = (
    "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_ENDPOINT", "HF_HUB_OFFLINE", "HF_HUB_CACHE", "HF_TOKEN_PATH", "HTTP_PROXY",
    "HTTPS_PROXY", "ALL_PROXY", "FTP_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "all_proxy", "ftp_proxy", "no_proxy",
)


class Homes:
    """Empty homes for tests: a home that a test left exactly as it was is the next test's, too.

    Most tests never look at theirs, and a dozen new folders for each of thousands of them take longer than many a test.
    """

    def __init__(self, make_folder: Callable[[], Path]) -> None:
        self._make_folder = make_folder
        self._home = Path()
        self._as_made: list[Any] = []

    def empty(self) -> Path:
        """A home with every usual folder, and nothing in them."""
        if not self._as_made or _everything_in(self._home) != self._as_made:
            self._home = self._make_folder()
            for part in FOLDERS.values():
                (self._home / part).mkdir(parents=True, exist_ok=True)
            (self._home / "run").chmod(0o700)
            self._as_made = _everything_in(self._home)
        return self._home


def _everything_in(home: Path) -> list[Any]:
    """Each folder with who may enter it, and the names of what is in it."""
    if not home.is_dir():
        return []
    return sorted(
        (place, Path(place).stat().st_mode, sorted(folders), sorted(names)) for place, folders, names in os.walk(home))


def private_environment(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Point every variable that names a folder of the user into `home`, and remove tokens, proxies and Hub settings."""
    for name, part in FOLDERS.items():
        monkeypatch.setenv(name, str(home / part))
    for name in REMOVED:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_HUB_DISABLE_TELEMETRY", "1")


class NetworkForbiddenError(BaseException):
    """A test tried to reach another computer. Not an `Exception`, so that no code under test takes it for a network fault."""


def guard_network() -> Callable[[], None]:
    """Make connections to anything but this computer raise `NetworkForbiddenError`; the function that undoes it."""
    originals = {name: getattr(socket.socket, name) for name in ("connect", "connect_ex", "sendto")}
    look_up = socket.getaddrinfo

    def guarded(name: str) -> Callable[..., Any]:
        def call(self: socket.socket, *arguments: Any) -> Any:
            address = arguments[-1]
            if self.family in (socket.AF_INET, socket.AF_INET6) and isinstance(address, tuple):
                _require_loopback(address[0])
            return originals[name](self, *arguments)

        return call

    def guarded_look_up(host: Any, *arguments: Any, **options: Any) -> Any:
        _require_loopback(host)
        return look_up(host, *arguments, **options)

    def undo() -> None:
        for name, original in originals.items():
            setattr(socket.socket, name, original)
        socket.getaddrinfo = look_up

    for name in originals:
        setattr(socket.socket, name, guarded(name))
    socket.getaddrinfo = guarded_look_up
    return undo


def _require_loopback(host: object) -> None:
    name = host.decode() if isinstance(host, bytes) else host
    if name in (None, "", "localhost") or name == socket.gethostname():
        return
    try:
        if ipaddress.ip_address(str(name).partition("%")[0]).is_loopback:
            return
    except ValueError:
        # Reserved for tests by RFC 6761: it never resolves, which is what tests of an unknown host need.
        if str(name).endswith(".invalid"):
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known") from None
    raise NetworkForbiddenError(f"a test tried to reach {host!r} from process {os.getpid()}")
