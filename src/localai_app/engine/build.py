"""Which llama.cpp is installed, told without loading it."""

from __future__ import annotations

import hashlib
import importlib.util
from pathlib import Path

_PACKAGE = "llama_cpp"


def installed_build() -> str:
    """A name that changes with every other build of llama.cpp; "" where none is installed."""
    try:
        spec = importlib.util.find_spec(_PACKAGE)
    except (ImportError, ValueError):
        return ""
    if spec is None or not spec.submodule_search_locations:
        return ""
    facts = []
    for folder in spec.submodule_search_locations:
        for path in sorted(Path(folder, "lib").glob("*")):
            try:
                status = path.stat()
            except OSError:
                continue
            facts.append(f"{path.name}:{status.st_size}:{status.st_mtime_ns}")
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()[:16] if facts else ""
