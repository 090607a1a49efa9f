"""What the self-test of a build of llama.cpp computes, and what it has to come out as.

The tiny model reads a prompt in one batch and then goes on token by token, always the same ones. The logits after both are
compared with stored ones: a build that miscalculates is found out, and not only one that crashes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache

import msgspec

from localai_app.engine.tiny_model import VOCABULARY
from localai_app.paths import resources_dir

PROMPT = tuple((37 * position + 11) % VOCABULARY for position in range(128))
CONTINUATION = tuple((91 * position + 5) % VOCABULARY for position in range(32))

MAX_DIFFERENCE = 0.1
"""Root mean square of the differences of logits, in standard deviations of the reference.

Measured against the reference: 0.00003 with the build that gave it, 0.025 with llama.cpp's variants without AVX2, 0.03 when
calculated in double precision. One tensor of a wrong scale (1.5) gives 0.26, one with its rows turned round 1.5.
"""


class Reference(msgspec.Struct, frozen=True):
    """The logits after the prompt and after the continuation; `model_sha256` of the file that gave them."""

    model_sha256: str
    after_prompt: tuple[float, ...]
    after_continuation: tuple[float, ...]


@cache
def reference() -> Reference:
    """As stored with the program (`resources/engine/self_test.json`, made by scripts/make_self_test.py)."""
    return msgspec.json.decode((resources_dir() / "engine" / "self_test.json").read_bytes(), type=Reference)


def difference(after_prompt: Sequence[float], after_continuation: Sequence[float]) -> float:
    """How far a build's logits are from the reference: the larger of two root mean squares; infinite where they are none."""
    known = reference()
    return max(_distance(after_prompt, known.after_prompt), _distance(after_continuation, known.after_continuation))


def _distance(found: Sequence[float], known: Sequence[float]) -> float:
    if len(found) != len(known) or not all(map(math.isfinite, found)):
        return math.inf
    mean = sum(known) / len(known)
    spread = sum((value - mean) ** 2 for value in known)
    return math.sqrt(sum((a - b) ** 2 for a, b in zip(found, known, strict=True)) / spread)
