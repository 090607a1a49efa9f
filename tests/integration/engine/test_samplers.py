"""Every sampler does what it says: on logits made by hand, and on a real model held to grammars and schemas."""

from __future__ import annotations

import array
import json
import math
import time
from collections.abc import Iterator, Sequence

import msgspec
import pytest

from localai_app.engine.failure import RequestRefusedError
from localai_app.engine.grammar import GrammarError, parse_grammar
from localai_app.engine.protocol import Chat, ChatMessage, LoadOptions, Sampling
from localai_app.engine.sampling import LogitBias
from localai_app.engine.worker.candidates import CandidateArray
from localai_app.engine.worker.grammar_tracker import GrammarTracker
from localai_app.engine.worker.llama import LlamaBackend
from localai_app.engine.worker.llama_answer import LlamaAnswer
from localai_app.engine.worker.llama_model import LlamaModel
from localai_app.engine.worker.sampler import TokenSampler
from localai_app.engine.worker.stop_flag import StopFlags
from localai_app.errors import GRAMMAR_INVALID, GRAMMAR_STUCK, JSON_SCHEMA_INVALID, SAMPLING_INVALID
from tests.helpers.real_models import smollm2_path

pytestmark = pytest.mark.model

NEUTRAL = Sampling(temperature=1.0, top_k=0, top_p=1.0, min_p=0.0, seed=1)
PROBABILITIES = (0.4, 0.3, 0.15, 0.1, 0.04, 0.01)
"""Of the tokens 0 to 5; all others cannot come."""
PERSON = json.dumps({
    "type": "object", "required": ["name", "age", "tags"],
    "properties": {
        "name": {"type": "string", "maxLength": 20}, "age": {"type": "integer", "minimum": 0, "maximum": 120},
        "tags": {"type": "array", "items": {"enum": ["kind", "old", "shy"]}, "maxItems": 2}},
})


@pytest.fixture(scope="module")
def backend() -> Iterator[LlamaBackend]:
    loaded = LlamaBackend(StopFlags())
    loaded.load(1, LoadOptions(model_path=str(smollm2_path()), ctx=1024, threads=1), lambda _fraction: None)
    assert loaded._model is not None
    yield loaded
    loaded._model.free()


@pytest.fixture
def model(backend: LlamaBackend) -> LlamaModel:
    assert backend._model is not None
    return backend._model


def chances(
    model: LlamaModel, sampling: Sampling, *history: int, probabilities: Sequence[float] = PROBABILITIES,
) -> dict[int, float]:
    """What a chain leaves of the probabilities of the first tokens, by token."""
    sampler = TokenSampler(model.library, model, sampling)
    sampler.prime(history)
    candidates = CandidateArray(model.library, model.n_vocab)
    logits = [math.log(p) for p in probabilities] + [-1e9] * (model.n_vocab - len(probabilities))
    candidates.fill_with(array.array("f", logits).tobytes())
    candidates.apply(sampler._chain)
    left = {candidates.token(place): candidates.p(place) for place in range(candidates.size)}
    assert 0 <= candidates.selected < candidates.size
    sampler.close()
    return {token: p for token, p in sorted(left.items()) if p > 1e-6}


def changed(**values: object) -> Sampling:
    return msgspec.structs.replace(NEUTRAL, **values)


def test_nothing_set_changes_nothing(model: LlamaModel) -> None:
    assert chances(model, NEUTRAL) == pytest.approx(dict(enumerate(PROBABILITIES)), rel=1e-3)


@pytest.mark.parametrize(("sampling", "left"), [
    (changed(top_k=2), {0, 1}),
    (changed(top_p=0.8), {0, 1, 2}),
    (changed(min_p=0.3), {0, 1, 2}),
    # The entropy is 1.44 nats: nearest to it are 0.3 (1.20), 0.15 (1.90) and 0.4 (0.92), then 0.1 (2.30).
    (changed(typical_p=0.4), {1, 2}),
    (changed(xtc_probability=1.0, xtc_threshold=0.14), {2, 3, 4, 5}),
    (changed(logit_bias=(LogitBias(token=0, bias=-100.0), LogitBias(token=4, bias=-1000.0))), {1, 2, 3, 5}),
], ids=["top_k", "top_p", "min_p", "typical", "xtc", "logit_bias"])
def test_tokens_are_left_out(model: LlamaModel, sampling: Sampling, left: set[int]) -> None:
    assert set(chances(model, sampling)) == left


def test_temperature_sharpens_and_flattens(model: LlamaModel) -> None:
    cold, warm = chances(model, changed(temperature=0.5)), chances(model, changed(temperature=2.0))
    assert cold[0] / cold[1] == pytest.approx((0.4 / 0.3) ** 2, rel=1e-3)
    assert warm[0] / warm[1] == pytest.approx((0.4 / 0.3) ** 0.5, rel=1e-3)


