"""What each chain of samplers costs a token, beside what the model itself costs; prints figures. Run with `-m bench -s`."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from localai_app.engine.protocol import LoadOptions, Sampling
from localai_app.engine.worker.candidates import CandidateArray
from localai_app.engine.worker.llama import LlamaBackend
from localai_app.engine.worker.llama_answer import LlamaAnswer
from localai_app.engine.worker.llama_model import LlamaModel
from localai_app.engine.worker.sampler import TokenSampler
from localai_app.engine.worker.stop_flag import StopFlags
from tests.bench.tables import print_table
from tests.helpers.real_models import gemma_path, smollm2_path

pytestmark = [pytest.mark.model, pytest.mark.bench, pytest.mark.timeout(600)]

PROMPT = "The history of the lighthouse begins"
ROUNDS = 24
ANY_TEXT = "root ::= .*"
JSON_TEXT = r"""
root ::= object
value ::= object | array | string | number | "true" | "false" | "null"
object ::= "{" ws (string ":" ws value ("," ws string ":" ws value)*)? "}"
array ::= "[" ws (value ("," ws value)*)? "]"
string ::= "\"" ([^"\\\x00-\x1F] | "\\" ["\\/bfnrt])* "\"" ws
number ::= "-"? [0-9]+ ("." [0-9]+)? ws
ws ::= [ \n]*
"""
CHAINS = {
    "greedy": Sampling(temperature=0.0),
    "temperature alone": Sampling(top_k=0, top_p=1.0, min_p=0.0, seed=1),
    "top-k 40, top-p, min-p, temperature": Sampling(seed=1),
    "the same and penalties": Sampling(seed=1, repeat_penalty=1.1, presence_penalty=0.5),
    "the same and DRY": Sampling(seed=1, dry_multiplier=0.8, dry_window=1024),
    "the same and typical": Sampling(seed=1, typical_p=0.9),
    "the same and XTC": Sampling(seed=1, xtc_probability=0.5),
    "top-p without top-k": Sampling(top_k=0, min_p=0.0, seed=1),
    "typical without top-k": Sampling(top_k=0, top_p=1.0, min_p=0.0, typical_p=0.9, seed=1),
    "mirostat 1": Sampling(mirostat=1, seed=1),
    "mirostat 2": Sampling(mirostat=2, seed=1),
    "default, 5 log-probabilities": Sampling(seed=1, logprobs=5),
    "default, grammar of any text": Sampling(seed=1, grammar=ANY_TEXT),
}


@pytest.mark.parametrize("path_of", [smollm2_path, gemma_path], ids=["smollm2", "gemma"])
def test_what_chains_cost(path_of: Callable[[], Path]) -> None:
    backend = LlamaBackend(StopFlags())
    backend.load(1, LoadOptions(model_path=str(path_of()), ctx=1024, threads=1), lambda _fraction: None)
    model = backend._model
    assert model is not None
    token_s = token_time(backend.prepare_completion(PROMPT, Sampling(temperature=0.0)))
    costs = {name: sample_time(model, sampling) for name, sampling in CHAINS.items()}
    costs["checking one token against JSON"] = single_check_time(model)
    costs["checking all tokens against JSON"] = mask_time(model)
    costs["checking the likeliest against JSON"] = mask_likeliest_time(model)
    print_table(
        f"{model.n_vocab} tokens in the vocabulary; a token of the model takes {token_s * 1e3:.1f} ms",
        [(name, f"{cost_s * 1e3:8.3f} ms {cost_s / token_s:7.1%} of a token") for name, cost_s in costs.items()])
    assert costs["default, grammar of any text"] < token_s
    model.free()


def token_time(answer: LlamaAnswer) -> float:
    """Seconds of evaluating and choosing a token."""
    while answer.evaluate_prompt_part() < answer.prompt_tokens:
        pass
    return quick_time(lambda: answer.next_piece())


def sample_time(model: LlamaModel, sampling: Sampling) -> float:
    """Seconds of choosing a token from the row that is there."""
    sampler = TokenSampler(model.library, model, sampling)
    sampler.prime(list(range(100, 400)))
    seconds = quick_time(lambda: sampler.sample(model.context))
    sampler.close()
    return seconds


def single_check_time(model: LlamaModel) -> float:
    """What a token that fits costs on top of the chain."""
    sampler = TokenSampler(model.library, model, Sampling(grammar=JSON_TEXT))
    assert sampler._guard is not None
    token = model.tokenize_plain("{")[0]
    seconds = quick_time(lambda: sampler._guard.allows(token))  # type: ignore[union-attr]
    sampler.close()
    return seconds


def mask_time(model: LlamaModel) -> float:
    """What a token that does not fit costs: in the middle of a string, where most of the vocabulary has to be looked at."""
    sampler = TokenSampler(model.library, model, Sampling(grammar=JSON_TEXT))
    assert sampler._guard is not None
    sampler.resume('{"name": "An')
    candidates = CandidateArray(model.library, model.n_vocab)

    def mask() -> None:
        candidates.fill(model.context, -1)
        sampler._guard.mask(candidates)  # type: ignore[union-attr]

    seconds = quick_time(mask)
    sampler.close()
    return seconds


def mask_likeliest_time(model: LlamaModel) -> float:
    """The same where it is enough to look at the likeliest tokens."""
    sampler = TokenSampler(model.library, model, Sampling(grammar=JSON_TEXT))
    assert sampler._guard is not None
    sampler.resume('{"name": "An')
    candidates = CandidateArray(model.library, model.n_vocab)

    def mask() -> None:
        candidates.fill(model.context, -1)
        sampler._guard.mask_likeliest(candidates, 0.8, 40)  # type: ignore[union-attr]

    seconds = quick_time(mask)
    sampler.close()
    return seconds


def quick_time(action: Callable[[], object]) -> float:
    """The quickest tenth of ROUNDS calls after one that does not count: others on the computer only make it slower."""
    action()
    times = []
    for _ in range(ROUNDS):
        started_s = time.perf_counter()
        action()
        times.append(time.perf_counter() - started_s)
    return statistics.quantiles(times, n=10)[0]
