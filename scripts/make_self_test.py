"""Writes resources/engine/self_test.json: what the tiny model of the self-test has to come out as.

Run it after a change of `engine/tiny_model.py` or of the tokens in `engine/self_test.py`, with a build of llama.cpp that is
known to be right (a test compares the result with a calculation of its own).
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from pathlib import Path

from localai_app.engine.tiny_model import tiny_model_bytes, write_tiny_model
from localai_app.engine.worker.llama import LlamaBackend
from localai_app.engine.worker.stop_flag import StopFlags

TARGET = Path(__file__).resolve().parents[1] / "resources" / "engine" / "self_test.json"


def main() -> None:
    """Compute with the installed build, on the processor, and write the logits."""
    with tempfile.TemporaryDirectory() as folder:
        result = LlamaBackend(StopFlags()).self_test(1, str(write_tiny_model(Path(folder))), on_gpu=False)
    TARGET.parent.mkdir(exist_ok=True)
    TARGET.write_text(json.dumps({
        "model_sha256": hashlib.sha256(tiny_model_bytes()).hexdigest(),
        "after_prompt": [round(value, 4) for value in result.after_prompt],
        "after_continuation": [round(value, 4) for value in result.after_continuation],
    }) + "\n", encoding="utf-8")
    print(f"wrote {TARGET}: prompt {result.prompt_tokens / result.prompt_s:.0f} tokens per second, "
          f"generation {result.generated_tokens / result.generated_s:.0f}")


if __name__ == "__main__":
    main()
