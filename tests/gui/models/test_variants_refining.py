"""The table of variants while its rows get better figures: it stays as it is, and the window waits for nothing."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from localai_app.gui.bridge import Bridge
from localai_app.gui.models.discover_view import DiscoverView
from localai_app.gui.models.installed_models import InstalledModels
from localai_app.gui.models.model_detail import HUB_NOTE
from localai_app.gui.models.variant_choice import recommended_label
from localai_app.gui.theme import ThemeState
from localai_app.hub.client import HubClient
from localai_app.services.app_services import AppServices
from localai_app.services.dry_run import DryRun, DryRunService
from tests.gui.models.models_stage import eventually, finish_background_work, show_computer, write_catalog
from tests.helpers.gguf_files import write_tiny_gguf
from tests.helpers.hub_server import HubServer, RepoFixture
from tests.helpers.services_fixture import open_services

MANY, DAMAGED, GATED = "tester/Many-GGUF", "tester/Damaged-GGUF", "tester/Gated-GGUF"
LABELS = [f"{kind}{bits}_{size}" for bits in range(2, 7) for kind in ("Q", "IQ") for size in ("K_M", "K_S", "XS")]
LONG_NAME = "a-model-with-a-name-that-goes-on-and-on-without-any-label-in-it"


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[HubServer]:
    data = write_tiny_gguf(tmp_path / "tiny.gguf").read_bytes()
    many = {f"many-{label}.gguf": data + bytes(32 * number) for number, label in enumerate(LABELS)}
    damaged = {"d-Q8_0.gguf": data, "d-Q4_0.gguf": b"GGUF" + bytes(900), f"{LONG_NAME}.gguf": data + bytes(64)}
    gated = RepoFixture({"gated-Q4_0.gguf": data, "gated-Q8_0.gguf": data + bytes(64)}, gated=True)
    with HubServer({MANY: RepoFixture(many), DAMAGED: RepoFixture(damaged), GATED: gated}) as server:
        yield server


@pytest.fixture
def services(tmp_path: Path, hub: HubServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[AppServices]:
    monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
    monkeypatch.setattr("localai_app.services.library_service.find_elsewhere", lambda: ())
    with open_services(tmp_path / "data", catalog=write_catalog(tmp_path / "catalog.json")) as opened:
        yield opened


@pytest.fixture
def view(services: AppServices, theme: ThemeState, qapp: Any) -> Iterator[DiscoverView]:
    bridge = Bridge(services.events)
    show_computer(services)
    library = InstalledModels(services, bridge)
    made = DiscoverView(services, theme, bridge, library)
    library.setParent(made)
    made.resize(1072, 680)
    made.show()
    yield made
    services.variants.leave()
    bridge.close()
    finish_background_work()
    made.close()
    made.deleteLater()


def open_repo(view: DiscoverView, repo_id: str) -> None:
    view.search(repo_id)
    view.search_now()


def is_refining(view: DiscoverView) -> bool:
    return any(line.row is not None and line.row.is_refining for line in view.detail.table.lines)


def test_rows_keep_their_order_and_the_chosen_line_while_they_are_refined(
    view: DiscoverView, hub: HubServer, qtbot: Any,
) -> None:
    hub.fail("*many-*", "slow=400000", times=None)
    open_repo(view, MANY)
    eventually(qtbot, lambda: len(view.detail.table.lines) == len(LABELS))
    order = [line.row.label for line in view.detail.table.lines if line.row is not None]
    eventually(qtbot, lambda: any(line.row is not None and line.row.fit is not None for line in view.detail.table.lines))
    chosen = view.detail.table.lines[7]
    chosen.click()
    assert "Reading what each file says of itself" in view.detail.table.note
    hub.clear_faults()
    eventually(qtbot, lambda: not is_refining(view) and view.detail.table.note == HUB_NOTE)
    assert [line.row.label for line in view.detail.table.lines if line.row is not None] == order
    assert view.detail.table.chosen == order[7]
    assert chosen.isChecked()
    assert all(not line._need.text().startswith("≈") for line in view.detail.table.lines)
    assert chosen._need.toolTip() == "Figures: from the file's header"
    assert view.detail.why._basis.text() == "Figures: from the file's header"


def test_a_damaged_file_is_not_known_with_its_reason_and_a_long_name_takes_no_room(view: DiscoverView, qtbot: Any) -> None:
    open_repo(view, DAMAGED)
    eventually(qtbot, lambda: len(view.detail.table.lines) == 3 and not is_refining(view))
    lines = {line.row.label: line for line in view.detail.table.lines if line.row is not None}
    bad = lines["Q4_0"]
    assert bad._need.text() == "not known"
    assert "d-Q4_0.gguf was refused" in bad._need.toolTip()
    assert "Not known whether it runs" in bad.accessibleName()
    bad.click()
    assert view.detail.why.title.startswith("Why nothing can be said: Q4_0")
    assert view.detail.context._taken.text() == ""
    assert not {1, 3} & view.detail.table.hidden_columns, "size and needs are on the screen"
    long_one = lines[LONG_NAME]
    view.grab()
    assert long_one._name.width() < 250
    assert long_one._name.toolTip() == LONG_NAME
    rows = [line.row for line in view.detail.table.lines if line.row is not None]
    assert recommended_label(rows, "Q4_0") == "Q8_0", "a file that is damaged is recommended by nobody"
    assert recommended_label(rows, "Q8_0") == "Q8_0"


def test_a_repository_whose_files_may_not_be_read_says_so_once(view: DiscoverView, qtbot: Any) -> None:
    open_repo(view, GATED)
    eventually(qtbot, lambda: view.detail._error.isVisible() and not is_refining(view))
    assert len(view.detail.table.lines) == 2
    assert [line._need.text() for line in view.detail.table.lines] == ["unknown", "unknown"]
    assert view.detail.table.note.startswith(HUB_NOTE)
    assert GATED in view.detail.table.note


def test_a_hub_that_is_lost_leaves_the_estimates_and_says_so(
    view: DiscoverView, hub: HubServer, services: AppServices, qtbot: Any,
) -> None:
    services.variants.read(services.variants.find(MANY), quick=True)
    hub.fail("*many-*", "close", times=None)
    open_repo(view, MANY)
    eventually(qtbot, lambda: "Needs marked ≈" in view.detail.table.note and not is_refining(view))
    needs = [line._need.text() for line in view.detail.table.lines]
    assert sum(need.startswith("≈") for need in needs) == len(LABELS) - 1
    assert not view.detail._error.isVisible()


def test_the_window_waits_for_no_network_and_no_plan(
    view: DiscoverView, services: AppServices, monkeypatch: pytest.MonkeyPatch, qtbot: Any,
) -> None:
    threads: dict[str, set[threading.Thread]] = {}

    def slowly(owner: type, name: str, answer: Callable[..., Any] | None = None) -> None:
        real = getattr(owner, name)

        def slow(*arguments: Any, **options: Any) -> Any:
            threads.setdefault(name, set()).add(threading.current_thread())
            time.sleep(0.05)
            return (answer or real)(*arguments, **options)

        monkeypatch.setattr(owner, name, slow)

    slowly(HubClient, "repo")
    slowly(HubClient, "read_range")
    slowly(DryRunService, "run", lambda *_arguments, **_options: DryRun())
    open_repo(view, MANY)
    eventually(qtbot, lambda: len(view.detail.table.lines) == len(LABELS))
    for value in range(3):
        view.detail.context.slider.setValue(value)
        view.detail.context.kv_box.setCurrentIndex(value)
        qtbot.wait(50)
    eventually(qtbot, lambda: not is_refining(view))
    assert set(threads) == {"repo", "read_range", "run"}
    assert threading.main_thread() not in set.union(*threads.values())
    assert len(threads["read_range"]) >= 2, "several are read at the same time"
