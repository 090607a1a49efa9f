"""Which windows lie on an X screen without a window manager, and in which order."""

from __future__ import annotations

import ctypes
import ctypes.util
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class XScreen:
    """A connection to an X server that only looks."""

    def __init__(self, library: Any, display: int) -> None:
        self._library = library
        self._display = display

    def titles(self) -> list[str]:
        """The titles of the windows from the lowest to the one on top; those without a title are left out."""
        library, display = self._library, self._display
        root = library.XDefaultRootWindow(display)
        found_root, parent, count = ctypes.c_ulong(), ctypes.c_ulong(), ctypes.c_uint()
        children = ctypes.POINTER(ctypes.c_ulong)()
        library.XQueryTree(display, root, *map(ctypes.byref, (found_root, parent, children, count)))
        titles = [self._title(children[index]) for index in range(count.value)]
        if children:
            library.XFree(children)
        return [title for title in titles if title]

    def _title(self, window: int) -> str:
        name = ctypes.c_char_p()
        if not self._library.XFetchName(self._display, ctypes.c_ulong(window), ctypes.byref(name)):
            return ""
        title = (name.value or b"").decode("utf-8", "replace")
        self._library.XFree(name)
        return title


@contextmanager
def x_screen(display: str) -> Iterator[XScreen | None]:
    """The screen called `display`; None where libX11 is not installed."""
    name = ctypes.util.find_library("X11")
    if name is None:
        yield None
        return
    library: Any = ctypes.CDLL(name)
    library.XOpenDisplay.restype = ctypes.c_void_p
    library.XDefaultRootWindow.restype = ctypes.c_ulong
    library.XDefaultRootWindow.argtypes = [ctypes.c_void_p]
    library.XQueryTree.argtypes = [ctypes.c_void_p, ctypes.c_ulong, *[ctypes.c_void_p] * 4]
    library.XFetchName.argtypes = [ctypes.c_void_p, ctypes.c_ulong, ctypes.c_void_p]
    library.XFree.argtypes = [ctypes.c_void_p]
    library.XCloseDisplay.argtypes = [ctypes.c_void_p]
    opened = library.XOpenDisplay(display.encode())
    assert opened, f"no X server at {display}"
    try:
        yield XScreen(library, opened)
    finally:
        library.XCloseDisplay(opened)
