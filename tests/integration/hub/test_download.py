"""The durable download against a server that misbehaves (scenarios D1 to D10 and D12 of the design)."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from localai_app import errors
from localai_app.errors import AppError, ErrorSpec
from localai_app.hub.client import HubClient
from localai_app.hub.download import discard_partial, download_file, partial_bytes
from localai_app.progress import Cancelled, CancelToken, Progress
from tests.helpers.hub_downloads import (
    MODEL,
    NAME,
    QUICK,
    REPO,
    Recorder,
    download,
    files_below,
    request_for,
    tiny_server,
    with_options,
)
from tests.helpers.hub_server import GOOD_TOKEN, UNGRANTED_TOKEN, HubServer, RepoFixture

SIZE = len(MODEL)


@pytest.fixture
def server() -> Iterator[HubServer]:
    with tiny_server() as running:
        yield running


def failure(server: HubServer, folder: Path, **options: object) -> AppError:
    with pytest.raises(AppError) as caught:
        download(server, folder, **options)  # type: ignore[arg-type]
    assert not (folder / REPO / NAME).exists()
    return caught.value


def test_a_plain_download_is_complete_and_leaves_nothing_else(server: HubServer, tmp_path: Path) -> None:
    recorder = Recorder()
    target = download(server, tmp_path, recorder=recorder)
    assert target.read_bytes() == MODEL
    assert files_below(tmp_path) == [f"{REPO}/{NAME}"]
    assert recorder.seen[-1] == Progress(SIZE, SIZE)
    assert all(earlier.done <= later.done for earlier, later in zip(recorder.seen, recorder.seen[1:], strict=False))
    assert partial_bytes(target) == 0
    assert [record.range for record in server.body_requests()] == [None]


@pytest.mark.parametrize("place", ["0.1", "0.5", "0.9", "0.99", "65536", "131072", "1", "3", "4"])
def test_a_dropped_connection_is_resumed_by_range(server: HubServer, tmp_path: Path, place: str) -> None:
    server.fail("/cdn/*", f"drop@{place}")
    target = download(server, tmp_path)
    assert target.read_bytes() == MODEL
    first, second = server.body_requests()
    offset = first.bytes_sent
    assert second.range == (f"bytes={offset}-" if offset >= 4 else None)
    assert first.bytes_sent + second.bytes_sent <= SIZE + 4


def test_many_drops_in_a_row_end_well_as_long_as_something_arrives(server: HubServer, tmp_path: Path) -> None:
    for share in range(1, 10):
        server.fail("/cdn/*", f"drop@0.{share}")
    assert download(server, tmp_path).read_bytes() == MODEL
    assert sum(record.bytes_sent for record in server.body_requests()) == SIZE


def test_a_connection_that_never_brings_anything_ends_with_words(server: HubServer, tmp_path: Path) -> None:
    server.fail("/cdn/*", "drop@0.3")
    server.fail("/cdn/*", "close", times=None)
    error = failure(server, tmp_path)
    assert error.spec is errors.TRANSFER_FAILED
    assert partial_bytes(tmp_path / REPO / NAME) == int(SIZE * 0.3)
    server.clear_faults()
    server.forget_requests()
    assert download(server, tmp_path).read_bytes() == MODEL
    assert [record.range for record in server.body_requests()] == [f"bytes={int(SIZE * 0.3)}-"]


def test_no_server_is_reported_as_unreachable(server: HubServer, tmp_path: Path) -> None:
    request = request_for(server, tmp_path)
    client = HubClient("http://127.0.0.1:1")
    with pytest.raises(AppError) as caught:
        download_file(client, request, on_progress=Recorder(), cancel=CancelToken(), options=QUICK)
    assert caught.value.spec is errors.HUB_UNREACHABLE


def test_a_resumption_rereads_what_is_there_and_reports_it(server: HubServer, tmp_path: Path) -> None:
    server.fail("/cdn/*", "drop@0.6")
    server.fail("/cdn/*", "close", times=20)
    failure(server, tmp_path)
    server.clear_faults()
    recorder = Recorder()
    assert download(server, tmp_path, recorder=recorder).read_bytes() == MODEL
    assert recorder.verified[-1].fraction == 1.0
    assert recorder.seen[0].done == int(SIZE * 0.6)


def test_bytes_after_the_recorded_ones_are_not_trusted(server: HubServer, tmp_path: Path) -> None:
    server.fail("/cdn/*", "drop@0.5")
    server.fail("/cdn/*", "close", times=20)
    failure(server, tmp_path)
    server.clear_faults()
    server.forget_requests()
    part = tmp_path / REPO / f"{NAME}.part"
    with part.open("ab") as stream:
        stream.write(b"\0" * 5000)
    assert download(server, tmp_path).read_bytes() == MODEL
    assert [record.range for record in server.body_requests()] == [f"bytes={SIZE // 2}-"]


@pytest.mark.parametrize("record", [b"", b"{", b"[]", b'{"bytes_fsynced": -1}', b"\xff" * 200_000])
def test_a_damaged_record_means_starting_anew(server: HubServer, tmp_path: Path, record: bytes) -> None:
    folder = tmp_path / REPO
    folder.mkdir(parents=True)
    (folder / f"{NAME}.part").write_bytes(b"x" * 1000)
    (folder / f"{NAME}.part.json").write_bytes(record)
    assert download(server, tmp_path).read_bytes() == MODEL
    assert [request.range for request in server.body_requests()] == [None]


def test_a_corrupt_byte_costs_one_clean_retry(server: HubServer, tmp_path: Path) -> None:
    server.fail("/cdn/*", "corrupt@1000")
    assert download(server, tmp_path).read_bytes() == MODEL
    assert [record.range for record in server.body_requests()] == [None, None]


def test_wrong_content_twice_is_refused_and_removed(server: HubServer, tmp_path: Path) -> None:
    server.fail("/cdn/*", "corrupt@1000", times=None)
    error = failure(server, tmp_path)
    assert error.spec is errors.HASH_MISMATCH
    assert NAME in error.message
    assert len(server.body_requests()) == 2
    assert files_below(tmp_path) == []


@pytest.mark.parametrize(
    ("script", "spec"),
    [
        ("lie_size=+5", errors.HUB_BAD_ANSWER),
        ("lie_size=1125899906842624", errors.HUB_BAD_ANSWER),
        ("lie_size=-7", errors.HUB_BAD_ANSWER),
        ("etag=../../x", errors.FILE_CHANGED),
        (f"etag={'a' * 10_000}", errors.FILE_CHANGED),
        ("etag=", errors.FILE_CHANGED),
        ("changed_etag", errors.FILE_CHANGED),
        ("commit=../../../etc/passwd", errors.FILE_CHANGED),
        ("redirect=file:///etc/passwd", errors.HUB_BAD_ANSWER),
        ("redirect=ftp://127.0.0.1/x", errors.HUB_BAD_ANSWER),
        ("redirect=http://", errors.HUB_BAD_ANSWER),
        ("redirect=http://a..b/x", errors.HUB_BAD_ANSWER),
        ("redirect_loop", errors.HUB_BAD_ANSWER),
        ("captive_portal", errors.HUB_BAD_ANSWER),
        ("status=500", errors.HUB_REFUSED),
        ("status=429;retry_after=1000000000", errors.HUB_RATE_LIMITED),
        ("status=429;retry_after=Wed, 21 Oct 2099 07:28:00 GMT", errors.HUB_RATE_LIMITED),
        ("status=429;retry_after=nonsense", errors.HUB_RATE_LIMITED),
        ("status=404;code=EntryNotFound", errors.FILE_CHANGED),
        ("status=404;code=RepoNotFound", errors.REPO_UNKNOWN),
        ("status=418", errors.HUB_REFUSED),
    ],
)
def test_what_the_hub_gets_wrong_is_refused_in_words(
    server: HubServer, tmp_path: Path, script: str, spec: ErrorSpec
) -> None:
    server.fail(f"/{REPO}/resolve/*", script, times=None)
    models = tmp_path / "models"
    assert failure(server, models).spec is spec
    assert {path.name for path in tmp_path.iterdir()} == {"models"}
    assert all(name.startswith(f"{REPO}/{NAME}.part") for name in files_below(models))


@pytest.mark.parametrize(
    ("script", "spec"),
    [
        ("html", errors.HUB_BAD_ANSWER),
        ("captive_portal", errors.HUB_BAD_ANSWER),
        ("gzip", errors.HUB_BAD_ANSWER),
        ("refuse_range", errors.HUB_REFUSED),
        ("wrong_status=204", errors.HUB_BAD_ANSWER),
        ("expired_cdn", errors.HUB_REFUSED),
        ("status=503", errors.HUB_REFUSED),
    ],
)
def test_what_the_second_host_gets_wrong_is_refused_in_words(
    server: HubServer, tmp_path: Path, script: str, spec: ErrorSpec
) -> None:
    server.fail("/cdn/*", script, times=None)
    assert failure(server, tmp_path).spec is spec


@pytest.mark.parametrize(
    "script",
    [
        "ignore_range", "wrong_content_range", "refuse_range", "gzip", "expired_cdn", "status=503", "status=429;retry_after=0",
        "stall", "stall@0.7", "missing_length", "close", "slow=10000000",
    ],
)
def test_a_fault_at_the_resumption_ends_in_the_right_bytes(server: HubServer, tmp_path: Path, script: str) -> None:
    server.fail("/cdn/*", "drop@0.5")
    server.fail("/cdn/*", script)
    assert download(server, tmp_path).read_bytes() == MODEL


@pytest.mark.parametrize("script", ["wrong_total", "wrong_status=200"])
def test_a_wrong_size_is_refused_and_what_arrived_is_kept(server: HubServer, tmp_path: Path, script: str) -> None:
    server.fail("/cdn/*", "drop@0.5")
    server.fail("/cdn/*", script)
    assert failure(server, tmp_path).spec is errors.HUB_BAD_ANSWER
    assert partial_bytes(tmp_path / REPO / NAME) == SIZE // 2


@pytest.mark.parametrize("script", ["html", "captive_portal"])
def test_a_login_page_does_not_cost_what_had_arrived(server: HubServer, tmp_path: Path, script: str) -> None:
    server.fail("/cdn/*", "drop@0.5")
    server.fail("/cdn/*", script)
    assert failure(server, tmp_path).spec is errors.HUB_BAD_ANSWER
    assert partial_bytes(tmp_path / REPO / NAME) == SIZE // 2
    assert download(server, tmp_path).read_bytes() == MODEL


def test_a_file_that_is_no_gguf_is_refused_at_its_first_bytes(tmp_path: Path) -> None:
    data = b"<!DO" + MODEL[4:]
    with tiny_server(data) as server:
        server.bytes_per_s = 200_000
        started = time.monotonic()
        assert failure(server, tmp_path, data=data).spec is errors.HUB_BAD_ANSWER
        assert time.monotonic() - started < 3


def test_a_server_that_states_no_length_is_good_enough(server: HubServer, tmp_path: Path) -> None:
    server.fail("/cdn/*", "missing_length")
    assert download(server, tmp_path).read_bytes() == MODEL


def test_a_server_that_ends_early_without_a_length_is_noticed(server: HubServer, tmp_path: Path) -> None:
    server.fail("/cdn/*", "missing_length;drop@0.4")
    assert download(server, tmp_path).read_bytes() == MODEL
    assert server.body_requests()[1].range == f"bytes={int(SIZE * 0.4)}-"


def test_an_expired_address_is_asked_for_again(server: HubServer, tmp_path: Path) -> None:
    server.fail(f"/{REPO}/resolve/*", "expired_cdn")
    assert download(server, tmp_path).read_bytes() == MODEL
    assert [record.status for record in server.body_requests()] == [403, 200]


def test_a_pause_that_the_server_asks_for_is_kept(server: HubServer, tmp_path: Path) -> None:
    server.fail("*/resolve/*", "status=429;retry_after=1")
    started = time.monotonic()
    assert download(server, tmp_path).read_bytes() == MODEL
    assert time.monotonic() - started >= 1


def test_a_stalled_server_is_given_up_and_resumed(server: HubServer, tmp_path: Path) -> None:
    server.fail("/cdn/*", "stall@0.5")
    started = time.monotonic()
    assert download(server, tmp_path).read_bytes() == MODEL
    assert 0.5 <= time.monotonic() - started < 5
    assert server.body_requests()[1].range == f"bytes={SIZE // 2}-"


def test_a_dripping_server_is_given_up(server: HubServer, tmp_path: Path) -> None:
    server.fail("/cdn/*", "slow=20", times=None)
    error = failure(server, tmp_path, options=with_options(max_failures=2, stall_s=0.4))
    assert error.spec is errors.TRANSFER_FAILED


@pytest.mark.parametrize("script", ["stall", "stall@0.5", "slow=100000"])
def test_cancelling_takes_less_than_a_second_and_keeps_what_arrived(
    server: HubServer, tmp_path: Path, script: str
) -> None:
    server.fail("/cdn/*", script, times=None)
    recorder = Recorder()
    threading.Timer(0.5, recorder.cancel.cancel).start()
    started = time.monotonic()
    with pytest.raises(Cancelled):
        download(server, tmp_path, recorder=recorder, options=with_options(stall_s=60))
    assert time.monotonic() - started < 1.5
    arrived = partial_bytes(tmp_path / REPO / NAME)
    assert arrived == {"stall": 0, "stall@0.5": SIZE // 2}.get(script, arrived)
    server.clear_faults()
    assert download(server, tmp_path).read_bytes() == MODEL
    assert server.body_requests()[-1].range == (f"bytes={arrived}-" if arrived else None)


def test_cancelling_while_waiting_to_try_again(server: HubServer, tmp_path: Path) -> None:
    server.fail("*/resolve/*", "status=503", times=None)
    recorder = Recorder()
    threading.Timer(0.3, recorder.cancel.cancel).start()
    started = time.monotonic()
    with pytest.raises(Cancelled):
        download(server, tmp_path, recorder=recorder, options=with_options(first_pause_s=30.0, max_pause_s=30.0))
    assert time.monotonic() - started < 1


def test_a_file_that_changed_on_the_hub_is_not_spliced(server: HubServer, tmp_path: Path) -> None:
    server.fail("/cdn/*", "drop@0.5")
    server.fail("/cdn/*", "close", times=20)
    failure(server, tmp_path)
    server.clear_faults()
    changed = b"GGUF" + bytes(SIZE - 4)
    server.publish(REPO, RepoFixture({NAME: changed}))
    server.forget_requests()
    assert download(server, tmp_path, data=changed).read_bytes() == changed
    assert [record.range for record in server.body_requests()] == [None]


def test_the_same_bytes_at_a_newer_commit_are_not_fetched_again(server: HubServer, tmp_path: Path) -> None:
    server.fail("/cdn/*", "drop@0.5")
    server.fail("/cdn/*", "close", times=20)
    failure(server, tmp_path)
    server.clear_faults()
    server.publish(REPO, RepoFixture({NAME: MODEL, "README.md": b"new words"}))
    server.forget_requests()
    assert download(server, tmp_path).read_bytes() == MODEL
    assert [record.range for record in server.body_requests()] == [f"bytes={SIZE // 2}-"]


def test_the_token_goes_to_the_hub_and_nowhere_else(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(0)
    with tiny_server(gated=True) as server:
        server.fail("/cdn/*", "drop@0.5")
        assert download(server, tmp_path, token=GOOD_TOKEN).read_bytes() == MODEL
        assert {record.authorization for record in server.requests if record.site == "hub"} == {f"Bearer {GOOD_TOKEN}"}
        assert all(record.authorization is None and record.cookie is None for record in server.body_requests())
        assert not any(GOOD_TOKEN in str(record.headers) + record.query for record in server.body_requests())
    assert GOOD_TOKEN not in caplog.text
    assert "Signature" not in caplog.text


@pytest.mark.parametrize("token", ["", UNGRANTED_TOKEN])
def test_a_gated_repository_without_access(tmp_path: Path, token: str) -> None:
    with tiny_server(gated=True) as server:
        error = failure(server, tmp_path, token=token)
        assert error.spec is errors.REPO_GATED
        assert REPO in error.message


def test_a_token_that_the_hub_does_not_know(server: HubServer, tmp_path: Path) -> None:
    assert failure(server, tmp_path, token="hf_unknown").spec is errors.HUB_TOKEN_REFUSED


def test_two_writers_of_one_file_do_not_meet(server: HubServer, tmp_path: Path) -> None:
    server.bytes_per_s = 400_000
    recorder = Recorder()
    first = threading.Thread(target=download, args=(server, tmp_path), kwargs={"recorder": recorder})
    first.start()
    while not recorder.seen:
        time.sleep(0.01)
    with pytest.raises(AppError) as caught:
        download(server, tmp_path)
    assert caught.value.spec is errors.DOWNLOAD_BUSY
    with pytest.raises(AppError) as caught:
        discard_partial(tmp_path / REPO / NAME)
    assert caught.value.spec is errors.DOWNLOAD_BUSY
    server.bytes_per_s = 0
    first.join()
    assert (tmp_path / REPO / NAME).read_bytes() == MODEL
    assert files_below(tmp_path) == [f"{REPO}/{NAME}"]


def test_discarding_removes_everything_and_is_idempotent(server: HubServer, tmp_path: Path) -> None:
    server.fail("/cdn/*", "drop@0.5")
    server.fail("/cdn/*", "close", times=20)
    failure(server, tmp_path)
    target = tmp_path / REPO / NAME
    assert partial_bytes(target) > 0
    discard_partial(target)
    discard_partial(target)
    assert files_below(tmp_path) == []
    assert partial_bytes(target) == 0


def test_the_speed_limit_is_kept_and_can_be_changed_on_the_way(server: HubServer, tmp_path: Path) -> None:
    limit = 500_000
    started = time.monotonic()
    client = HubClient(server.endpoint)
    recorder = Recorder()

    def limit_now() -> int:
        return limit if time.monotonic() - started < 1.0 else 0

    download_file(
        client, request_for(server, tmp_path), on_progress=recorder, cancel=recorder.cancel, limit_bytes_per_s=limit_now,
        options=QUICK)
    elapsed_s = time.monotonic() - started
    client.close()
    assert 0.9 < elapsed_s < 2.0


def test_the_record_names_what_it_belongs_to(server: HubServer, tmp_path: Path) -> None:
    server.fail("/cdn/*", "drop@0.5")
    server.fail("/cdn/*", "close", times=20)
    failure(server, tmp_path)
    record = msgspec.json.decode((tmp_path / REPO / f"{NAME}.part.json").read_bytes())
    assert record == {
        "repo_id": REPO, "commit": server.commit(REPO), "path": NAME, "sha256": request_for(server, tmp_path).file.sha256,
        "size_bytes": SIZE, "bytes_fsynced": SIZE // 2,
    }


def test_a_part_that_was_complete_when_the_program_died_is_only_checked(server: HubServer, tmp_path: Path) -> None:
    request = request_for(server, tmp_path)
    request.target.parent.mkdir(parents=True)
    record = {
        "repo_id": REPO, "commit": request.commit, "path": NAME, "sha256": request.file.sha256, "size_bytes": SIZE,
        "bytes_fsynced": SIZE,
    }
    request.target.with_name(f"{NAME}.part.json").write_bytes(msgspec.json.encode(record))
    part = request.target.with_name(f"{NAME}.part")
    part.write_bytes(MODEL)
    assert download(server, tmp_path).read_bytes() == MODEL
    assert server.requests == []
    request.target.unlink()
    request.target.with_name(f"{NAME}.part.json").write_bytes(msgspec.json.encode(record))
    part.write_bytes(MODEL[:-1] + bytes([MODEL[-1] ^ 1]))
    assert download(server, tmp_path).read_bytes() == MODEL
    assert [request.range for request in server.body_requests()] == [None]
