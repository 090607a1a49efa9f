"""The tiny models that other tests use are real ones: llama.cpp loads them and answers."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.gguf_files import write_tiny_gguf

_ANSWER = """
import sys, llama_cpp
model = llama_cpp.Llama(sys.argv[1], n_ctx=128, n_threads=1, verbose=False)
tokens = model.tokenize(b"hello")
model.eval(tokens)
model.create_chat_completion([{"role": "user", "content": "hello"}], max_tokens=4, seed=1)
print(len(tokens), model.n_vocab())
"""


@pytest.mark.model
@pytest.mark.parametrize("overrides", [{}, {"n_expert": 4, "n_expert_used": 2, "n_ff": 64, "tied_embeddings": True}])
def test_llama_cpp_loads_and_decodes(tmp_path: Path, overrides: dict[str, object]) -> None:
    if importlib.util.find_spec("llama_cpp") is None:
        pytest.skip("the engine is not installed here")
    path = write_tiny_gguf(tmp_path / "tiny.gguf", **overrides)
    assert path.stat().st_size < 320_000
    done = subprocess.run(
        [sys.executable, "-c", _ANSWER, str(path)], capture_output=True, text=True, timeout=120, check=False, cwd=tmp_path
    )
    assert done.stdout.split() == ["7", "354"], done.stderr[-500:]
