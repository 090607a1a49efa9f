"""What is remembered of how a model is loaded."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from localai_app.engine.protocol import KvType
from localai_app.fit.result import Request
from localai_app.services.events import Event, EventBus, LoadSettingsChanged
from localai_app.services.load_settings import LoadSettings, LoadSettingsService
from localai_app.store.database import Store, open_store

KEY = "owner/repo:Q4_K_M"
CHOSEN = LoadSettings(ctx=4096, kv_type=KvType.Q8_0, gpu_layers=12, experts_on_cpu=3, without_devices=("CUDA1",))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(tmp_path / "localai.sqlite3")
    yield opened
    opened.close()


def test_it_is_kept_per_model_and_announced_once(store: Store) -> None:
    events: list[Event] = []
    bus = EventBus()
    bus.subscribe(events.append)
    service = LoadSettingsService(store, bus)
    assert service.get(KEY).is_default
    service.set(KEY, CHOSEN)
    service.set(KEY, CHOSEN)
    assert LoadSettingsService(store, EventBus()).get(KEY) == CHOSEN
    assert service.get("owner/other:Q8_0").is_default
    service.set(KEY, LoadSettings())
    assert store.load_settings.get(KEY) is None
    service.set(KEY, LoadSettings())
    assert events == [LoadSettingsChanged(KEY)] * 2


@pytest.mark.parametrize("text", ["", "{", "[]", '{"ctx":"many"}', '{"kv_type":"q3"}'])
def test_what_cannot_be_read_is_left_out(store: Store, text: str) -> None:
    store.load_settings.set(KEY, text)
    assert LoadSettingsService(store, EventBus()).get(KEY).is_default


def test_what_a_later_version_adds_is_no_obstacle(store: Store) -> None:
    store.load_settings.set(KEY, '{"ctx":2048,"rope":"yarn"}')
    assert LoadSettingsService(store, EventBus()).get(KEY) == LoadSettings(ctx=2048)


def test_what_is_set_takes_the_place_of_what_was_asked() -> None:
    asked = Request(default_ctx=16_384, kv_type=KvType.Q4_0, gpu_layers=7, ubatch=256)
    assert LoadSettings().applied_to(asked) == asked
    applied = CHOSEN.applied_to(asked)
    assert (applied.ctx, applied.kv_type, applied.gpu_layers, applied.experts_on_cpu) == (4096, KvType.Q8_0, 12, 3)
    assert (applied.excluded_devices, applied.default_ctx, applied.ubatch) == (("CUDA1",), 16_384, 256)
    assert LoadSettings(gpu_layers=0).applied_to(asked).gpu_layers == 0
