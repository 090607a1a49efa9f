"""Benchmarks in the store: newest first, by model, bounded, forgotten by model."""

from __future__ import annotations

from pathlib import Path

from localai_app.store.benchmarks import KEPT_BENCHMARKS
from localai_app.store.database import Store, open_store
from localai_app.store.migrations import MIGRATIONS
from tests.helpers.benchmarks import RECORD, benchmark_of


def test_they_come_back_as_they_were_newest_first(store: Store) -> None:
    other = benchmark_of(2.0, model_key="b", options={"ctx": 4096, "gpu_layers": 3, "tensor_split": [0.5, 0.5]})
    store.benchmarks.add(RECORD)
    store.benchmarks.add(other)
    assert store.benchmarks.list() == (other, RECORD)
    assert store.benchmarks.list("b") == (other,)
    store.benchmarks.forget("b")
    assert store.benchmarks.list() == (RECORD,)


def test_only_the_newest_are_kept_and_damaged_rows_do_no_harm(store: Store) -> None:
    with store._connection.transaction():
        for number in range(KEPT_BENCHMARKS + 2):
            store.benchmarks.add(benchmark_of(threads=number, model_name="\udce4"))
        store._connection.write("INSERT INTO benchmarks (measured_s, model_key, json) VALUES (1, 'a', '{}')")
    kept = store.benchmarks.list()
    assert [one.threads for one in kept] == list(range(KEPT_BENCHMARKS + 1, 1, -1))
    assert kept[0].model_name == "\ufffd"


def test_an_older_file_learns_to_keep_them(store_path: Path) -> None:
    older = MIGRATIONS[:[migration.name for migration in MIGRATIONS].index("benchmarks")]
    open_store(store_path, migrations=older).close()
    store = open_store(store_path)
    store.benchmarks.add(RECORD)
    assert store.benchmarks.list() == (RECORD,)
    store.close()
