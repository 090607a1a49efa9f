from __future__ import annotations

import dataclasses
from datetime import datetime
from pathlib import Path

import msgspec
import pytest

from localai_app.catalog.load import load_catalog
from localai_app.catalog.tasks import Task
from localai_app.errors import HUB_UNREACHABLE, VARIANT_UNKNOWN, AppError, Remedy
from localai_app.fit.decide import unknown_result
from localai_app.fit.result import DeviceNeed, Request, Verdict
from localai_app.gui.models.context_card import context_steps
from localai_app.gui.models.discover_order import Filters, SortOrder, listed
from localai_app.gui.models.download_progress import remedy_of
from localai_app.gui.models.installed_view import day_words, facts_words, total_words
from localai_app.gui.models.machine_strip import engine_words, graphics_words, short_cpu_name
from localai_app.gui.models.removal import removal_words
from localai_app.gui.models.scores_card import unique_scores
from localai_app.gui.models.variant_choice import recommended_label
from localai_app.gui.models.wording import (
    ZERO_WIDTH_SPACE,
    breakable,
    facts_of_model,
    facts_of_repo,
    main_device,
    memory_words,
    no_file_words,
    progress_words,
    size_words,
    speed_figures,
    unbroken_parts,
)
from localai_app.hub.model import Repo
from localai_app.services.app_services import AppServices
from localai_app.services.views import DownloadStatus
from tests.gui.models.models_stage import GIB, REPORT, download, installed, show_computer


# --- fits ----------------------------------------------------------------------------------------
def need(kind: str, total: int, free: int) -> DeviceNeed:
    return DeviceNeed(
        name=f"{kind} of {free}", kind=kind, layers=1, weights_bytes=total * GIB, kv_bytes=0, compute_bytes=0,
        free_bytes=free * GIB, reserve_bytes=0, total_bytes=total * GIB)


def test_a_model_on_several_gpus_needs_what_it_takes_on_all_of_them() -> None:
    devices = (need("gpu", 7, 10), need("gpu", 18, 21), need("gpu", 0, 24), need("cpu", 1, 20))
    fit = msgspec.structs.replace(unknown_result("", Request()), devices=devices)
    device = main_device(fit)
    assert device is not None
    assert (memory_words(device), device.name) == ("25.0 of 31.0 GiB", "gpu of 10 and gpu of 21")
    on_cpu = main_device(msgspec.structs.replace(fit, devices=(need("gpu", 7, 10), need("cpu", 8, 20))))
    assert on_cpu is not None
    assert on_cpu.kind == "cpu"
    assert main_device(unknown_result("", Request())) is None


def test_only_long_words_get_places_for_line_breaks() -> None:
    name = "a_name_of_a_file_that_goes_on_and_on-Q8_0.gguf"
    broken = breakable(f"short_name.gguf and {name}.")
    assert broken.replace(ZERO_WIDTH_SPACE, "|") == (
        "short_name.gguf and a_|name_|of_|a_|file_|that_|goes_|on_|and_|on-Q8_|0.|gguf.")


# --- downloads -----------------------------------------------------------------------------------
def test_a_running_download_tells_its_share_its_speed_and_the_time_left() -> None:
    assert progress_words(download()) == "2.1 GB of 5.0 GB · 42 MB/s · 1 min left"


def test_a_download_of_unknown_speed_tells_its_share_only() -> None:
    view = dataclasses.replace(download(), bytes_per_s=None, eta_s=None)
    assert progress_words(view) == "2.1 GB of 5.0 GB"


@pytest.mark.parametrize(("status", "words"), [
    (DownloadStatus.WAITING, "Waiting to start"),
    (DownloadStatus.VERIFYING, "Checking what has arrived"),
    (DownloadStatus.PAUSED, "Paused at 2.1 GB of 5.0 GB"),
])
def test_every_state_of_a_download_has_its_words(status: DownloadStatus, words: str) -> None:
    assert progress_words(download(status)) == words


def test_a_download_that_was_paused_before_its_size_was_known_tells_none() -> None:
    assert progress_words(download(DownloadStatus.PAUSED, done_bytes=0, total_bytes=0)) == "Paused before it began"


