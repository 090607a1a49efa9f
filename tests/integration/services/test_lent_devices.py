"""Devices of other computers, played by llama.cpp's RPC servers on loopback: lent, used, and lost in the midst of an answer."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from localai_app import errors
from localai_app.engine.protocol import ChatMessage, Load, Loaded, LoadOptions, Sampling, TextGenerated
from localai_app.engine.rpc_greeting import Answer, greet
from localai_app.errors import AppError
from localai_app.fit.result import Request
from localai_app.services.app_services import AppServices
from localai_app.services.events import EngineFailed, HardwareReported, ModelLoaded
from localai_app.services.lending import LendingStatus
from localai_app.services.lent_devices import NOT_TRUSTED_WORDS
from localai_app.services.views import EngineStatus
from tests.helpers.lent_devices import lent_devices, library_folder
from tests.helpers.real_models import smollm2_path
from tests.helpers.services_fixture import EventRecorder, open_services, wait_until

pytestmark = [
    pytest.mark.model,
    pytest.mark.skipif(library_folder() is None, reason="this llama.cpp cannot lend devices"),
]
GREEDY = Sampling(temperature=0.0, max_tokens=40)
QUESTION = (ChatMessage(role="user", content="Write one sentence about the sea."),)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Sink:
    """Collects an answer."""

    def __init__(self) -> None:
        self.text = ""
        self.error: AppError | None = None
        self.over = threading.Event()

    def on_cut(self, _cut: object) -> None:
        pass

    def on_text(self, event: TextGenerated) -> None:
        self.text += event.text

    def on_finished(self, *_news: object) -> None:
        self.over.set()

    def on_failed(self, error: AppError) -> None:
        self.error = error
        self.over.set()


@contextmanager
def listening(*, answers: bool) -> Iterator[str]:
    """A server that is none of llama.cpp's: it says nothing, or something else."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        over = threading.Event()

        def serve() -> None:
            server.settimeout(0.1)
            kept = []
            while not over.is_set():
                try:
                    connection, _peer = server.accept()
                except TimeoutError:
                    continue
                kept.append(connection)
                if answers:
                    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            for connection in kept:
                connection.close()

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"127.0.0.1:{server.getsockname()[1]}"
        over.set()
        thread.join()


def test_greetings(tmp_path: Path) -> None:
    assert greet(f"127.0.0.1:{free_port()}") is Answer.ABSENT
    assert greet("nonsense") is Answer.ABSENT
    with listening(answers=True) as address:
        assert greet(address) is Answer.FOREIGN
    with listening(answers=False) as address:
        assert greet(address, 0.2) is Answer.BUSY
    with lent_devices(1) as (port,):
        address = f"127.0.0.1:{port}"
        assert greet(address) is Answer.READY, "also shows that the version of the protocol is still the known one"
        with socket.create_connection(("127.0.0.1", port)):
            assert greet(address, 0.3) is Answer.BUSY
        wait_until(lambda: greet(address) is Answer.READY)


def test_addresses_beyond_this_computer_need_trust(tmp_path: Path) -> None:
    with open_services(tmp_path, echo=None) as services:
        services.settings.set("lent_addresses", "192.0.2.1:50052 127.0.0.1:1")
        assert services.settings.text("lent_addresses") == "192.0.2.1:50052, 127.0.0.1:1"
        assert services.lent.ready_addresses() == ()
        far, near = services.lent.lenders
        assert (far.answer, near.answer) == (None, Answer.ABSENT)
        assert far.words == NOT_TRUSTED_WORDS
        with pytest.raises(AppError) as refused:
            services.lending.lend("0.0.0.0:50052")
        assert refused.value.spec is errors.LENDING_NEEDS_TRUST
        for wrong in ("host", "host:0", "host:70000", "::1:5", "a b:1:2", "x:1," * 17, "-a:1", "user@host:5"):
            with pytest.raises(AppError):
                services.settings.set("lent_addresses", wrong)


def test_this_computer_lends_and_ends_with_the_program(tmp_path: Path) -> None:
    port, other = free_port(), free_port()
    with open_services(tmp_path, echo=None) as services:
        services.settings.set("lend_address", f"127.0.0.1:{port}")
        services.lending.start()
        assert services.lending.state.status is LendingStatus.OFF
        assert greet(f"127.0.0.1:{port}") is Answer.ABSENT, "nothing is lent unless told"
        services.settings.set("lend_devices", True)
        wait_until(lambda: services.lending.state.status is LendingStatus.LENDING)
        assert greet(f"127.0.0.1:{port}") is Answer.READY
        services.settings.set("lend_address", f"127.0.0.1:{other}")
        wait_until(lambda: services.lending.state.address.endswith(str(other)))
        wait_until(lambda: services.lending.state.status is LendingStatus.LENDING)
        assert greet(f"127.0.0.1:{port}") is Answer.ABSENT
        services.settings.set("lend_address", "0.0.0.0:50052")
        wait_until(lambda: services.lending.state.status is LendingStatus.FAILED)
        assert services.lending.state.error is not None
        assert services.lending.state.error.spec is errors.LENDING_NEEDS_TRUST
        assert greet(f"127.0.0.1:{other}") is Answer.ABSENT
        services.settings.set("lend_address", f"127.0.0.1:{port}")
        wait_until(lambda: services.lending.state.status is LendingStatus.LENDING)
    assert greet(f"127.0.0.1:{port}") is Answer.ABSENT


