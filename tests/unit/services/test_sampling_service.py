from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from localai_app.catalog.load import load_catalog
from localai_app.catalog.model import Catalog
from localai_app.engine.sampling import SPEC_OF, Sampling, sampling_problem
from localai_app.engine.sampling_values import SamplingValues
from localai_app.gguf.header import GgufHeader
from localai_app.paths import app_paths, resources_dir
from localai_app.services.chat_requests import ChatRequests
from localai_app.services.chat_settings import ChatSettings, ChatSettingsService
from localai_app.services.events import Event, EventBus, SamplingChanged
from localai_app.services.library_service import LibraryService
from localai_app.services.sampling_service import BUILT_IN_PRESETS, Origin, SamplingService
from localai_app.services.settings_service import SettingsService
from localai_app.services.vendor_sampling import VendorSampling, plain_name, sampling_in_header
from localai_app.services.views import InstalledModel
from localai_app.settings.file import SettingsFile
from localai_app.store.database import Store, open_store
from localai_app.store.records import Role
from tests.helpers.gguf_files import Typed, write_tiny_gguf


@dataclass
class Bench:
    sampling: SamplingService
    settings: SettingsService
    library: LibraryService
    folder: Path
    heard: list[Event]
    store: Store
    chat_settings: ChatSettingsService

    def installed(self, name: str, **metadata: object) -> str:
        """A model file by its name in the models folder; its key."""
        path = self.folder / name
        kinds = {bool: "bool", int: "i32", float: "f32"}
        write_tiny_gguf(path, metadata={
            f"general.sampling.{key}": Typed(kinds[type(value)], value) for key, value in metadata.items()})
        return next(model.key for model in self.library.models() if model.paths[0] == path)


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return load_catalog(resources_dir() / "catalog" / "models.json")


@pytest.fixture
def bench(tmp_path: Path, catalog: Catalog) -> Iterator[Bench]:
    paths = app_paths(tmp_path)
    events, heard = EventBus(), list[Event]()
    events.subscribe(heard.append)
    store = open_store(paths.store_file)
    settings = SettingsService(SettingsFile(paths.settings_file), events, paths)
    library = LibraryService(events, store, settings, elsewhere=tuple)
    sampling = SamplingService(store, events, settings, library, VendorSampling(catalog))
    yield Bench(sampling, settings, library, settings.models_folder, heard, store, ChatSettingsService(store, events))
    store.close()


def test_an_earlier_layer_goes_before_a_later_one(bench: Bench) -> None:
    key = bench.installed("unsloth/Qwen3-8B-GGUF/Qwen3-8B-Q4_K_M.gguf")
    bench.settings.set("temperature", 1.5)
    chat = ChatSettings(seed=3, sampling=SamplingValues(numbers={"min_p": 0.2}))
    bench.sampling.set_of_model(key, SamplingValues(numbers={"top_k": 7, "min_p": 0.1}))
    found = bench.sampling.effective(key, chat)
    assert (found.sampling.temperature, found.sampling.top_p) == (0.6, 0.95)
    assert (found.sampling.top_k, found.sampling.min_p, found.sampling.seed) == (7, 0.2, 3)
    assert found.below_chat.min_p == 0.1
    assert {key: found.origins[key] for key in ("temperature", "top_k", "min_p", "mirostat")} == {
        "temperature": Origin.RECOMMENDED, "top_k": Origin.MODEL, "min_p": Origin.CHAT, "mirostat": Origin.PROGRAM}
    assert found.words("temperature") == "Recommended by Qwen (Alibaba)"
    assert found.words("min_p") == "Set for this chat"
    assert SamplingChanged(key) in bench.heard
    bench.sampling.set_of_model(key, SamplingValues())
    assert bench.sampling.effective(key, ChatSettings()).sampling.top_k == 20


def test_what_is_set_for_a_chat_goes_to_the_model(bench: Bench) -> None:
    key = bench.installed("unsloth/Qwen3-8B-GGUF/Qwen3-8B-Q4_K_M.gguf")
    bench.settings.set("system_prompt", "Be brief.")
    requests = ChatRequests(bench.settings, bench.chat_settings, bench.sampling)
    chat = bench.store.conversations.create("a")
    history = (bench.store.conversations.add_message(chat.id, Role.USER, "Hello"),)
    assert requests.request(chat.id, history, model_key=key).sampling.temperature == 0.6
    bench.chat_settings.set(chat.id, ChatSettings(
        system_prompt="Be long.", seed=5, thinking="off",
        sampling=SamplingValues(numbers={"top_k": 3}, json_schema="{}", stop=("x",))))
    request = requests.request(chat.id, history, model_key=key)
    sampling = request.sampling
    assert request.turns.messages[0].content == "Be long."
    assert (sampling.temperature, sampling.top_k, sampling.seed) == (0.7, 3, 5)
    assert (sampling.json_schema, sampling.stop) == ("{}", ("x",))
    assert request.extras.thinking == "off"
    bench.chat_settings.set(chat.id, ChatSettings(thinking="on"))
    assert requests.request(chat.id, history, model_key=key).extras.thinking == "on"
    bench.chat_settings.set(chat.id, ChatSettings(thinking="on", sampling=SamplingValues(grammar='root ::= "x"')))
    assert requests.request(chat.id, history, model_key=key).extras.thinking == "off"


