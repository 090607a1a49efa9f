"""Works of which parts are linked into what Zig compiles for Windows: MinGW's runtime, LLVM's C++ library, Zig's own code."""

from __future__ import annotations

import re
from pathlib import Path

from tools.package.component import Component, tidy

_LLVM = "Apache-2.0 WITH LLVM-exception"
ARCHIVES = {
    "dllcrt2.obj": "MinGW-w64 runtime", "crt2.obj": "MinGW-w64 runtime", "libmingw32.lib": "MinGW-w64 runtime",
    "c++.lib": "libc++", "c++abi.lib": "libc++abi", "unwind.lib": "libunwind", "zigc.lib": "Zig", "ubsan_rt.lib": "Zig",
    "compiler_rt.lib": "Zig"}
"""What Zig hands to the linker beside what it compiled, and whose it is; a test compares it with the links of the engine."""
_OWN = re.compile(r"\S*/o/[0-9a-f]{32}/(\S+\.(?:obj|lib))")
"""A file that Zig made in its cache."""
_TEXTS = {
    "MinGW-w64 runtime": ("ZPL-2.1, MIT", ("lib/libc/mingw/COPYING", "lib/libc/mingw/winpthreads/thread.c")),
    "libc++": (_LLVM, ("lib/libcxx/LICENSE.TXT",)),
    "libc++abi": (_LLVM, ("lib/libcxxabi/LICENSE.TXT",)),
    "libunwind": (_LLVM, ("lib/libunwind/LICENSE.TXT",)),
    "Zig": ("MIT", ("LICENSE", "lib/libc/musl/COPYRIGHT")),
}
"""Licence and texts, relative to the folder of the compiler. Functions of Zig's own libraries were ported from musl."""


def linked_in(log: str) -> frozenset[str]:
    """The names of Zig's own objects and libraries in the link commands of a log (ZIG_VERBOSE_LINK), import libraries too."""
    commands = (line for line in log.splitlines() if line.startswith("lld-link "))
    return frozenset(name for line in commands for name in _OWN.findall(line))


def components(zig: Path, version: str) -> tuple[Component, ...]:
    """All of them, with their texts as the compiler brings them."""
    return tuple(
        Component(
            name, version if name == "Zig" else f"of Zig {version}", licence, tuple(_text(zig.parent / file) for file in files))
        for name, (licence, files) in _TEXTS.items())


def _text(path: Path) -> str:
    """The whole file, or of a source its first comment, where its terms stand."""
    text = path.read_text(encoding="utf-8")
    return tidy(text.partition("/*")[2].partition("*/")[0]) if path.suffix == ".c" else tidy(text)