def test_a_port_in_use_is_said(tmp_path: Path) -> None:
    with listening(answers=False) as address, open_services(tmp_path, echo=None) as services:
        services.lending.lend(address)
        wait_until(lambda: services.lending.state.status is LendingStatus.FAILED)
        error = services.lending.state.error
        assert error is not None
        assert error.message == (
            f"The devices of this computer cannot be lent at {address}: this address or port is in use, or not one of this "
            "computer.")


def test_a_model_over_two_computers_answers_as_on_one_and_survives_the_loss_of_one(
    tmp_path: Path, expect_log: Callable[[str], None],
) -> None:
    expect_log("the engine ended: A computer that lent its devices")
    alone = text_on_the_processor(tmp_path)
    with lent_devices(1) as (staying,), open_services(tmp_path / "data", echo=None) as services:
        recorder = EventRecorder(services)
        with lent_devices(1) as (leaving,):
            services.settings.set("lent_addresses", f"127.0.0.1:{leaving}, 127.0.0.1:{staying}")
            services.hardware.detect_now()
            services.lent.watch(services.hardware.look_again, services.engine.load, services.engine_uses_lent_devices)
            report = services.hardware.report
            assert report is not None
            lent = [device for device in report.engine_devices or () if device.name.startswith("RPC")]
            assert [(device.name, device.description) for device in lent] == [
                ("RPC0", f"127.0.0.1:{leaving}"), ("RPC1", f"127.0.0.1:{staying}")]
            assert lent[0].total_bytes > 0
            assert not [note for note in report.notes if "127.0.0.1" in note.message]
            services.engine.load(str(smollm2_path()), Request(ctx=2048, tensor_split=(1.0, 1.0)))
            loaded = recorder.wait_for(ModelLoaded, timeout_s=60).info
            on = {buffer.device: buffer.weights_bytes for buffer in loaded.buffers}
            assert on["RPC0"] > 10_000_000
            assert on["RPC1"] > 10_000_000
            assert ask(services, GREEDY).text == alone
            sink = begin(services, Sampling(temperature=0.0, max_tokens=2000))
            wait_until(lambda: len(sink.text) > 40)
        # The first server was killed here.
        assert sink.over.wait(30)
        assert sink.error is not None
        assert sink.error.message == "A computer that lent its devices to this model no longer answers."
        assert sink.text.startswith(alone[:30]), "what was written is kept"
        assert recorder.wait_for(EngineFailed).error.spec is errors.LENDER_LOST
        again = recorder.wait_for(ModelLoaded, 2, timeout_s=60).info
        assert {buffer.device for buffer in again.buffers if buffer.weights_bytes} == {"CPU", "RPC0"}
        newest = recorder.of(HardwareReported)[-1].report.engine_devices or ()
        assert [device.description for device in newest if device.name == "RPC0"] == [f"127.0.0.1:{staying}"]
        assert services.engine.state.status is EngineStatus.READY
        assert ask(services, GREEDY).text == alone


def text_on_the_processor(folder: Path) -> str:
    """The same answer of one worker alone, with its weights as they are in the file."""
    from localai_app.engine.client import EngineClient
    from localai_app.engine.launch import worker_command
    from localai_app.engine.protocol import Chat, Finished

    events: list[object] = []
    client = EngineClient(
        worker_command(), cwd=folder / "worker", on_event=events.append, on_exit=lambda _outcome: None)
    client.start()
    try:
        client.send(Load(id=1, options=LoadOptions(model_path=str(smollm2_path()), ctx=2048, use_repack=False)))
        client.send(Chat(id=2, messages=QUESTION, sampling=GREEDY))
        wait_until(lambda: any(isinstance(event, Finished) for event in events), 60)
    finally:
        client.stop()
    assert any(isinstance(event, Loaded) for event in events)
    return "".join(event.text for event in events if isinstance(event, TextGenerated))


def begin(services: AppServices, sampling: Sampling) -> Sink:
    sink = Sink()
    services.engine.chat(QUESTION, sampling, sink)
    return sink


def ask(services: AppServices, sampling: Sampling) -> Sink:
    sink = begin(services, sampling)
    deadline_s = time.monotonic() + 60
    while not sink.over.wait(0.1):
        assert time.monotonic() < deadline_s
    assert sink.error is None, sink.error
    return sink
