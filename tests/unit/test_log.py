"""The log file: what gets in, what never does, and that it cannot get in the way."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from localai_app.log import LogFileHandler, redact, setup_logging
from localai_app.paths import AppPaths, app_paths

ExpectLog = Callable[[str], None]


@pytest.fixture
def paths(tmp_path: Path) -> Iterator[AppPaths]:
    root, own = logging.getLogger(), logging.getLogger("localai_app")
    levels, handlers = (root.level, own.level), list(root.handlers)
    yield app_paths(tmp_path)
    logging.captureWarnings(False)
    for handler in [handler for handler in root.handlers if handler not in handlers]:
        root.removeHandler(handler)
        handler.close()
    root.setLevel(levels[0])
    own.setLevel(levels[1])


def test_own_records_and_warnings_of_libraries_are_kept(paths: AppPaths, expect_log: ExpectLog) -> None:
    expect_log("library is unhappy")
    setup_logging(paths)
    logging.getLogger("localai_app.hub").info("downloaded %s", "a file")
    logging.getLogger("localai_app.hub").debug("only for the curious")
    logging.getLogger("somebody.else").info("chatter")
    logging.getLogger("somebody.else").warning("library is unhappy")
    text = paths.log_file.read_text(encoding="utf-8")
    assert "INFO" in text
    assert "localai_app.hub: downloaded a file" in text
    assert "library is unhappy" in text
    assert "curious" not in text
    assert "chatter" not in text


def test_verbose_adds_the_programs_own_details(paths: AppPaths) -> None:
    setup_logging(paths, verbose=True)
    logging.getLogger("localai_app.hub").debug("only for the curious")
    assert "only for the curious" in paths.log_file.read_text(encoding="utf-8")


def test_python_warnings_go_to_the_file(paths: AppPaths, expect_log: ExpectLog) -> None:
    expect_log("old way")
    setup_logging(paths)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(False)
        logging.captureWarnings(True)
        warnings.warn("old way", UserWarning, stacklevel=1)
    assert "old way" in paths.log_file.read_text(encoding="utf-8")


def test_the_log_never_grows_beyond_five_files_of_one_megabyte(paths: AppPaths) -> None:
    setup_logging(paths)
    log = logging.getLogger("localai_app.test")
    for _ in range(1200):
        log.info("x" * 5000)
    files = sorted(paths.logs.iterdir())
    assert [file.name for file in files] == ["localai.log", *(f"localai.log.{number}" for number in range(1, 5))]
    assert max(file.stat().st_size for file in files) <= 1_000_000


def test_a_second_set_up_replaces_the_first(paths: AppPaths, tmp_path: Path) -> None:
    setup_logging(paths)
    other = app_paths(tmp_path / "other")
    setup_logging(other)
    logging.getLogger("localai_app").info("after the move")
    assert "after the move" in other.log_file.read_text(encoding="utf-8")
    assert "after the move" not in paths.log_file.read_text(encoding="utf-8")
    assert len([handler for handler in logging.getLogger().handlers if isinstance(handler, LogFileHandler)]) == 1


def test_without_a_folder_the_program_runs_without_a_log(
    paths: AppPaths, capsys: pytest.CaptureFixture[str], expect_log: ExpectLog,
) -> None:
    expect_log("nobody hears this")
    paths.logs.parent.mkdir(parents=True, exist_ok=True)
    paths.logs.write_text("in the way")
    setup_logging(paths)
    logging.getLogger("localai_app").warning("nobody hears this")
    assert capsys.readouterr() == ("", "")


def test_a_file_that_cannot_be_written_does_not_disturb_the_program(
    paths: AppPaths, capsys: pytest.CaptureFixture[str],
) -> None:
    setup_logging(paths)
    handler = next(handler for handler in logging.getLogger().handlers if isinstance(handler, LogFileHandler))
    handler.setStream(paths.log_file.open("r", encoding="utf-8")).close()
    logging.getLogger("localai_app").info("into the void")
    assert capsys.readouterr() == ("", "")


SECRETS = [
    ("token hf_AbCdEf123456 used", "hf_AbCdEf123456"),
    ("headers {'authorization': 'Bearer hf_secret_part'}", "secret_part"),
    ("Authorization: Basic dXNlcjpwYXNz", "dXNlcjpwYXNz"),
    ("curl -H 'authorization: Bearer abc.def.ghi-123' http://x", "abc.def.ghi-123"),
    ("proxy http://anna:s3cret@proxy:3128 is used", "s3cret"),
    ("GET https://cdn.example/file?X-Amz-Signature=abc123&X-Amz-Expires=60", "abc123"),
    ("GET https://cdn.example/file?Policy=eyJ&Key-Pair-Id=KABC&Signature=zzz99", "zzz99"),
]


@pytest.mark.parametrize(("text", "secret"), SECRETS)
def test_secrets_are_hidden_and_the_rest_stays(text: str, secret: str) -> None:
    hidden = redact(text)
    assert secret not in hidden
    assert "[hidden]" in hidden
    assert hidden.split()[0] == text.split()[0]


@pytest.mark.parametrize("text", [
    "hf_hub version 2", "https://huggingface.co/org/model/resolve/main/file.gguf?download=true",
    "file C:\\Users\\anna at 10:30", "loaded in 3:05 min, user@example", "Q4_K_M 4.6 GB",
])
def test_ordinary_text_is_left_alone(text: str) -> None:
    assert redact(text) == text


def test_a_secret_inside_a_traceback_is_hidden(paths: AppPaths, expect_log: ExpectLog) -> None:
    expect_log("request failed")
    setup_logging(paths)
    try:
        raise ValueError("refused for hf_VerySecret99")
    except ValueError:
        logging.getLogger("localai_app").exception("request failed")
    text = paths.log_file.read_text(encoding="utf-8")
    assert "Traceback" in text
    assert "VerySecret99" not in text