def test_penalties_make_what_was_said_rarer(model: LlamaModel) -> None:
    def ratio(sampling: Sampling, *history: int) -> float:
        found = chances(model, sampling, *history)
        return found[0] / found[1]

    plain = 0.4 / 0.3
    assert ratio(changed(presence_penalty=1.0), 0, 0, 0) == pytest.approx(plain * math.exp(-1), rel=1e-3)
    assert ratio(changed(frequency_penalty=1.0), 0, 0, 0) == pytest.approx(plain * math.exp(-3), rel=1e-3)
    assert ratio(changed(repeat_penalty=2.0), 0) == pytest.approx(0.4 ** 2 / 0.3, rel=1e-3)
    assert ratio(changed(presence_penalty=1.0, penalty_window=2), 0, 7, 8) == pytest.approx(plain, rel=1e-3)


def test_dry_punishes_the_phrase_that_would_repeat(model: LlamaModel) -> None:
    phrase = (100, 101, 102, 0)
    dry = changed(dry_multiplier=1.0, dry_window=64)
    before, after = chances(model, NEUTRAL), chances(model, dry, *phrase, *phrase[:-1])
    # Three tokens repeat, two are allowed: strength 1 x 1.75^(3-2).
    assert after[0] / after[1] == pytest.approx(before[0] / before[1] * math.exp(-1.75), rel=1e-3)
    assert chances(model, dry, *phrase, 55) == pytest.approx(before, rel=1e-3)


@pytest.mark.parametrize("version", [1, 2])
def test_mirostat_keeps_to_the_surprise_that_is_set(model: LlamaModel, version: int) -> None:
    falling = [1 / rank for rank in range(1, model.n_vocab + 1)]
    calm = chances(model, changed(mirostat=version, mirostat_tau=1.0), probabilities=falling)
    wild = chances(model, changed(mirostat=version, mirostat_tau=5.0), probabilities=falling)
    assert 0 in calm
    assert len(calm) < len(wild) / 2


def test_text_biases_reach_all_tokens_of_the_text(backend: LlamaBackend, model: LlamaModel) -> None:
    free = answer(backend, Sampling(temperature=0.0, max_tokens=12), "Say hello.")
    word = free.split()[0]
    biases = (LogitBias(token=word, bias=-100.0), LogitBias(token=f" {word}", bias=-100.0))
    assert word not in answer(backend, Sampling(temperature=0.0, logit_bias=biases), "Say hello.", 12)


def answer(backend: LlamaBackend, sampling: Sampling, question: str, n_tokens: int = 60) -> str:
    """The first tokens of an answer, without the worker around it."""
    source = backend.prepare_chat(
        Chat(id=1, messages=(ChatMessage(role="user", content=question),), sampling=sampling))
    try:
        return finish(source, n_tokens)
    finally:
        source.close("")


def finish(source: LlamaAnswer, n_tokens: int) -> str:
    while source.evaluate_prompt_part() < source.prompt_tokens:
        pass
    pieces: list[bytes] = []
    while len(pieces) < n_tokens and (piece := source.next_piece()) is not None:
        pieces.append(piece)
    return b"".join(pieces).decode()


@pytest.mark.parametrize("values", [
    {"temperature": 0.0}, {}, {"temperature": 2.0, "top_k": 0, "min_p": 0.0}, {"mirostat": 2}, {"mirostat": 1},
    {"typical_p": 0.5, "repeat_penalty": 1.2, "dry_multiplier": 0.8}, {"xtc_probability": 1.0},
], ids=str)
def test_every_chain_keeps_to_a_schema(backend: LlamaBackend, values: dict[str, float]) -> None:
    for seed in range(2):
        sampling = msgspec.structs.replace(Sampling(seed=seed, json_schema=PERSON), **values)
        person = json.loads(answer(backend, sampling, "Make up a person, as JSON."))
        assert set(person) == {"name", "age", "tags"}
        assert isinstance(person["name"], str)
        assert len(person["name"]) <= 20
        assert isinstance(person["age"], int)
        assert len(person["tags"]) <= 2
        assert set(person["tags"]) <= {"kind", "old", "shy"}


def test_same_seed_gives_the_same_text_also_with_a_grammar(backend: LlamaBackend) -> None:
    def told(seed: int, schema: str) -> str:
        return answer(backend, Sampling(seed=seed, json_schema=schema, temperature=1.5), "Make up a person, as JSON.", 12)

    for schema in ("", PERSON):
        assert told(3, schema) == told(3, schema)
        assert len({told(seed, schema) for seed in range(4)}) > 1


