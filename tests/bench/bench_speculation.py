"""What drafting from the conversation gains, by alternating answers with and without it; and what it costs where it cannot.

The answers are free ones (temperature just above 0, no seed), for which the rule alone decides. SmolLM2 as its own draft shows
only that a draft which costs as much as the model is given up.
"""

from __future__ import annotations

import queue
import statistics
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from msgspec import structs

from localai_app.engine.client import EngineClient
from localai_app.engine.launch import worker_command
from localai_app.engine.protocol import (
    Complete,
    Event,
    Finished,
    GenerationStats,
    Load,
    Loaded,
    LoadOptions,
    RequestFailed,
    Sampling,
)
from tests.bench.tables import print_table
from tests.helpers.real_models import gemma_path, smollm2_path

pytestmark = [pytest.mark.bench, pytest.mark.model, pytest.mark.timeout(1200)]

PAIRS = 3
TOKENS = 160
LETTER = (
    "Dear Mrs Carter, thank you for your letter of the third of May. We have looked into the matter of the broken window in "
    "the hall and the leaking tap in the kitchen, and a craftsman will call on you next Tuesday between nine and eleven in the "
    "morning. Please make sure that somebody is at home. Yours sincerely, the housing office.\n")
PROMPTS = {
    "a text that repeats its prompt":
        f"A letter:\n{LETTER}\nThe same letter once more, word for word:\n{LETTER}\nAnd again:\nDear Mrs",
    "free text": "The old sailor sat down by the fire and began to tell how, many years ago,",
}
WAIT_S = 300.0
Answer = Callable[[str], GenerationStats]


@pytest.mark.parametrize("find_model", [smollm2_path, gemma_path], ids=["SmolLM2 135M", "Gemma 3 270M"])
def test_lookup_beside_single_tokens(tmp_path: Path, find_model: Callable[[], Path]) -> None:
    rows = []
    options = LoadOptions(model_path=str(find_model()), ctx=2048)
    drafting = structs.replace(options, draft_tokens=8, lookup=True)
    with loaded(options, tmp_path / "plain") as plain, loaded(drafting, tmp_path / "drafting") as drafted:
        for name, prompt in PROMPTS.items():
            measured: dict[str, list[GenerationStats]] = {"without": [], "with": []}
            for _pair in range(PAIRS):
                measured["without"].append(plain(prompt))
                measured["with"].append(drafted(prompt))
            rows += told(name, measured)
    print_table(f"prompt lookup, {find_model().stem}", rows)


def test_a_model_as_its_own_draft_is_given_up(tmp_path: Path) -> None:
    options = LoadOptions(model_path=str(smollm2_path()), ctx=2048)
    drafting = structs.replace(options, draft_tokens=4, draft_path=options.model_path)
    with loaded(options, tmp_path / "plain") as plain, loaded(drafting, tmp_path / "drafting") as drafted:
        measured = {"without": [plain(PROMPTS["free text"])], "with": [drafted(PROMPTS["free text"])]}
    print_table("SmolLM2 as its own draft", told("free text", measured))
    assert measured["with"][-1].draft_gain < 1.0


@contextmanager
def loaded(options: LoadOptions, folder: Path) -> Iterator[Answer]:
    """A real worker with a model: the counts and seconds of one answer."""
    events: queue.SimpleQueue[Event] = queue.SimpleQueue()
    client = EngineClient(worker_command(), cwd=folder, on_event=events.put, on_exit=lambda _outcome: None)
    client.start()
    client.send(Load(id=1, options=options))
    while not isinstance(event := events.get(timeout=WAIT_S), Loaded):
        assert not isinstance(event, RequestFailed)

    def answer(prompt: str) -> GenerationStats:
        client.send(Complete(id=2, prompt=prompt, sampling=Sampling(temperature=0.01, max_tokens=TOKENS)))
        while not isinstance(event := events.get(timeout=WAIT_S), Finished):
            assert not isinstance(event, RequestFailed)
        return event.stats

    yield answer
    client.stop()


def told(name: str, measured: dict[str, list[GenerationStats]]) -> list[tuple[str, str]]:
    speeds = {way: statistics.median(stats.tps for stats in found) for way, found in measured.items()}
    ratio = statistics.median(
        drafted.tps / plain.tps for plain, drafted in zip(measured["without"], measured["with"], strict=True))
    counts = [(stats.drafted_tokens, stats.accepted_tokens, stats.draft_gain) for stats in measured["with"]]
    return [
        (name, f"{speeds['without']:.1f} tok/s alone, {speeds['with']:.1f} with drafts: {ratio:.2f} times"),
        ("  drafted, right, gain of the rounds", ", ".join(f"{a}/{b}/{gain:.2f}" for a, b, gain in counts))]