def test_without_a_recommendation_the_settings_hold(bench: Bench) -> None:
    key = bench.installed("someone/unheard-of-GGUF/unheard-of-Q4_K_M.gguf")
    bench.settings.set("temperature", 1.5)
    bench.settings.set("max_answer_tokens", 9)
    found = bench.sampling.effective(key, ChatSettings())
    assert found.sampling == Sampling(temperature=1.5, max_tokens=9)
    assert found.recommendation is None
    assert bench.sampling.effective("gone", ChatSettings()).sampling.temperature == 1.5
    assert bench.sampling.effective("", ChatSettings()).sampling.temperature == 1.5


def test_thinking_switched_off_has_values_of_its_own(bench: Bench) -> None:
    key = bench.installed("unsloth/Qwen3-8B-GGUF/Qwen3-8B-Q4_K_M.gguf")
    assert bench.sampling.effective(key, ChatSettings(thinking="off")).sampling.temperature == 0.7
    assert bench.sampling.effective(key, ChatSettings(thinking="on")).sampling.temperature == 0.6


def test_the_file_itself_goes_before_the_catalog(bench: Bench) -> None:
    key = bench.installed(
        "unsloth/Qwen3-8B-GGUF/Qwen3-8B-Q8_0.gguf", temp=0.33, top_k=11, penalty_repeat=1.5, mirostat=99, top_p=True)
    recommendation = bench.sampling.recommendation(key)
    assert recommendation is not None
    assert recommendation.numbers == {"temperature": 0.33, "top_k": 11, "repeat_penalty": 1.5}
    assert recommendation.words == "Recommended in the model's file"


@pytest.mark.parametrize(("name", "model_id"), [
    ("bartowski/google_gemma-3-4b-it-GGUF/google_gemma-3-4b-it-Q4_K_M.gguf", "gemma-3-4b-it"),
    ("a/Meta-Llama-3.1-8B-Instruct-GGUF/Meta-Llama-3.1-8B-Instruct-Q4_K_M.gguf", "llama-3.1-8b-instruct"),
    ("a/b/SmolLM2-135M-Instruct.Q4_1.gguf", "smollm2-135m-instruct"),
    ("tester/Tiny-GGUF/tiny-F16.gguf", None),
    ("a/Qwen3-8B-abliterated-GGUF/Qwen3-8B-abliterated-Q4_K_M.gguf", None),
])
def test_files_are_known_by_name(catalog: Catalog, name: str, model_id: str | None) -> None:
    owner, repo, file = name.split("/")
    model = InstalledModel(
        key=name, name=repo, label="", repo_id=f"{owner}/{repo}", paths=(Path("/m") / name,), size_bytes=1, source="x")
    found = VendorSampling(catalog).catalog_model(model)
    assert (found.id if found is not None else None) == model_id
    assert plain_name(file) == plain_name(file.replace("-", "_"))


def test_the_catalog_holds_only_valid_values_with_a_source(catalog: Catalog) -> None:
    recommended = 0
    for model in catalog.models:
        for sampling in (model.sampling, model.sampling_without_thinking):
            if sampling is None:
                continue
            numbers = sampling.numbers()
            recommended += bool(numbers)
            assert not any(SPEC_OF[key].problem(value) for key, value in numbers.items()), model.id
            assert not numbers or model.sampling_source
    assert recommended > 100


def test_presets_are_kept_and_those_of_the_program_stay(bench: Bench) -> None:
    values = SamplingValues(numbers={"top_k": 4})
    assert bench.sampling.save_preset("  my   own ", values) == "my own"
    assert bench.sampling.save_preset("precise", values) == ""
    assert bench.sampling.save_preset(" ", values) == ""
    assert [preset.name for preset in bench.sampling.presets()] == ["Precise", "Balanced", "Creative", "my own"]
    assert bench.sampling.presets()[-1].values == values
    bench.sampling.remove_preset("my own")
    assert bench.sampling.presets() == BUILT_IN_PRESETS
    for preset in BUILT_IN_PRESETS:
        assert not sampling_problem(preset.values.applied_to(Sampling()))


def test_headers_without_sampling_recommend_nothing() -> None:
    header = GgufHeader("x", 1, 3, {"general.name": "x"}, (), 32, 1, 32)
    assert sampling_in_header(header) == {}
