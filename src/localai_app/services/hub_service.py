"""The Hub with the address and proxy that the settings name."""

from __future__ import annotations

import threading

from localai_app.hub.client import HubClient
from localai_app.hub.model import Repo, SearchHit
from localai_app.services.settings_service import SettingsService


class HubService:
    """Keeps one client for the settings in force; every call may take seconds: run it in the background."""

    def __init__(self, settings: SettingsService) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._client: HubClient | None = None
        self._made_for: tuple[str, str] = ("", "")

    def client(self) -> HubClient:
        """A client for the endpoint and proxy in force."""
        wanted = (self._settings.text("hub_endpoint"), self._settings.text("proxy"))
        with self._lock:
            if self._client is None or wanted != self._made_for:
                self._client = HubClient(wanted[0], proxy=wanted[1])
                self._made_for = wanted
            return self._client

    def search(self, words: str) -> tuple[SearchHit, ...]:
        """Repositories with GGUF files that match; AppError if the Hub cannot be asked."""
        return self.client().search(words)

    def repo(self, repo_id: str) -> Repo:
        """A repository at its newest commit; AppError if it is unknown, gated or out of reach."""
        return self.client().repo(repo_id)
