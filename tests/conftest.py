"""What holds for every test: its own home, no network beyond this computer, nothing left behind, no unexpected log lines.

Works with and without PySide6: the unit tests are also run in an environment that lacks it.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import hypothesis
import pytest

from tests.helpers.isolation import Homes, guard_network, private_environment
from tests.helpers.leaks import QtWatch, ResourceWatch
from tests.helpers.log_watch import LogWatch
from tests.helpers.torture import rounds

HAS_QT = importlib.util.find_spec("PySide6") is not None

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
hypothesis.settings.register_profile("localai", deadline=None, print_blob=True, max_examples=rounds(50, 1000))
hypothesis.settings.load_profile("localai")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Accept the options of pytest-qt in pyproject.toml also where it is not installed."""
    if importlib.util.find_spec("pytestqt") is None:
        for name in ("qt_api", "qt_log_level_fail"):
            parser.addini(name, "used by pytest-qt only")


def pytest_configure(config: pytest.Config) -> None:
    """Close the network for the whole session; loopback stays open."""
    config.stash[NETWORK] = guard_network()


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Keep the result for the very end."""
    session.config.stash[RESULT] = int(exitstatus)


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """Open the network again, for a session inside another one; end a process with a Qt application at once.

    Qt may call into Python once more while the interpreter is taken down, which ends a session that passed with a crash
    now and then. Whether the program itself ends in order is tested with processes of its own.
    """
    config.stash[NETWORK]()
    qt_widgets = sys.modules.get("PySide6.QtWidgets")
    is_outermost = "PYTEST_CURRENT_TEST" not in os.environ
    if is_outermost and qt_widgets is not None and qt_widgets.QApplication.instance() is not None:
        logging.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(config.stash.get(RESULT, 1))


NETWORK = pytest.StashKey[Callable[[], None]]()
RESULT = pytest.StashKey[int]()


@pytest.fixture(autouse=True)
def nothing_left_behind(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Fail a test that leaves threads, processes, open files, windows or timers.

    It is set up before and torn down after all other fixtures of the test's own scope.
    """
    watch = ResourceWatch(tmp_path_factory.getbasetemp())
    qt_watch = QtWatch() if HAS_QT and _uses_qt(request) else None
    yield
    left = watch.left_behind()
    if qt_watch is not None:
        left += qt_watch.left_behind()
    if left:
        pytest.fail("the test left behind: " + "; ".join(left), pytrace=False)


def _uses_qt(request: pytest.FixtureRequest) -> bool:
    return "qapp" in request.fixturenames or "gui" in request.path.relative_to(Path(__file__).parent).parts


@pytest.fixture(scope="session")
def homes(tmp_path_factory: pytest.TempPathFactory) -> Homes:
    return Homes(lambda: tmp_path_factory.mktemp("home"))


@pytest.fixture(autouse=True)
def private_home(nothing_left_behind: None, homes: Homes, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home of the test's own, with every usual folder in it and no proxies or tokens from outside."""
    home = homes.empty()
    private_environment(home, monkeypatch)
    return home


@cache
def _memory_bandwidth() -> float:
    from localai_app.hardware.bandwidth import measure_memory_bandwidth

    return measure_memory_bandwidth()


@pytest.fixture(autouse=True)
def bandwidth_measured_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test has a new data folder, in which the program would measure main memory anew, with all cores for 0.2 s."""
    service = sys.modules.get("localai_app.services.hardware_service")
    if service is not None:
        monkeypatch.setattr(service, "measure_memory_bandwidth", _memory_bandwidth)


@pytest.fixture(autouse=True)
def expect_log(nothing_left_behind: None) -> Iterator[Callable[[str], None]]:
    """Call it with a regular expression for each warning or error that the test provokes in the log.

    Any other record from WARNING on fails the test, and so does an expected one that did not come.
    """
    watch = LogWatch()
    root = logging.getLogger()
    root.addHandler(watch)
    yield watch.expect
    root.removeHandler(watch)
    if problems := watch.problems():
        pytest.fail("\n".join(problems), pytrace=False)