def test_logprobs_are_those_of_the_model_whatever_is_sampled(backend: LlamaBackend) -> None:
    source = backend.prepare_completion("The capital of France is", Sampling(temperature=0.0, logprobs=5))
    while source.evaluate_prompt_part() < source.prompt_tokens:
        pass
    pieces = [source.next_piece() for _ in range(4)]
    logprobs = source.take_logprobs()
    source.close("")
    assert [entry.text.encode() for entry in logprobs] == pieces
    for entry in logprobs:
        assert entry.alternatives[0] == (entry.text, entry.logprob)
        values = [value for _text, value in entry.alternatives]
        assert len(values) == 5
        assert values == sorted(values, reverse=True)
        assert sum(math.exp(value) for value in values) <= 1.0
    assert source.take_logprobs() == ()
    forced = backend.prepare_completion("The capital of France is", Sampling(grammar='root ::= "zebra"', logprobs=0))
    while forced.evaluate_prompt_part() < forced.prompt_tokens:
        pass
    forced.next_piece()
    (unlikely,) = forced.take_logprobs()
    forced.close("")
    assert unlikely.logprob < -5
    assert unlikely.alternatives == ()


VALID = {
    "literal": 'root ::= "yes" | "no"', "comment": '# all\nroot ::= [a-c]+ # some\n', "escape": 'root ::= "\\x41\\u00e9\\"\\n"',
    "negated": 'root ::= [^"\\\\]* .', "times": 'root ::= "a"{2} "b"{0,3} ("c" | "d"){2,} x?\nx ::= "-"',
    "lines": 'root ::= (\n "a" |\n "b"\n)\n\n\nother-rule ::= ""', "empty": 'root ::= | "a"',
    "crlf": 'root ::= x\r\nx ::= "y"\r\n',
}
INVALID = {
    "no root": 'x ::= "a"', "undefined": "root ::= x", "open": 'root ::= "a', "left": 'root ::= root "a" | "b"',
    "bracket": 'root ::= ("a"', "star": "root ::= * ", "arrow": 'root = "a"', "escape": 'root ::= "\\q"',
    "many": 'root ::= "a"{2001}', "hidden": 'root ::= a root | "x"\na ::= b\nb ::= ""', "stray": 'root ::= "a" )',
}


@pytest.mark.parametrize("text", VALID.values(), ids=VALID)
def test_what_is_accepted_here_llama_cpp_accepts(model: LlamaModel, text: str) -> None:
    parse_grammar(text)
    sampler = TokenSampler(model.library, model, Sampling(grammar=text))
    sampler.close()


@pytest.mark.parametrize("text", INVALID.values(), ids=INVALID)
def test_what_is_wrong_is_told_before_anything_is_evaluated(backend: LlamaBackend, text: str) -> None:
    with pytest.raises(GrammarError):
        parse_grammar(text)
    with pytest.raises(RequestRefusedError) as refusal:
        backend.prepare_completion("x", Sampling(grammar=text))
    assert refusal.value.spec is GRAMMAR_INVALID


HOSTILE = {
    "deep": "root ::= " + "(" * 30_000 + '"a"' + ")" * 30_000,
    "wide": "root ::= " + '"a" | ' * 10_000 + '"b"',
    "long": 'root ::= "' + "a" * 70_000 + '"',
    "doubling": "root ::= r0\n" + "".join(f"r{n} ::= r{n + 1} | r{n + 1}\n" for n in range(60)) + 'r60 ::= "x"',
    "chain": "root ::= r0\n" + "".join(f"r{n} ::= r{n + 1}\n" for n in range(4_000)) + 'r4000 ::= "x"',
    "repeats": 'root ::= ((("a"{0,40}){0,40}){0,40}){0,40}',
    "ambiguous": 'root ::= "a" root x | "a" root y | "a"\nx ::= "x"\ny ::= "y"',
    "stuck": 'root ::= "\\U0010FFFF"{5}',
    "never ends": 'root ::= "a" root',
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_hostile_grammars_end_in_words_or_in_an_answer(backend: LlamaBackend, text: str) -> None:
    started_s = time.monotonic()
    ends: list[object] = []
    try:
        answer(backend, Sampling(grammar=text, seed=1), "Go.", 40)
    except RequestRefusedError as refusal:
        ends.append(refusal.spec)
    assert ends in ([], [GRAMMAR_INVALID], [GRAMMAR_STUCK])
    assert time.monotonic() - started_s < 30
    assert answer(backend, Sampling(temperature=0.0), "Hello", 3)


@pytest.mark.parametrize("schema", [
    "{", "3", '{"$ref": "https://example.org/x.json"}', '{"$ref": "#/nowhere"}', '{"enum": []}',
    '{"items": ' * 5_000 + "{}" + "}" * 5_000, '{"type": "array", "items": {"type": "string"}, "maxItems": 1000000}',
    json.dumps({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}}), '{"type": "string", "pattern": "a+"}',
    json.dumps({"enum": [f"value {n}" for n in range(50_000)]}),
], ids=range(10))
def test_schemas_that_cannot_be_used_are_refused_in_words(backend: LlamaBackend, schema: str) -> None:
    started_s = time.monotonic()
    with pytest.raises(RequestRefusedError) as refusal:
        backend.prepare_completion("x", Sampling(json_schema=schema))
    assert refusal.value.spec in (JSON_SCHEMA_INVALID, GRAMMAR_INVALID)
    assert time.monotonic() - started_s < 20


