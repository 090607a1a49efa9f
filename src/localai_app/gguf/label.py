"""What a GGUF file's name says: the quantization label and the place among split parts."""

from __future__ import annotations

import re

_LABEL = re.compile(
    r"(?<![A-Z0-9])"
    r"(?P<dynamic>UD-)?"
    r"(?P<label>"
    r"I?Q[1-8]_(?:K_(?:XXL|XL|L|M|S|P)|K|XXS|XS|S|M|L|NL|0|1)(?:_XL)?"
    r"|TQ[12]_0|MXFP4|NVFP4|BF16|FP16|F16|FP32|F32)"
    r"(?:_MOE)?"
    r"(?![A-Z0-9])",
    re.IGNORECASE,
)
_SPLIT = re.compile(r"-(\d{5})-of-(\d{5})\.gguf$", re.IGNORECASE)
_SAME_AS = {"FP16": "F16", "FP32": "F32"}


def label_of_name(filename: str) -> str:
    """The quantization label in a file's name: Q4_K_M, UD-Q4_K_XL, IQ2_XXS, MXFP4, BF16 ...; "" where there is none.

    The last label of the name counts, then that of the folder it lies in (repositories keep split files in `BF16/`).
    """
    for part in reversed(filename.replace("\\", "/").split("/")):
        found = list(_LABEL.finditer(part))
        if found:
            label = found[-1]["label"].upper()
            prefix = "UD-" if found[-1]["dynamic"] else ""
            return prefix + _SAME_AS.get(label, label)
    return ""


def split_part(filename: str) -> tuple[int, int] | None:
    """(number, count), both from 1, of one part of a split model (`...-00001-of-00003.gguf`); None for a whole file."""
    found = _SPLIT.search(filename)
    if found is None:
        return None
    number, count = int(found[1]), int(found[2])
    return (number, count) if 1 <= number <= count else None
