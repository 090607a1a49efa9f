"""A person at the window of an installed program: reads as a screen reader does, acts by mouse and keys.

`/usr/bin/python3 person.py` takes a job as JSON on standard input and prints what was seen. The program knows nothing of it. It
needs only Debian's python3-gi, gir1.2-atspi-2.0 and xdotool, and the address of the accessibility bus in AT_SPI_BUS_ADDRESS.

Steps: {"wait": TEXT} or {"wait_match": REGEX} until it is on screen, {"wait_button": WORDS}, {"click": WORDS} on a button,
{"click_text": WORDS} on anything, {"type": TEXT}, {"key": NAME}, {"see": NAME} keeps all text on screen, {"shoot": NAME} keeps
a picture, {"close": true} the window.
"""

from __future__ import annotations

import ctypes
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import gi

gi.require_version("Atspi", "2.0")
from gi.repository import Atspi, GLib  # noqa: E402

STEP_TIMEOUT_S = 180
POLL_S = 0.25
PRESSED = (Atspi.Role.PUSH_BUTTON, Atspi.Role.TOGGLE_BUTTON, Atspi.Role.CHECK_BOX, Atspi.Role.RADIO_BUTTON)


class Person:
    """Looks and acts; `seen` is what it will tell."""

    def __init__(self, program, shots):
        self.seen = {}
        self._program = program
        self._shots = shots
        self._window_titles = []

    def window(self):
        """The program's window as the accessibility bus has it; None before it is there."""
        desktop = Atspi.get_desktop(0)
        for index in range(desktop.get_child_count()):
            app = desktop.get_child_at_index(index)
            if app is None or app.get_name() != self._program:
                continue
            for number in range(app.get_child_count()):
                frame = app.get_child_at_index(number)
                if frame is not None and frame.get_state_set().contains(Atspi.StateType.SHOWING):
                    return frame
        return None

    def showing(self):
        """Everything that is on screen, from top to bottom of the tree."""
        window = self.window()
        waiting = [window] if window is not None else []
        while waiting:
            node = waiting.pop()
            try:
                if not node.get_state_set().contains(Atspi.StateType.SHOWING):
                    continue
                yield node
                waiting += [child for index in reversed(range(node.get_child_count()))
                            if (child := node.get_child_at_index(index)) is not None]
            except GLib.Error:
                continue

    def texts(self):
        """All words on screen."""
        found = []
        for node in self.showing():
            try:
                found += [node.get_name() or "", self._text_of(node)]
            except GLib.Error:
                continue
        return "\n".join(text for text in found if text)

    def find(self, words, roles=None):
        """What says these words or begins with them, first those that are pressed."""
        for node in self.showing():
            try:
                if (roles is None or node.get_role() in roles) and (
                        (node.get_name() or "").startswith(words) or (roles is None and self._text_of(node).startswith(words))):
                    return node
            except GLib.Error:
                continue
        return None

    def click(self, node):
        """The left button of the mouse in the middle of it."""
        place = Atspi.Component.get_extents(node, Atspi.CoordType.SCREEN)
        x, y = place.x + place.width // 2, place.y + place.height // 2
        xdotool("mousemove", str(x), str(y), "click", "1")

    def do(self, step):
        """One step; TimeoutError with what was on screen if what it waits for does not come."""
        (name, value), *_ = step.items()
        if name == "wait":
            self._until(lambda: value in self.texts(), value)
        elif name == "wait_match":
            self._until(lambda: re.search(value, self.texts(), re.MULTILINE), value)
        elif name == "wait_button":
            self._until(lambda: self.find(value, PRESSED), f"a button {value}")
        elif name == "click":
            self.click(self._until(lambda: self.find(value, PRESSED), f"a button {value}"))
        elif name == "click_text":
            self.click(self._until(lambda: self.find(value), value))
        elif name == "type":
            self._give_focus()
            xdotool("type", "--delay", "15", value)
        elif name == "key":
            self._give_focus()
            xdotool("key", value)
        elif name == "see":
            self.seen[value] = self.texts()
        elif name == "shoot":
            time.sleep(0.3)
            (self._shots / f"{value}.xwd").write_bytes(Path(os.environ["SCREEN_FILE"]).read_bytes())
        elif name == "close":
            close_window()
        else:
            raise ValueError(name)

    def _until(self, condition, words):
        end_s = time.monotonic() + STEP_TIMEOUT_S
        while True:
            found = condition()
            if found:
                return found
            if time.monotonic() > end_s:
                raise TimeoutError(f"waited for {words}; on screen: {self.texts()[:3000]}")
            time.sleep(POLL_S)

    @staticmethod
    def _text_of(node):
        text = node.get_text_iface()
        return Atspi.Text.get_text(text, 0, -1) if text is not None else ""

    @staticmethod
    def _give_focus():
        """No window manager gives a window the keyboard, so this does."""
        xdotool("windowfocus", "--sync", str(window_id()))


def xdotool(*words):
    """Act on the screen through the X server's own test extension."""
    subprocess.run(["xdotool", *words], check=True, timeout=60)


def window_id():
    """The number of the program's window on the X server: the widest that has its title."""
    found = subprocess.run(
        ["xdotool", "search", "--onlyvisible", "--name", "Local AI"], check=True, capture_output=True, text=True, timeout=60)
    return int(found.stdout.split()[0])


def close_window():
    """Ask the window to close, as the cross in its title bar does."""
    x = ctypes.CDLL("libX11.so.6")
    x.XOpenDisplay.restype = ctypes.c_void_p
    display = ctypes.c_void_p(x.XOpenDisplay(None))
    x.XInternAtom.restype = ctypes.c_ulong

    class Message(ctypes.Structure):
        _fields_ = [
            ("type", ctypes.c_int), ("serial", ctypes.c_ulong), ("send_event", ctypes.c_int), ("display", ctypes.c_void_p),
            ("window", ctypes.c_ulong), ("message_type", ctypes.c_ulong), ("format", ctypes.c_int), ("data", ctypes.c_long * 5),
            ("rest", ctypes.c_char * 192)]

    window = window_id()
    protocols, delete = (x.XInternAtom(display, name, 0) for name in (b"WM_PROTOCOLS", b"WM_DELETE_WINDOW"))
    message = Message(type=33, display=display, window=window, message_type=protocols, format=32)
    message.data[0] = delete
    x.XSendEvent(display, ctypes.c_ulong(window), 0, 0, ctypes.byref(message))
    x.XSync(display, 0)
    x.XCloseDisplay(display)


def main():
    """Follow the steps; 0 if all could be done."""
    job = json.load(sys.stdin)
    person = Person(job["program"], Path(job["shots"]))
    Atspi.get_desktop(0).set_cache_mask(Atspi.Cache.NONE)
    failed = ""
    for step in job["steps"]:
        started_s = time.monotonic()
        try:
            person.do(step)
        except Exception as error:  # noqa: BLE001 - whatever goes wrong is what this run tells
            failed = f"{step}: {type(error).__name__}: {error}"
            person.do({"shoot": "failed"})
            break
        print(f"{time.monotonic() - started_s:6.1f} s {step}", file=sys.stderr, flush=True)
    print(json.dumps({"seen": person.seen, "failed": failed}), flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
