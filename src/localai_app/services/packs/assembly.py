"""Puts the parts of the runtime packs together."""

from __future__ import annotations

from localai_app.paths import AppPaths
from localai_app.services.events import EventBus
from localai_app.services.packs.folders import PackFolders
from localai_app.services.packs.installer import PackInstaller
from localai_app.services.packs.keeper import PackKeeper
from localai_app.services.packs.pack_service import PackService
from localai_app.services.packs.pack_work import PackParts, PackWork
from localai_app.services.packs.trial import PackTrial
from localai_app.services.runtimes import RuntimeService
from localai_app.services.self_test_run import FIRST_DEADLINE_S, LATER_DEADLINE_S
from localai_app.services.signed_fetch import SignedFetch


def build_packs(
    events: EventBus, paths: AppPaths, runtimes: RuntimeService, fetch: SignedFetch, platform: str, *,
    deadlines_s: tuple[float, float] = (FIRST_DEADLINE_S, LATER_DEADLINE_S),
) -> PackService:
    """The service with everything that it needs; `platform` is `linux-x64` and the like."""
    folders = PackFolders(paths.runtimes)
    trial = PackTrial(runtimes.rows, paths.cache, paths.worker_dir, deadlines_s=deadlines_s)
    installer = PackInstaller(folders, trial, fetch, paths.cache / "packs")
    keeper = PackKeeper(events, folders, trial, runtimes.rows, lambda: runtimes.test_all(again=False))
    return PackService(events, PackWork(PackParts(folders, installer, fetch, runtimes, platform)), keeper)