def test_a_failed_download_says_what_happened() -> None:
    error = AppError(HUB_UNREACHABLE, host="huggingface.co")
    assert progress_words(download(DownloadStatus.FAILED, error=error)) == "The Hub at huggingface.co cannot be reached."


def test_parts_of_a_line_are_not_broken_but_a_sentence_is() -> None:
    parts = unbroken_parts("2.1 GB of 5.0 GB · 1 min left").split(" ")
    assert parts == ["2.1\xa0GB\xa0of\xa05.0\xa0GB", "·", "1\xa0min\xa0left"]
    assert unbroken_parts("Waiting to start") == "Waiting to start"


def test_a_variant_that_is_not_there_is_answered_by_the_others_and_not_by_trying_again() -> None:
    assert remedy_of(AppError(VARIANT_UNKNOWN, repo="a/b", variant="Q9", choices="Q4_0")) is Remedy.CHOOSE_MODEL
    assert remedy_of(AppError(HUB_UNREACHABLE, host="h")) is Remedy.RETRY
    assert remedy_of(None) is Remedy.NONE


# --- figures -------------------------------------------------------------------------------------
def test_a_calculated_size_is_marked() -> None:
    assert size_words(5_000_000_000, is_exact=True) == "5.0 GB"
    assert size_words(5_000_000_000, is_exact=False) == "≈ 5.0 GB"


@pytest.mark.parametrize(("ctx_train", "steps"), [
    (1024, (1024,)), (2048, (2048,)), (8192, (2048, 3072, 4096, 6144, 8192)), (40_960, (
        2048, 3072, 4096, 6144, 8192, 12_288, 16_384, 24_576, 32_768, 40_960)),
])
def test_contexts_go_up_to_the_trained_one(ctx_train: int, steps: tuple[int, ...]) -> None:
    assert context_steps(ctx_train) == steps


def test_a_model_that_does_not_run_has_no_speed(services: AppServices) -> None:
    show_computer(services)
    large = next(row for row in services.discovery.rows() if "70B" in row.model.name)
    fits = {row.fit.verdict: speed_figures(row.fit) for row in services.discovery.variants(large.model) if row.fit is not None}
    assert fits[Verdict.NO] == ""
    assert "–" in fits[Verdict.GPU_PARTIAL]


# --- this computer -------------------------------------------------------------------------------
@pytest.mark.parametrize(("name", "short"), [
    ("AMD Ryzen 7 7700 8-Core Processor", "Ryzen 7 7700"),
    ("Intel(R) Core(TM) i7-8550U CPU @ 1.80GHz", "Core i7-8550U"),
    ("13th Gen Intel(R) Core(TM) i5-1340P", "Core i5-1340P"),
    ("AMD Ryzen 7 5700G with Radeon Graphics", "Ryzen 7 5700G"),
    ("Apple M3 Pro", "Apple M3 Pro"),
    ("AMD EPYC", "EPYC"),
    ("Processor", "Processor"),
])
def test_a_processors_name_is_shortened_to_what_tells_it_apart(name: str, short: str) -> None:
    assert short_cpu_name(name) == short


def test_the_graphics_and_the_engine_in_words() -> None:
    assert graphics_words(REPORT) == "RTX 4070, 12 GiB, 10.0 free"
    two = msgspec.structs.replace(REPORT, gpus=(*REPORT.gpus, msgspec.structs.replace(REPORT.gpus[0], total_bytes=GIB)))
    assert graphics_words(two) == "RTX 4070, 12 GiB, 10.0 free, and 1 more"
    assert graphics_words(msgspec.structs.replace(REPORT, gpus=())) == "None found"
    assert engine_words(REPORT) == "llama.cpp, CUDA works"
    assert engine_words(msgspec.structs.replace(REPORT, engine_devices=())) == "llama.cpp, CPU only"
    assert engine_words(msgspec.structs.replace(REPORT, engine_devices=(), gpus=())) == "llama.cpp on the CPU"
    assert engine_words(msgspec.structs.replace(REPORT, engine_devices=None)) == "llama.cpp, being asked…"


