"""Measurements in the store: newest first, bounded, forgotten together."""

from __future__ import annotations

from pathlib import Path

import msgspec

from localai_app.store.database import Store, open_store
from localai_app.store.measurements import KEPT_MEASUREMENTS
from localai_app.store.migrations import MIGRATIONS
from tests.helpers.measurements import MEASUREMENT, answer_of, load_of


def test_they_come_back_as_they_were_newest_first(store: Store) -> None:
    kept = [MEASUREMENT, answer_of(depth=7, measured_tps=12.5), load_of(host=-5, gpu=3, gpus=("RTX 4090", "RTX 3090"))]
    for one in kept:
        store.measurements.add(one)
    assert store.measurements.list() == tuple(reversed(kept))
    store.measurements.clear()
    assert store.measurements.list() == ()


def test_only_the_newest_are_kept(store: Store) -> None:
    with store._connection.transaction():
        for number in range(KEPT_MEASUREMENTS + 5):
            store.measurements.add(msgspec.structs.replace(MEASUREMENT, depth=number))
    depths = [one.depth for one in store.measurements.list()]
    assert depths == list(range(KEPT_MEASUREMENTS + 4, 4, -1))


def test_rows_that_cannot_be_read_and_names_that_are_no_text_do_no_harm(store: Store) -> None:
    store.measurements.add(msgspec.structs.replace(MEASUREMENT, model_key="/models/\udce4.gguf"))
    store._connection.write("INSERT INTO measurements (measured_s, model_key, json) VALUES (1, 'a', '{\"depth\": \"deep\"}')")
    (kept,) = store.measurements.list()
    assert kept.model_key == "/models/\ufffd.gguf"


def test_an_older_file_learns_to_keep_them(store_path: Path) -> None:
    older = MIGRATIONS[:[migration.name for migration in MIGRATIONS].index("measurements")]
    open_store(store_path, migrations=older).close()
    store = open_store(store_path)
    store.measurements.add(MEASUREMENT)
    store.close()
    store = open_store(store_path)
    assert store.measurements.list() == (MEASUREMENT,)
    store.close()
