"""The files of a download on this disk: fetched one after the other, or removed."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from localai_app.errors import AppError
from localai_app.hub.download import FileRequest, discard_partial, download_file, partial_bytes
from localai_app.hub.layout import target_path
from localai_app.hub.model import RepoFile
from localai_app.hub.space import require_space
from localai_app.progress import CancelToken, ProgressCallback
from localai_app.services.download_job import DownloadJob
from localai_app.services.hub_service import HubService
from localai_app.services.settings_service import SettingsService
from localai_app.services.views import DownloadStatus
from localai_app.units import MB

log = logging.getLogger(__name__)

MakeReporter = Callable[[int, DownloadStatus], ProgressCallback]
"""Given the bytes of the files before, makes what hears of the next one's progress."""


class DownloadFiles:
    """Knows where the files of a download belong, in the models folder that the settings name."""

    def __init__(self, settings: SettingsService, hub: HubService) -> None:
        self._settings = settings
        self._hub = hub

    def fetch(self, job: DownloadJob, cancel: CancelToken, make_reporter: MakeReporter) -> None:
        """Download what is not there yet; Cancelled or AppError as `download_file`."""
        folder = self._settings.existing_models_folder()
        targets = [target_path(folder, job.repo_id, file.path) for file in job.files]
        missing = sum(
            file.size_bytes - partial_bytes(target)
            for file, target in zip(job.files, targets, strict=True) if not is_there(target, file))
        require_space(folder, missing)
        done_before = 0
        for file, target in zip(job.files, targets, strict=True):
            if not is_there(target, file):
                download_file(
                    self._hub.client(),
                    FileRequest(repo_id=job.repo_id, commit=job.commit, file=file, target=target, models_folder=folder),
                    on_progress=make_reporter(done_before, DownloadStatus.DOWNLOADING),
                    on_verifying=make_reporter(done_before, DownloadStatus.VERIFYING),
                    cancel=cancel,
                    limit_bytes_per_s=lambda: self._settings.integer("bandwidth_limit_mb_per_s") * MB)
            done_before += file.size_bytes

    def first_path(self, job: DownloadJob) -> Path:
        """Where the file that is loaded lies, or will lie."""
        return target_path(self._settings.models_folder, job.repo_id, job.files[0].path)

    def discard(self, job: DownloadJob) -> None:
        """Remove what has arrived of files that are not complete."""
        for file in job.files:
            try:
                discard_partial(target_path(self._settings.models_folder, job.repo_id, file.path))
            except (AppError, OSError) as error:
                log.warning("a partial file of %s could not be removed: %s", job.repo_id, error)


def is_there(target: Path, file: RepoFile) -> bool:
    """Downloads are renamed into place only after their hash was checked, so the size tells enough."""
    return target.is_file() and target.stat().st_size == file.size_bytes
