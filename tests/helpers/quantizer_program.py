"""Asks llama.cpp's quantizer which type it would give each tensor of a file, and which of them fall back to another type.

`python -m tests.helpers.quantizer_program FILE LABEL...` prints one JSON object. Nothing is quantized and no weights are read
(`dry_run`).
"""

from __future__ import annotations

import ctypes
import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

FILE_TYPES = {
    "F16": 1, "BF16": 32,
    "Q4_0": 2, "Q4_1": 3, "Q8_0": 7, "Q5_0": 8, "Q5_1": 9, "Q2_K": 10, "Q3_K_S": 11, "Q3_K_M": 12, "Q3_K_L": 13, "Q4_K_S": 14,
    "Q4_K_M": 15, "Q5_K_S": 16, "Q5_K_M": 17, "Q6_K": 18, "IQ2_XXS": 19, "IQ2_XS": 20, "Q2_K_S": 21, "IQ3_XS": 22,
    "IQ3_XXS": 23, "IQ1_S": 24, "IQ4_NL": 25, "IQ3_S": 26, "IQ3_M": 27, "IQ2_S": 28, "IQ2_M": 29, "IQ4_XS": 30, "IQ1_M": 31,
    "TQ1_0": 36, "TQ2_0": 37}
"""`enum llama_ftype`."""
_TENSOR = re.compile(r"^\[ *\d+/ *\d+\] +(\S+) +- \[.*?\], +type = +(\S+?),")
_FALLBACK = re.compile(r"warning: (\S+) +- ncols")
_CHOICE = re.compile(r"size = +[\d.]+ MiB -> +[\d.]+ MiB \((\S+)\)")


def quantizer_types(path: Path, label: str) -> dict[str, str]:
    """The type of each tensor by its name."""
    return quantizer_choices(path, [label])[label][0]


def quantizer_choices(path: Path, labels: Sequence[str]) -> dict[str, tuple[dict[str, str], list[str]]]:
    """By label: the type of each tensor by its name, and the tensors whose rows do not fill blocks of the one called for."""
    result = subprocess.run(
        [sys.executable, "-m", "tests.helpers.quantizer_program", str(path), *labels], capture_output=True, text=True,
        timeout=120, check=False, cwd=Path(__file__).resolve().parents[2])
    assert result.returncode == 0, result.stderr[-2000:]
    choices: dict[str, tuple[dict[str, str], list[str]]] = json.loads(result.stdout.splitlines()[-1])
    return choices


def _main() -> None:
    from llama_cpp import llama_cpp as library

    said: list[str] = []

    def keep(_level: int, text: bytes, _data: object) -> None:
        said.append(text.decode("utf-8", "replace"))

    callback = library.llama_log_callback(keep)
    library.llama_log_set(callback, ctypes.c_void_p(0))
    parameters = library.llama_model_quantize_default_params()
    parameters.dry_run = True
    parameters.nthread = 1
    target = sys.argv[1] + ".out"
    choices = {}
    for label in sys.argv[2:]:
        said.clear()
        parameters.ftype = FILE_TYPES[label]
        status = library.llama_model_quantize(os.fsencode(sys.argv[1]), os.fsencode(target), ctypes.byref(parameters))
        log = "".join(said)
        assert status == 0, log[-2000:]
        choices[label] = (_types_in_log(log), _FALLBACK.findall(log))
    print(json.dumps(choices))


def _types_in_log(text: str) -> dict[str, str]:
    types = {}
    for line in text.splitlines():
        if found := _TENSOR.match(line):
            choice = _CHOICE.search(line)
            types[found[1]] = (choice[1] if choice else found[2]).upper()
    return types


if __name__ == "__main__":
    _main()
