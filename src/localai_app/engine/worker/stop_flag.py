"""Which answers the user wants to end; set by the command reader, seen by the answer loop and by llama.cpp itself."""

from __future__ import annotations

import ctypes
import threading


class StopFlags:
    """Requests that were asked to stop. `running_flag` is a C string: non-empty once the running request should end."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._expected: set[int] = set()
        self._stopped: set[int] = set()
        self._running_id: int | None = None
        self.running_flag = ctypes.create_string_buffer(2)

    def expect(self, request_id: int) -> None:
        """A request has arrived and can be stopped from now on."""
        with self._lock:
            self._expected.add(request_id)

    def stop(self, request_id: int) -> None:
        """Ask a request to end; one that is unknown or already over is ignored."""
        with self._lock:
            if request_id in self._expected:
                self._stopped.add(request_id)
            if request_id == self._running_id:
                self.running_flag[0] = b"\x01"

    def begin(self, request_id: int) -> None:
        """The request is now the running one."""
        with self._lock:
            self._running_id = request_id
            self.running_flag[0] = b"\x01" if request_id in self._stopped else b"\x00"

    def end(self, request_id: int) -> None:
        """The request is over."""
        with self._lock:
            self._running_id = None
            self.running_flag[0] = b"\x00"
            self._expected.discard(request_id)
            self._stopped.discard(request_id)

    @property
    def is_set(self) -> bool:
        """Whether the running request should end."""
        return self.running_flag.raw[0] != 0
