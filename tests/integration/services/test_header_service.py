"""Headers read from a Hub by ranges: how much is asked for, what is kept, and what a fault costs."""

from __future__ import annotations

import struct
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from localai_app.errors import AppError
from localai_app.gguf.reader import read_header_file
from localai_app.hub.model import Repo
from localai_app.progress import Cancelled, CancelToken
from localai_app.services.app_services import AppServices
from localai_app.services.header_service import MAX_READERS
from tests.helpers.gguf_files import Typed, encode_gguf, write_tiny_gguf
from tests.helpers.hub_server import HubServer, RepoFixture
from tests.helpers.services_fixture import open_services, wait_until
from tests.integration.services.test_estimate_service import PART_NAMES, split_model

REPO = "tester/Large-Headers-GGUF"
STEP = 2_000_000


def merges(header_bytes: int, letter: str = "a") -> Typed:
    """A list of merges that makes a header about that long."""
    return Typed("arr", [f"{letter}{number:07d}" for number in range(header_bytes // 16)], "str")


def with_long_header(folder: Path, header_bytes: int) -> bytes:
    """A tiny model with such a list."""
    return write_tiny_gguf(folder / "long.gguf", metadata={"tokenizer.ggml.merges": merges(header_bytes)}).read_bytes()


@pytest.fixture
def long_model(tmp_path: Path) -> bytes:
    return with_long_header(tmp_path, 5_000_000) + bytes(8_000_000)


@pytest.fixture
def hub(long_model: bytes, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubServer]:
    first, second = split_model()
    repos = {
        REPO: RepoFixture({"long-Q8_0.gguf": long_model, "long-Q4_0.gguf": long_model[:-1000]}),
        "tester/Split-GGUF": RepoFixture(dict(zip(PART_NAMES, (first, second), strict=True))),
    }
    with HubServer(repos) as server:
        monkeypatch.setenv("HF_ENDPOINT", server.endpoint)
        yield server


@pytest.fixture
def services(tmp_path: Path) -> Iterator[AppServices]:
    with open_services(tmp_path / "data") as opened:
        yield opened


def ranges(hub: HubServer) -> list[tuple[int, int]]:
    """(first byte, number of bytes) of every request for the contents of a file, by place in the file."""
    asked = []
    for record in hub.body_requests():
        assert record.range is not None
        start, _, end = record.range.removeprefix("bytes=").partition("-")
        asked.append((int(start), int(end) - int(start) + 1))
    return sorted(asked)


def test_a_header_is_read_in_steps_of_2_mb_no_further_than_it_goes(
    hub: HubServer, services: AppServices, long_model: bytes, tmp_path: Path,
) -> None:
    repo = services.hub.repo(REPO)
    large = next(variant for variant in repo.variants if variant.label == "Q8_0")
    (header,) = services.headers.of_remote(repo, large)
    assert ranges(hub) == [(0, STEP), (STEP, STEP), (2 * STEP, STEP)]
    assert 2 * STEP < header.header_bytes <= 3 * STEP
    whole = tmp_path / "long-Q8_0.gguf"
    whole.write_bytes(long_model)
    assert header == read_header_file(whole)


def test_a_header_is_asked_for_once_and_is_there_after_a_restart(hub: HubServer, tmp_path: Path) -> None:
    with open_services(tmp_path / "data") as services:
        repo = services.hub.repo(REPO)
        before = services.headers.of_remote(repo, repo.variants[0])
        hub.forget_requests()
        assert services.headers.of_remote(repo, repo.variants[0]) == before
    hub.close()
    with open_services(tmp_path / "data") as services:
        assert services.headers.of_remote(repo, repo.variants[0]) == before
        other_commit = Repo(repo_id=REPO, commit="0" * 40, variants=repo.variants)
        with pytest.raises(AppError) as caught:
            services.headers.of_remote(other_commit, repo.variants[0])
    assert caught.value.code == "hub_unreachable"
    assert hub.requests == []
    (kept,) = (tmp_path / "data" / "cache" / "headers").iterdir()
    assert kept.stat().st_size < 10_000


@pytest.mark.parametrize("damage", [lambda data: data[:-7], lambda data: data[:40] + b"\xff" + data[41:], lambda _data: b""])
def test_a_damaged_file_in_the_cache_costs_a_second_request_and_nothing_else(hub: HubServer, tmp_path: Path, damage) -> None:
    with open_services(tmp_path / "data") as services:
        repo = services.hub.repo(REPO)
        before = services.headers.of_remote(repo, repo.variants[0])
    (kept,) = (tmp_path / "data" / "cache" / "headers").iterdir()
    kept.write_bytes(damage(kept.read_bytes()))
    hub.forget_requests()
    with open_services(tmp_path / "data") as services:
        assert services.headers.of_remote(repo, repo.variants[0]) == before
    assert len(ranges(hub)) == 3


def test_all_parts_of_a_split_file_are_read(hub: HubServer, services: AppServices) -> None:
    repo = services.hub.repo("tester/Split-GGUF")
    headers = services.headers.of_remote(repo, repo.variants[0])
    assert [header.name for header in headers] == list(PART_NAMES)
    assert all(header.tensors for header in headers)
    assert len(hub.body_requests()) == 2


def test_several_headers_are_read_at_the_same_time_but_not_all_at_once(
    hub: HubServer, services: AppServices, tmp_path: Path,
) -> None:
    model = write_tiny_gguf(tmp_path / "tiny.gguf").read_bytes()
    hub.publish("tester/Many-GGUF", RepoFixture({f"many-{n}.gguf": model + bytes(32 * n) for n in range(10)}))
    repo = services.hub.repo("tester/Many-GGUF")
    hub.fail("*many-[1-9].gguf", "stall", times=None)
    cancel = CancelToken()
    ended = threading.Event()

    def read_all() -> None:
        with pytest.raises(Cancelled):
            list(services.headers.of_each(repo, repo.variants, cancel))
        ended.set()

    thread = threading.Thread(target=read_all)
    thread.start()
    deadline_s = time.monotonic() + 5
    while len(hub.body_requests()) <= MAX_READERS and time.monotonic() < deadline_s:
        time.sleep(0.02)
    time.sleep(0.3)
    assert len(hub.body_requests()) == 1 + MAX_READERS
    started_s = time.monotonic()
    cancel.cancel()
    assert ended.wait(2)
    assert time.monotonic() - started_s < 1
    thread.join()
    hub.close()


def test_who_waits_for_a_turn_can_give_up_too(hub: HubServer, services: AppServices, tmp_path: Path) -> None:
    model = write_tiny_gguf(tmp_path / "tiny.gguf").read_bytes()
    hub.publish("tester/Many-GGUF", RepoFixture({f"many-{n}.gguf": model + bytes(32 * n) for n in range(10)}))
    many, other = services.hub.repo("tester/Many-GGUF"), services.hub.repo(REPO)
    hub.fail("*many-[1-9].gguf", "stall", times=None)
    first, second = CancelToken(), CancelToken()

    def read_all(repo: Repo, cancel: CancelToken) -> None:
        with pytest.raises(Cancelled):
            list(services.headers.of_each(repo, repo.variants, cancel))

    threads = [threading.Thread(target=read_all, args=job) for job in ((many, first), (other, second))]
    threads[0].start()
    wait_until(lambda: len(hub.body_requests()) == 1 + MAX_READERS)
    threads[1].start()
    time.sleep(0.2)
    second.cancel()
    threads[1].join(5)
    has_ended = not threads[1].is_alive()
    first.cancel()
    for thread in threads:
        thread.join()
    hub.close()
    assert has_ended


def test_sisters_are_read_without_their_vocabulary(hub: HubServer, services: AppServices, tmp_path: Path) -> None:
    paths = []
    for number, label in enumerate(("Q2_K", "Q4_0", "Q8_0", "F16")):
        folder = tmp_path / label
        folder.mkdir()
        metadata = {"general.name": Typed("str", "x" * number), "tokenizer.ggml.merges": merges(6_000_000)}
        path = write_tiny_gguf(folder / f"sister-{label}.gguf", metadata=metadata, n_layer=2 + number, n_ff=64)
        path.write_bytes(path.read_bytes() + bytes(3_000_000 + number))
        paths.append(path)
    hub.publish("tester/Sisters-GGUF", RepoFixture({path.name: path for path in paths}))
    repo = services.hub.repo("tester/Sisters-GGUF")
    hub.forget_requests()
    answers = dict(services.headers.of_each(repo, repo.variants, CancelToken()))
    for variant, headers in answers.items():
        assert headers == [read_header_file(tmp_path / variant.label / variant.files[0].path)]
    asked = ranges(hub)
    assert len(asked) == 4 + 3 * 2
    assert sum(length for _start, length in asked) < 4 * STEP + 3 * 600_000


def test_a_file_that_is_no_sister_is_read_whole(hub: HubServer, services: AppServices, tmp_path: Path) -> None:
    small = write_tiny_gguf(tmp_path / "a-Q2_K.gguf", metadata={"tokenizer.ggml.merges": merges(5_000_000)})
    other = write_tiny_gguf(tmp_path / "b-Q4_0.gguf", metadata={"tokenizer.ggml.merges": merges(5_000_000, "b")}, n_layer=4)
    later = merges(5_000_000)
    assert isinstance(later.value, list)
    later.value[-20_000] = "longer than in the others"
    changed = write_tiny_gguf(tmp_path / "c-Q8_0.gguf", metadata={"tokenizer.ggml.merges": later}, n_layer=6)
    paths = {path.name: path for path in (small, other, changed)}
    hub.publish("tester/Others-GGUF", RepoFixture(paths))
    repo = services.hub.repo("tester/Others-GGUF")
    for variant, headers in services.headers.of_each(repo, repo.variants, CancelToken()):
        assert headers == [read_header_file(paths[variant.files[0].path])]


def test_a_header_without_an_end_is_given_up_after_64_mb(hub: HubServer, services: AppServices, tmp_path: Path) -> None:
    head = encode_gguf([("general.architecture", Typed("str", "llama"))], n_keys=40)
    key = b"".join(
        struct.pack("<Q", 2) + f"{number:02d}".encode() + struct.pack("<IIQ", 9, 8, 1_000_000) + bytes(8_000_000)
        for number in range(9))
    hub.publish("tester/Endless-GGUF", RepoFixture({"endless-Q4_0.gguf": head + key + bytes(1000)}))
    repo = services.hub.repo("tester/Endless-GGUF")
    hub.forget_requests()
    ((_variant, answer),) = services.headers.of_each(repo, repo.variants, CancelToken())
    assert isinstance(answer, AppError)
    assert "larger than 64 MB" in answer.message
    assert sum(length for _start, length in ranges(hub)) <= 64_000_000


def test_a_variant_that_cannot_be_read_does_not_spoil_the_others(hub: HubServer, services: AppServices, tmp_path: Path) -> None:
    model = write_tiny_gguf(tmp_path / "tiny.gguf").read_bytes()
    files = {
        "some-Q8_0.gguf": model, "some-Q6_K.gguf": b"<html>sorry</html>" * 100, "some-Q5_0.gguf": model[: len(model) // 2],
        "some-Q4_0.gguf": encode_gguf([("general.architecture", Typed("str", "llama"))], n_tensors=2**40),
    }
    hub.publish("tester/Damaged-GGUF", RepoFixture(files))
    repo = services.hub.repo("tester/Damaged-GGUF")
    answers = {
        variant.label: answer.code if isinstance(answer, AppError) else "read"
        for variant, answer in services.headers.of_each(repo, repo.variants, CancelToken())}
    assert answers == {"Q8_0": "read", "Q6_K": "not_a_gguf", "Q5_0": "gguf_truncated", "Q4_0": "gguf_refused"}
    assert len(list((tmp_path / "data" / "cache" / "headers").iterdir())) == 1
