"""Runtime packs for the engine of an installer: its own back ends, taken out of it and brought back as signed packs."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from localai_app.errors import AppError
from localai_app.hardware.cpu import this_cpu
from tests.helpers.engine_bundle import BACKENDS, copy_engine, made_engine
from tests.helpers.file_server import file_server
from tests.helpers.packs import PackBench, quiet_job

pytestmark = [
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="tries the libraries for Linux"), pytest.mark.timeout(300)]
IS_X86 = platform.machine() == "x86_64"
SAFE, BEST = ("x64", "haswell") if IS_X86 else ("armv8.0_1", "armv8.2_1")


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PackBench]:
    """A computer whose engine has the plainest variant alone."""
    engine = copy_engine(made_engine(), tmp_path / "engine", SAFE)
    with file_server() as server:
        made = PackBench(tmp_path, server, monkeypatch, engine)
        made.deadlines_s = (90.0, 90.0)
        made.report = type(made.report)(system="linux", cpu=this_cpu(), memory=made.report.memory)
        yield made


def taken_out(bench: PackBench, name: str) -> Path:
    path = made_engine() / BACKENDS / name
    if not path.exists():
        pytest.skip(f"this engine has no {name}")
    return path


def test_a_variant_of_the_processor_comes_as_a_pack(bench: PackBench) -> None:
    engine_id = bench.engine.name
    bench.publish(bench.pack(taken_out(bench, f"libggml-cpu-{BEST}.so"), adds_to=engine_id))
    assert bench.runtimes_in_use() == {f"{engine_id}/{SAFE}": True}
    bench.service().work.install("extra", quiet_job())
    assert bench.runtimes_in_use() == {f"{engine_id}/{BEST}": True, f"{engine_id}/{SAFE}": True}
    bench.service().work.remove("extra")
    assert bench.runtimes_in_use() == {f"{engine_id}/{SAFE}": True}


def test_a_pack_of_another_engine_is_refused_before_it_is_loaded(bench: PackBench) -> None:
    entry, archive = bench.pack(taken_out(bench, f"libggml-cpu-{BEST}.so"), adds_to="lcpp-000000000-1")
    entry["engine_id"] = bench.engine.name
    bench.publish((entry, archive))
    with pytest.raises(AppError, match=r"it is made for the build lcpp-000000000-1 and not for"):
        bench.service().work.install("extra", quiet_job())
    assert bench.tree() == set()
