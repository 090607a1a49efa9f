"""Who drafts tokens for a model: planned with its memory, refused in words, and remembered with what it gained."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from localai_app.engine.protocol import GenerationStats
from localai_app.errors import AppError
from localai_app.fit.result import DRAFT_BY_LOOKUP, FitResult, Request, Verdict
from localai_app.hardware.report import Memory
from localai_app.services.app_services import AppServices
from localai_app.services.drafting import DRAFT_TOKENS
from localai_app.services.events import AnswerTimed, ModelLoaded
from localai_app.services.load_settings import LoadSettings
from localai_app.units import GIB
from tests.helpers.gguf_files import Typed, write_tiny_gguf
from tests.helpers.program import run_program
from tests.helpers.services_fixture import EventRecorder, open_services

LARGE, SMALL, OTHER = "tester/Large-GGUF:F32", "tester/Small-GGUF:F32", "tester/Other-GGUF:F32"


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "data" / "models" / "tester"
    write_tiny_gguf(folder / "Large-GGUF" / "large-F32.gguf", n_layer=4)
    write_tiny_gguf(folder / "Small-GGUF" / "small-F32.gguf", n_layer=1)
    write_tiny_gguf(
        folder / "Other-GGUF" / "other-F32.gguf", n_layer=1, metadata={"tokenizer.ggml.pre": Typed("str", "other")})
    return tmp_path / "data"


@pytest.fixture
def services(data_dir: Path) -> Iterator[AppServices]:
    with open_services(data_dir) as opened:
        yield opened


def test_lookup_needs_nothing_but_rows(services: AppServices) -> None:
    plan = services.load_planner.plan(LARGE, Request(draft=DRAFT_BY_LOOKUP))
    assert plan.options.lookup
    assert (plan.options.draft_path, plan.options.draft_tokens) == ("", DRAFT_TOKENS)
    without = services.load_planner.plan(LARGE)
    assert (without.options.lookup, without.options.draft_tokens) == (False, 0)


def test_the_memory_of_a_draft_model_is_kept_free(services: AppServices) -> None:
    alone = services.load_planner.plan(SMALL).fit
    plan = services.load_planner.plan(LARGE, Request(draft=SMALL))
    assert alone is not None
    assert plan.fit is not None
    assert plan.options.draft_path.endswith("small-F32.gguf")
    assert not plan.options.lookup
    assert plan.fit.reasons[-1].startswith("The model that drafts tokens takes ")
    model, request = services.library.get(LARGE), Request(draft=SMALL)
    draft = services.drafts.plan(model, request)
    assert draft is not None
    assert -draft.room_in(request).credit_bytes >= alone.weights_bytes + alone.kv_bytes + alone.compute_bytes


def test_no_room_for_both_is_told_before_the_load(services: AppServices) -> None:
    preview = services.load_previews.open(LARGE)
    report = services.hardware.detect_now(with_engine=False)

    def fit(available_bytes: int, draft: str | None) -> FitResult:
        memory = Memory(total_bytes=32 * GIB, available_bytes=available_bytes)
        services.hardware._report = msgspec.structs.replace(report, gpus=(), engine_devices=(), memory=memory)
        return preview.fit(LoadSettings(ctx=2048, draft=draft))

    host = fit(16 * GIB, None).devices[-1]
    just_enough = host.total_bytes + host.reserve_bytes
    assert fit(just_enough, None).verdict is Verdict.CPU
    assert fit(just_enough, SMALL).verdict is Verdict.NO
    assert fit(2 * just_enough, SMALL).verdict is Verdict.CPU


@pytest.mark.parametrize(("draft", "reason"), [(LARGE, "it is the same model"), (OTHER, "its vocabulary is another one")])
def test_a_model_that_cannot_draft_is_refused_in_words(services: AppServices, draft: str, reason: str) -> None:
    with pytest.raises(AppError, match=reason):
        services.load_planner.plan(LARGE, Request(draft=draft))


def test_only_smaller_models_of_the_same_vocabulary_are_offered(services: AppServices) -> None:
    assert [found.key for found in services.load_previews.open(LARGE).facts.draft_models] == [SMALL]
    assert services.load_previews.open(SMALL).facts.draft_models == ()


def test_what_it_gained_is_kept_for_the_next_load(services: AppServices) -> None:
    recorder = EventRecorder(services)
    services.engine.load(LARGE, Request(draft=SMALL))
    recorder.wait_for(ModelLoaded)
    services.events.publish(AnswerTimed(LARGE, GenerationStats(drafted_tokens=9, draft_gain=1.25)))
    assert services.load_planner.plan(LARGE, Request(draft=SMALL)).options.draft_gain == 1.25
    assert services.load_planner.plan(LARGE, Request(draft=DRAFT_BY_LOOKUP)).options.draft_gain == 0.0


def test_it_is_chosen_and_forgotten_on_the_command_line(data_dir: Path) -> None:
    def run(*arguments: str) -> dict[str, object]:
        outcome = run_program("load-settings", LARGE, *arguments, "--json", "--data-dir", data_dir)
        assert outcome.code == 0, outcome.stderr
        return outcome.document

    assert run("--draft", SMALL)["load_settings"] == {"draft": SMALL}
    assert "tokens drafted by: tester/Small-GGUF:F32" in run_program("load-settings", LARGE, "--data-dir", data_dir).stdout
    assert run("--draft", "lookup")["load_settings"] == {"draft": "lookup"}
    assert run("--draft", "off")["load_settings"] == {}
    assert run_program("load-settings", LARGE, "--draft", "tester/none:F32", "--data-dir", data_dir).code == 1


@pytest.mark.model
@pytest.mark.skipif(importlib.util.find_spec("llama_cpp") is None, reason="llama.cpp is not installed")
def test_a_chat_with_a_draft_model_gives_the_same_greedy_text(data_dir: Path) -> None:
    def ask(*draft: str) -> object:
        outcome = run_program(
            "chat", LARGE, "-p", "abc", "--temp", "0", "--max-tokens", "40", *draft, "--json", "--data-dir", data_dir)
        assert outcome.code == 0, outcome.stderr
        return outcome.document["text"]

    assert ask("--draft", SMALL) == ask()