def test_values_out_of_range_are_refused_in_words(backend: LlamaBackend) -> None:
    with pytest.raises(RequestRefusedError) as refusal:
        backend.prepare_completion("x", Sampling(top_p=3.0))
    assert refusal.value.spec is SAMPLING_INVALID


def test_the_tracker_agrees_with_llama_cpp(backend: LlamaBackend, model: LlamaModel) -> None:
    sampler = TokenSampler(model.library, model, Sampling(json_schema=PERSON))
    assert sampler._guard is not None
    text = '{"name": "é", "age": 7, "tags": ["shy"]}'
    for token in model.tokenize_plain(text):
        assert sampler._guard.allows(token)
        assert not sampler._guard.allows(model.library.llama_vocab_eos(model.vocab))
        sampler.accept(token)
    assert sampler._guard._tracker.may_end
    assert sampler._guard.allows(model.library.llama_vocab_eos(model.vocab))
    with pytest.raises(RequestRefusedError):
        sampler.accept(model.tokenize_plain("x")[0])
    sampler.close()


@pytest.mark.parametrize("sampling", [
    NEUTRAL, Sampling(seed=1), Sampling(temperature=0.0), Sampling(temperature=2.0, top_k=0, seed=1)], ids=range(4))
def test_checking_the_likeliest_tokens_gives_what_checking_all_gives(
    backend: LlamaBackend, model: LlamaModel, sampling: Sampling,
) -> None:
    """The same probabilities to a thousandth, at every token of an answer."""
    source = backend.prepare_completion("A person: ", Sampling(seed=7, temperature=1.5, json_schema=PERSON))
    while source.evaluate_prompt_part() < source.prompt_tokens:
        pass
    n_short = 0
    for _ in range(12):
        sampler = source._sampler
        assert sampler._guard is not None
        both: list[dict[int, float]] = []
        for checks_all in (True, False):
            chain = TokenSampler(model.library, model, sampling)
            candidates = CandidateArray(model.library, model.n_vocab)
            candidates.fill(model.context, -1)
            n_others = sampling.top_k or model.n_vocab
            if checks_all or not sampler._guard.mask_likeliest(candidates, sampling.temperature, n_others):
                candidates.fill(model.context, -1)
                sampler._guard.mask(candidates)
            else:
                n_short += 1
            candidates.apply(chain._chain)
            both.append({candidates.token(place): candidates.p(place) for place in range(candidates.size)})
            both[-1][-1] = candidates.token(candidates.selected)
            chain.close()
        everything, likeliest = both
        assert not any(math.isnan(p) for p in (*everything.values(), *likeliest.values()))
        assert everything.pop(-1) == likeliest.pop(-1)
        if sampling.temperature > 0:
            assert all(abs(p - likeliest.get(token, 0.0)) < 1e-3 for token, p in everything.items())
        if source.next_piece() is None:
            break
    source.close("")
    assert n_short > 0 or sampling.temperature > 1


def test_an_answer_that_goes_on_keeps_to_its_schema(backend: LlamaBackend) -> None:
    begun = '{"name": "Zoé", "age":'
    question = (ChatMessage(role="user", content="Make up a person, as JSON."),)
    source = backend.prepare_chat(Chat(id=1, messages=question, prefill=begun, sampling=Sampling(seed=1, json_schema=PERSON)))
    try:
        rest = finish(source, 60)
    finally:
        source.close("")
    assert json.loads(begun + rest)["name"] == "Zoé"
    with pytest.raises(RequestRefusedError) as refusal:
        backend.prepare_chat(Chat(id=1, messages=question, prefill="Well, ", sampling=Sampling(json_schema=PERSON)))
    assert refusal.value.spec is GRAMMAR_STUCK


def test_the_tracker_forgets_what_it_does_not_need() -> None:
    tracker = GrammarTracker(parse_grammar('root ::= ("(" root ")" | [a-z])*'))
    for number in range(30_000):
        tracker.advance(b"(a)" if number % 3 else b"(b(c)d)")
    assert tracker.may_end
    assert len(tracker._nodes) <= 200_000
