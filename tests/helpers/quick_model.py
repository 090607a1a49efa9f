"""SmolLM2 as llama.cpp's quantizer makes it of the real file in Q4_0, which llama.cpp rearranges and reads twice as fast.

For tests whose model has to be a real one that chats, whatever its type: reading prompts is most of the time they take.
`python -m tests.helpers.quick_model SOURCE TARGET` makes it.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from functools import cache
from pathlib import Path

from tests.helpers.quantizer_program import FILE_TYPES
from tests.helpers.real_models import smollm2_path

FILE_NAME = "SmolLM2-135M-Instruct.Q4_0.gguf"


@cache
def quick_smollm2_path() -> Path:
    """The file (92 MB) beside the one that it is made of, once, in about 2 s; skips the test where there is no SmolLM2."""
    source = smollm2_path()
    target = source.with_name(FILE_NAME)
    if not target.is_file():
        made = target.with_name(f"{FILE_NAME}.{os.getpid()}")
        subprocess.run(
            [sys.executable, "-m", "tests.helpers.quick_model", str(source), str(made)], check=True, capture_output=True,
            timeout=120, cwd=Path(__file__).resolve().parents[2])
        made.replace(target)
    return target


def _main() -> None:
    from llama_cpp import llama_cpp as library

    parameters = library.llama_model_quantize_default_params()
    parameters.ftype = FILE_TYPES["Q4_0"]
    parameters.allow_requantize = True
    parameters.nthread = 1
    source, target = (os.fsencode(path) for path in sys.argv[1:])
    sys.exit(library.llama_model_quantize(source, target, ctypes.byref(parameters)))


if __name__ == "__main__":
    _main()
