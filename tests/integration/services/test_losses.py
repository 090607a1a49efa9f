"""Measuring what smaller files lose and making them: real llama.cpp, tiny models with random weights where those will do."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from localai_app import errors
from localai_app.compare.loss import TextSource, recommendation
from localai_app.engine.quantizing import FROM_BITS_KEY, FROM_FILE_KEY, FROM_LABEL_KEY
from localai_app.errors import AppError
from localai_app.gguf.reader import read_header_file
from localai_app.services.app_services import AppServices
from localai_app.services.compare.loss_state import LossStatus, QuantizingStatus
from localai_app.services.compare.loss_texts import MAX_TEXT_BYTES, text_of_file
from localai_app.services.events import LossChanged, ModelLoaded
from tests.helpers.gguf_files import write_tiny_gguf
from tests.helpers.program import program_command, run_program
from tests.helpers.real_models import gemma_path
from tests.helpers.services_fixture import EventRecorder, open_services, wait_until

REPO = "tester/Tiny-GGUF"
ORIGINAL = f"{REPO}:F16"
PATIENCE_S = 120.0
TEXT = TextSource(name="notes", text="The quick brown fox jumps over the lazy dog. " * 30)


def install_original(data_dir: Path, name: str = "tiny-F16.gguf", **overrides: object) -> Path:
    return write_tiny_gguf(data_dir / "models" / REPO / name, **({"n_embd": 64} | overrides))


@pytest.fixture
def services(tmp_path: Path) -> Iterator[AppServices]:
    install_original(tmp_path)
    with open_services(tmp_path, echo=None) as opened:
        yield opened


def make(services: AppServices, label: str, source: str = ORIGINAL) -> str:
    losses = services.compare.losses
    losses.quantize(source, label)
    assert losses.requantizing.wait(PATIENCE_S)
    assert losses.requantizing.state.status is QuantizingStatus.DONE, losses.requantizing.state
    return losses.requantizing.state.made_key


def parts_left(services: AppServices) -> list[Path]:
    return [path for path in services.settings.models_folder.rglob("*") if path.is_file() and path.suffix != ".gguf"]


def test_a_smaller_file_is_made_listed_and_measured(tmp_path: Path, services: AppServices) -> None:
    losses, recorder = services.compare.losses, EventRecorder(services)
    made = [make(services, label) for label in ("Q8_0", "Q4_0")]
    assert made == [f"{REPO}:Q8_0", f"{REPO}:Q4_0"]
    file = services.library.get(made[1]).paths[0]
    assert file.name == "tiny-from-F16-Q4_0.gguf"
    header = read_header_file(file)
    assert (header.text(FROM_LABEL_KEY), header.text(FROM_FILE_KEY)) == ("F16", "tiny-F16.gguf")
    assert float(header.text(FROM_BITS_KEY)) == pytest.approx(16.0)
    assert parts_left(services) == []
    (family,) = losses.families()
    assert (set(family.keys), family.reference_key) == ({ORIGINAL, *made}, ORIGINAL)

    losses.start(ORIGINAL, made, TEXT, ctx=64, max_tokens=256)
    assert losses.wait(PATIENCE_S)
    state = losses.state
    assert (state.status, state.failures, state.fraction) == (LossStatus.DONE, (), 1.0)
    assert [result.variant.label for result in state.results] == ["Q8_0", "Q4_0"]
    assert 0 < state.results[0].kld.value < state.results[1].kld.value
    kept = losses.results("Tiny")
    assert [result.variant.label for result in kept] == ["Q4_0", "Q8_0"]
    newest = kept[0]
    assert (newest.n_tokens, newest.n_scored, newest.ctx, newest.text_name) == (256, 4 * 31, 64, "notes")
    assert newest.text_sha256 == TEXT.sha256
    assert len(newest.reference.sha256) == len(newest.variant.sha256) == 1
    assert "llama-cpp-python" in newest.engine_build
    assert newest.variant.tps > 0
    assert "from F16" in recommendation(state.results)
    recorder.wait_for(LossChanged, count=5)
    recorder.close()
    losses.forget(newest.id)
    assert [result.variant.label for result in losses.results()] == ["Q8_0"]
    assert losses.results("Another") == ()


def test_what_is_made_of_a_quantized_file_is_no_better_reference(services: AppServices) -> None:
    losses = services.compare.losses
    low = make(services, "Q4_0")
    again = services.library.get(low).paths[0]
    # Larger on the disk, as somebody else might have made it.
    high = again.with_name("tiny-Q8_0.gguf")
    source = {FROM_LABEL_KEY: "Q4_0", FROM_BITS_KEY: "4.5"}
    write_tiny_gguf(high, n_embd=64, metadata={key: _text(value) for key, value in source.items()})
    assert losses.default_reference([low, f"{REPO}:Q8_0"]) == low
    assert losses.default_reference([low, f"{REPO}:Q8_0", ORIGINAL]) == ORIGINAL
    with pytest.raises(AppError, match="no more precision than Q4_0 left"):
        losses.quantize(f"{REPO}:Q8_0", "Q5_K_M")
    assert "has lost something already" in losses.requantizing.plan(low, "Q2_K").warning


def _text(value: str) -> object:
    from tests.helpers.gguf_files import Typed

    return Typed("str", value)


@pytest.mark.parametrize(("label", "reason"), [
    ("F16", "no more precision than F16 left"), ("BF16", "no more precision than F16 left"),
    ("IQ2_XXS", "need an importance matrix"), ("Q9_X", "the kinds to choose from are BF16, F16, Q8_0")])
def test_senseless_wishes_are_refused_in_words(services: AppServices, label: str, reason: str) -> None:
    with pytest.raises(AppError, match=reason) as refused:
        services.compare.losses.quantize(ORIGINAL, label)
    assert refused.value.spec is errors.QUANTIZE_REFUSED
    assert services.compare.losses.requantizing.state.status is QuantizingStatus.NONE


def test_a_file_that_is_there_is_not_made_again(services: AppServices) -> None:
    make(services, "Q8_0")
    with pytest.raises(AppError, match=r"tiny-from-F16-Q8_0\.gguf is there already"):
        services.compare.losses.quantize(ORIGINAL, "Q8_0")


def test_a_damaged_variant_does_not_take_the_others_with_it(tmp_path: Path, services: AppServices) -> None:
    losses = services.compare.losses
    good = make(services, "Q4_0")
    whole = services.library.get(good).paths[0]
    damaged = whole.with_name("tiny-Q5_0.gguf")
    damaged.write_bytes(whole.read_bytes()[:-20_000])
    losses.start(ORIGINAL, [f"{REPO}:Q5_0", good], TEXT, ctx=64, max_tokens=64)
    assert losses.wait(PATIENCE_S)
    assert losses.state.status is LossStatus.DONE
    assert [result.variant.key for result in losses.state.results] == [good]
    (failure,) = losses.state.failures
    assert (failure.variant_key, failure.error.code) == (f"{REPO}:Q5_0", "gguf_truncated")
    losses.start(ORIGINAL, [f"{REPO}:Q5_0"], TEXT, ctx=64)
    assert losses.wait(PATIENCE_S)
    assert losses.state.status is LossStatus.FAILED
    assert losses.state.error is not None
    assert losses.state.error.code == "gguf_truncated"


def test_it_cannot_be_measured_against_itself_or_twice_at_once(services: AppServices) -> None:
    losses = services.compare.losses
    with pytest.raises(AppError, match="no file but the reference itself was named"):
        losses.start(ORIGINAL, [ORIGINAL], TEXT)
    variant = make(services, "Q8_0")
    losses.start(ORIGINAL, [variant], long_text(), ctx=64, max_tokens=10**7)
    with pytest.raises(AppError, match="another measurement runs"):
        losses.start(ORIGINAL, [variant], TEXT)
    losses.stop()
    assert losses.wait(PATIENCE_S)
    assert losses.state.status is LossStatus.STOPPED
    assert losses.results() == ()


def long_text() -> TextSource:
    return TextSource(name="long", text="Nothing ends as long as this goes on. " * 80_000)


def workers() -> list[psutil.Process]:
    return [child for child in psutil.Process().children(recursive=True) if "--engine-worker" in child.cmdline()]


def test_a_worker_that_is_killed_is_told_in_words_and_the_next_run_works(services: AppServices) -> None:
    losses = services.compare.losses
    variant = make(services, "Q8_0")
    losses.start(ORIGINAL, [variant], long_text(), ctx=64, max_tokens=10**7)
    wait_until(lambda: losses.state.status is LossStatus.SCORING and losses.state.fraction > 0, PATIENCE_S)
    (worker,) = [child for child in workers() if "--memory-cap-bytes" not in child.cmdline()]
    worker.kill()
    assert losses.wait(PATIENCE_S)
    assert losses.state.status is LossStatus.FAILED
    assert losses.state.error is not None
    assert "SIGKILL" in losses.state.error.message
    losses.start(ORIGINAL, [variant], TEXT, ctx=64, max_tokens=64)
    assert losses.wait(PATIENCE_S)
    assert losses.state.status is LossStatus.DONE


def test_a_stopped_quantization_leaves_nothing(tmp_path: Path) -> None:
    with open_services(tmp_path, echo=None) as services:
        losses = services.compare.losses
        plan = losses.quantize(str(gemma_path()), "Q3_K_S")
        assert plan.target.parent == services.settings.models_folder
        part = plan.target.with_name(f".{plan.target.name}.part")
        wait_until(part.exists, PATIENCE_S)
        losses.requantizing.stop()
        assert losses.requantizing.wait(PATIENCE_S)
        assert losses.requantizing.state.status is QuantizingStatus.STOPPED
        assert list(services.settings.models_folder.iterdir()) == []
        assert services.library.models() == ()
        losses.quantize(str(gemma_path()), "Q3_K_S")
        time.sleep(0.3)
    assert list((tmp_path / "models").iterdir()) == [], "closing the program stops it as well"


@contextmanager
def quantizing_process(data_dir: Path) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """The command line making a file of Gemma, and what it writes, once it is there."""
    command = program_command("quantize", gemma_path(), "Q3_K_S", "--data-dir", data_dir)
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            wait_until(lambda: list((data_dir / "models").glob(".*.gguf.part")), PATIENCE_S)
            (part,) = (data_dir / "models").glob(".*.gguf.part")
            yield process, part
        finally:
            process.kill()


@pytest.mark.skipif(sys.platform == "win32", reason="ends the command with a signal")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_command_that_is_stopped_leaves_nothing(tmp_path: Path, number: signal.Signals) -> None:
    with quantizing_process(tmp_path) as (process, _part):
        process.send_signal(number)
        assert process.wait(PATIENCE_S) == 128 + number
        assert list((tmp_path / "models").iterdir()) == []


def test_what_a_killed_process_left_goes_and_what_a_living_one_makes_stays(tmp_path: Path) -> None:
    models = tmp_path / "models"
    install_original(tmp_path)
    download = models / REPO / "tiny-from-F16-Q8_0.gguf.part"
    download.write_bytes(b"somebody's download")
    with open_services(tmp_path, echo=None) as services:
        losses = services.compare.losses
        with quantizing_process(tmp_path) as (process, part):
            losses.requantizing.sweep()
            assert part.exists()
            losses.quantize(str(gemma_path()), "Q3_K_S")
            assert losses.requantizing.wait(PATIENCE_S)
            assert losses.requantizing.state.error is not None
            assert "another window or command" in losses.requantizing.state.error.message
            assert process.poll() is None
        assert part.exists()
        make(services, "Q4_0")
        assert [path for path in parts_left(services) if path != download] == [], "the next file that is made tidies up"
        assert download.exists()
        part.write_bytes(b"of a version that locked nothing")
        services.start()
        wait_until(lambda: not part.exists(), PATIENCE_S)
        wait_until(lambda: parts_left(services) == [download], PATIENCE_S)


def test_a_quantization_whose_worker_is_killed_says_that_nothing_was_kept(tmp_path: Path) -> None:
    with open_services(tmp_path, echo=None) as services:
        losses = services.compare.losses
        plan = losses.quantize(str(gemma_path()), "Q3_K_S")
        wait_until(plan.target.with_name(f".{plan.target.name}.part").exists, PATIENCE_S)
        (worker,) = psutil.Process().children()
        worker.kill()
        assert losses.requantizing.wait(PATIENCE_S)
        error = losses.requantizing.state.error
        assert error is not None
        assert error.spec is errors.QUANTIZE_FAILED
        assert "the engine stopped: it was killed from outside" in error.message
        assert "Nothing was kept" in error.action
        assert list(services.settings.models_folder.iterdir()) == []


def test_no_file_is_made_where_the_drive_of_the_models_folder_is_not_connected(tmp_path: Path) -> None:
    drive = tmp_path / "drive"
    with open_services(tmp_path, echo=None) as services:
        services.settings.set("models_folder", str(drive))
        losses = services.compare.losses
        losses.quantize(str(gemma_path()), "Q3_K_S")
        assert losses.requantizing.wait(PATIENCE_S)
        assert losses.requantizing.state.error is not None
        assert losses.requantizing.state.error.spec is errors.FOLDER_MISSING
        assert not drive.exists()


def test_the_command_line_does_both(tmp_path: Path) -> None:
    install_original(tmp_path)
    made = run_program("quantize", ORIGINAL, "q4_0", "--json", "--data-dir", tmp_path)
    assert made.code == 0, made.stderr
    assert made.document["model"] == f"{REPO}:Q4_0"
    assert (made.document["source_label"], made.document["warning"]) == ("F16", "")
    text = tmp_path / "text.txt"
    text.write_text(TEXT.text, encoding="utf-8")
    arguments = ("loss", ORIGINAL, f"{REPO}:Q4_0", "--text", text, "--ctx", "64", "--max-tokens", "128", "--data-dir", tmp_path)
    measured = run_program(*arguments, "--json")
    assert measured.code == 0, measured.stderr
    (result,) = measured.document["results"]
    assert (result["n_scored"], result["text_name"]) == (62, "text.txt")
    assert result["kld"]["value"] > 0
    assert measured.document["recommendation"].endswith(".")
    shown = run_program(*arguments)
    assert "Q4_0" in shown.stdout
    assert " ± " in shown.stdout
    wrong = run_program("loss", ORIGINAL, ORIGINAL, "--json", "--data-dir", tmp_path)
    assert (wrong.code, wrong.document["error"]["code"]) == (1, "loss_refused")


def test_texts_are_read_up_to_a_limit_and_refused_in_words(tmp_path: Path) -> None:
    path = tmp_path / "text.txt"
    path.write_bytes(b"\xef\xbb\xbfGr\xc3\xbcezi")
    assert text_of_file(path) == TextSource(name="text.txt", text="Grüezi")
    path.write_bytes("ü".encode() * MAX_TEXT_BYTES)
    assert text_of_file(path).text == "ü" * (MAX_TEXT_BYTES // 2)
    for data, reason in ((b"\x00\x01", "it holds bytes that no text has"), (b"\xff\xfe\xfd", "it is not in UTF-8")):
        path.write_bytes(data)
        with pytest.raises(AppError, match=reason):
            text_of_file(path)
    with pytest.raises(AppError) as missing:
        text_of_file(tmp_path / "none.txt")
    assert missing.value.spec is errors.FILE_UNREADABLE


def test_the_built_in_text_is_long_enough(services: AppServices) -> None:
    (text,) = services.compare.losses.texts()
    assert len(text.text) > 35_000
    assert text.text.isascii()


def test_what_is_loaded_for_chats_gives_way(services: AppServices) -> None:
    losses, recorder = services.compare.losses, EventRecorder(services)
    variant = make(services, "Q8_0")
    services.engine.load(ORIGINAL)
    with pytest.raises(AppError, match="a model is being loaded") as busy:
        losses.start(ORIGINAL, [variant], TEXT)
    assert busy.value.spec is errors.LOSS_BUSY
    recorder.wait_for(ModelLoaded, timeout_s=PATIENCE_S)
    recorder.close()
    losses.start(ORIGINAL, [variant], TEXT, ctx=64, max_tokens=64)
    assert losses.wait(PATIENCE_S)
    assert losses.state.status is LossStatus.DONE, losses.state
    assert services.engine.loaded() == ()