# --- models --------------------------------------------------------------------------------------
def test_a_catalog_model_in_sentences(catalog_file: Path) -> None:
    models = {model.id: model for model in load_catalog(catalog_file).models}
    gated = next(model for model in models.values() if model.gated)
    assert "Its licence has to be accepted on the Hub first." in facts_of_model(gated)
    assert "tokens of context." in facts_of_model(gated)
    without = next(model for model in models.values() if not model.repo_id)
    assert "nothing to download" in no_file_words(without)
    assert no_file_words(gated) == ""
    assert "A base model" in facts_of_model(msgspec.structs.replace(gated, is_base=True))


def test_a_repository_in_one_line() -> None:
    repo = Repo(repo_id="a/b", commit="0" * 40, variants=(), license="mit", downloads=1, gated=True)
    assert facts_of_repo(repo) == "a/b · mit · 1 download · licence to accept on its page"


def test_the_same_score_is_listed_once(catalog_file: Path) -> None:
    model = next(model for model in load_catalog(catalog_file).models if model.scores)
    assert unique_scores((*model.scores, *model.scores)) == unique_scores(model.scores)


def test_an_installed_model_in_one_line() -> None:
    assert facts_words(installed()) == "5.0 GB · speed not measured yet · owner/Model-GGUF"
    used = facts_words(installed(tps=31.2, last_used_s=1_780_000_000.0, repo_id=""))
    assert used.startswith("5.0 GB · 31 tok/s measured · used ")
    assert used.endswith(f" 2026 · {Path('/models')}")


def test_the_library_in_one_line() -> None:
    assert day_words(datetime(2026, 3, 4, 1), datetime(2026, 3, 4, 23)) == "today"
    assert day_words(datetime(2026, 3, 3, 23), datetime(2026, 3, 4, 1)) == "yesterday"
    assert day_words(datetime(2024, 11, 12), datetime(2026, 3, 4)) == "12 Nov 2024"
    assert total_words((installed(),), "/models") == "1 model, 5.0 GB. Downloads go to /models"
    assert total_words((installed(), installed("b")), "/models").startswith("2 models, 10.0 GB.")


def test_removing_tells_the_space_it_frees_and_that_a_linked_file_stays() -> None:
    assert "frees 5.0 GB" in removal_words(installed(), 5_000_000_000)
    linked = removal_words(installed(), 0)
    assert "stays in" in linked
    assert "frees" not in linked


# --- choice and order ----------------------------------------------------------------------------
def test_the_variant_of_the_list_is_recommended_and_else_the_usual_one_that_runs_best(services: AppServices) -> None:
    show_computer(services)
    model = next(row.model for row in services.discovery.rows() if row.model.id == "qwen3-8b")
    rows = services.discovery.variants(model)
    assert recommended_label(rows, "Q3_K_M") == "Q3_K_M"
    assert recommended_label(rows, "not there") == "Q4_K_M"
    without = [row for row in rows if row.label != "Q4_K_M"]
    assert recommended_label(without) == "IQ4_XS"
    assert recommended_label([dataclasses.replace(row, fit=None) for row in rows]) == ""


def test_filters_and_orders_of_the_catalog(services: AppServices) -> None:
    show_computer(services)
    rows = services.discovery.rows()
    everything = listed(rows, Filters(fits=False), SortOrder.RECOMMENDED)
    assert len(everything) == len(rows)
    running = [row.fit is not None and row.fit.verdict is not Verdict.NO for row in everything]
    assert running == sorted(running, reverse=True)
    assert all(row.fit is not None for row in listed(rows, Filters(), SortOrder.QUALITY))
    assert {row.model.family for row in listed(rows, Filters(words="GEMMA goog", fits=False), SortOrder.SIZE)} == {"Gemma 3"}
    assert all("vision" in row.model.tasks for row in listed(rows, Filters(task=Task.VISION), SortOrder.SPEED))
    assert all(row.model.thinking != "never" for row in listed(rows, Filters(thinking=True), SortOrder.SPEED))
    sizes = [row.model.params_total for row in listed(rows, Filters(), SortOrder.SIZE)]
    assert sizes == sorted(sizes)
    qualities = [row.model.quality for row in listed(rows, Filters(), SortOrder.QUALITY)]
    assert qualities == sorted(qualities, reverse=True)

