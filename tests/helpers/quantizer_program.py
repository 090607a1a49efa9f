"""Asks llama.cpp's quantizer which type it would give each tensor of a sparse F16 file; prints them as one JSON object.

`python -m tests.helpers.quantizer_program FILE LABEL`. Nothing is quantized and no weights are read (`dry_run`).
"""

from __future__ import annotations

import ctypes
import json
import os
import re
import subprocess
import sys
from pathlib import Path

FILE_TYPES = {"Q8_0": 7, "Q4_K_M": 15}
"""`enum llama_ftype`."""
_TENSOR = re.compile(r"^\[ *\d+/ *\d+\] +(\S+) +- \[.*?\], +type = +(\S+?),")
_CHOICE = re.compile(r"size = +[\d.]+ MiB -> +[\d.]+ MiB \((\S+)\)")


def quantizer_types(path: Path, label: str) -> dict[str, str]:
    """The type of each tensor by its name."""
    result = subprocess.run(
        [sys.executable, "-m", "tests.helpers.quantizer_program", str(path), label], capture_output=True, text=True,
        timeout=120, check=False, cwd=Path(__file__).resolve().parents[2])
    assert result.returncode == 0, result.stderr[-2000:]
    types: dict[str, str] = json.loads(result.stdout.splitlines()[-1])
    return types


def _main() -> None:
    from llama_cpp import llama_cpp as library

    said: list[str] = []

    def keep(_level: int, text: bytes, _data: object) -> None:
        said.append(text.decode("utf-8", "replace"))

    callback = library.llama_log_callback(keep)
    library.llama_log_set(callback, ctypes.c_void_p(0))
    parameters = library.llama_model_quantize_default_params()
    parameters.ftype = FILE_TYPES[sys.argv[2]]
    parameters.dry_run = True
    parameters.nthread = 1
    target = sys.argv[1] + ".out"
    status = library.llama_model_quantize(os.fsencode(sys.argv[1]), os.fsencode(target), ctypes.byref(parameters))
    assert status == 0, "".join(said)[-2000:]
    print(json.dumps(_types_in_log("".join(said))))


def _types_in_log(text: str) -> dict[str, str]:
    types = {}
    for line in text.splitlines():
        if found := _TENSOR.match(line):
            choice = _CHOICE.search(line)
            types[found[1]] = (choice[1] if choice else found[2]).upper()
    return types


if __name__ == "__main__":
    _main()
