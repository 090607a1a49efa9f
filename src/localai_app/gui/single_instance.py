"""One window for each data folder: a second start wakes the first one and hands it what it should open."""

from __future__ import annotations

import getpass
import hashlib
import json
import logging
import os
import time
from pathlib import Path

from PySide6.QtCore import QLockFile, QObject, Signal
from PySide6.QtNetwork import QLocalServer, QLocalSocket

log = logging.getLogger(__name__)

CONNECT_MS = 500
ANSWER_MS = 2_000
PATIENCE_S = 5.0
"""How long a second start waits for a first one that is still starting."""
LARGEST_REQUEST_BYTES = 64 * 1024
READY = b"raised\n"


def instance_name(data_dir: Path) -> str:
    """The socket's name: the same for the same user and data folder, and short enough for every system."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = str(os.getuid()) if hasattr(os, "getuid") else "user"
    digest = hashlib.sha256(f"{user}\0{data_dir.absolute()}".encode()).hexdigest()
    return f"localai-app-{digest[:20]}"


def hand_over(data_dir: Path, open_target: str = "") -> bool:
    """Wake a window that is already open for `data_dir` and let it open `open_target`; false if there is none.

    Needs no application object, so that a second start can ask before it builds anything.
    """
    socket = QLocalSocket()
    socket.connectToServer(instance_name(data_dir))
    if not socket.waitForConnected(CONNECT_MS):
        return False
    socket.write(json.dumps({"open": open_target}).encode() + b"\n")
    socket.flush()
    socket.waitForBytesWritten(CONNECT_MS)
    is_raised = socket.canReadLine() or socket.waitForReadyRead(ANSWER_MS)
    socket.disconnectFromServer()
    return bool(is_raised)


class SingleInstance(QObject):
    """Listens for further starts while this process owns the window. `activated` carries what to open, or ""."""

    activated = Signal(str)

    def __init__(self, data_dir: Path, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._data_dir = data_dir
        self._lock: QLockFile | None = None
        self._server = QLocalServer(self)
        self._server.setSocketOptions(QLocalServer.SocketOption.UserAccessOption)
        self._server.newConnection.connect(self._on_new_connection)

    def claim(self, open_target: str = "") -> bool:
        """Become the first instance (true), or hand `open_target` to the one that is there (false).

        A lock file decides between two starts at the same moment; one left behind by a process that died is
        taken over. Where the folder cannot be written to, there is nothing to protect and the claim succeeds.
        """
        give_up_s = time.monotonic() + PATIENCE_S
        while not self._take_lock():
            if hand_over(self._data_dir, open_target):
                return False
            if time.monotonic() > give_up_s:
                log.warning("another window holds the lock but does not answer; opening a second one")
                return True
            time.sleep(0.05)
        name = instance_name(self._data_dir)
        QLocalServer.removeServer(name)
        if not self._server.listen(name):
            log.warning("further starts cannot reach this window: %s", self._server.errorString())
        return True

    def release(self) -> None:
        """Listen no more and let another process be the first."""
        self._server.close()
        if self._lock is not None:
            self._lock.unlock()
            self._lock = None

    def _take_lock(self) -> bool:
        try:
            self._data_dir.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            log.info("no lock in a folder that cannot be made: %s", error)
            return True
        lock = QLockFile(str(self._data_dir / "window.lock"))
        lock.setStaleLockTime(0)
        if lock.tryLock(0):
            self._lock = lock
            return True
        return lock.error() is not QLockFile.LockError.LockFailedError

    def _on_new_connection(self) -> None:
        while (socket := self._server.nextPendingConnection()) is not None:
            socket.readyRead.connect(lambda socket=socket: self._on_request(socket))
            socket.disconnected.connect(socket.deleteLater)
            if socket.canReadLine():
                self._on_request(socket)

    def _on_request(self, socket: QLocalSocket) -> None:
        if not socket.canReadLine():
            if socket.bytesAvailable() > LARGEST_REQUEST_BYTES:
                socket.abort()
            return
        line = bytes(socket.readLine(LARGEST_REQUEST_BYTES).data())
        socket.write(READY)
        socket.flush()
        self.activated.emit(_target_of(line))


def _target_of(line: bytes) -> str:
    try:
        request = json.loads(line)
    except ValueError:
        return ""
    target = request.get("open", "") if isinstance(request, dict) else ""
    return target if isinstance(target, str) else ""
