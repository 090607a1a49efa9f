"""The package llama_cpp without its high-level part, which a worker does not use.

What `import llama_cpp` does beyond the binding (numpy, jinja2 and more, for the class Llama) takes 0.26 s of a processor,
four times as long as the binding itself: more than all else in the start of a worker.
"""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_PACKAGE = "llama_cpp"
_VERSION = re.compile(r"\d+(\.\d+)+\S*")


@contextmanager
def bare_package() -> Iterator[None]:
    """Inside it, modules of llama_cpp are imported without the package's own code; afterwards it is as not yet imported."""
    spec = importlib.util.find_spec(_PACKAGE) if _PACKAGE not in sys.modules else None
    if spec is None:
        yield
        return
    sys.modules[_PACKAGE] = importlib.util.module_from_spec(spec)
    try:
        yield
    finally:
        del sys.modules[_PACKAGE]


def package_version() -> str:
    """`__version__` of the package, read from its code."""
    spec = importlib.util.find_spec(_PACKAGE)
    # Whoever loads it: Python from a file, or a frozen program from its archive.
    code_of = getattr(spec.loader, "get_code", None) if spec is not None else None
    code = code_of(_PACKAGE) if code_of is not None else None
    for constant in code.co_consts if code is not None else ():
        if isinstance(constant, str) and _VERSION.fullmatch(constant):
            return constant
    import llama_cpp

    return str(llama_cpp.__version__)
