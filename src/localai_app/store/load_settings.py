"""How each model is to be loaded, as JSON whose meaning is `services.load_settings`'s."""

from __future__ import annotations

from localai_app.store.connection import StoreConnection
from localai_app.store.text import storable


class LoadSettingsStore:
    """The part of the store with one row for each model that is not loaded as all others are."""

    def __init__(self, connection: StoreConnection) -> None:
        self._connection = connection

    def get(self, model_key: str) -> str | None:
        """What is remembered for a model; None where nothing is."""
        row = self._connection.read_one("SELECT json FROM load_settings WHERE model_key = ?", (storable(model_key),))
        return None if row is None else str(row["json"])

    def set(self, model_key: str, json: str) -> None:
        """Remember this, in place of anything earlier."""
        self._connection.write(
            "INSERT INTO load_settings (model_key, json) VALUES (?, ?) "
            "ON CONFLICT (model_key) DO UPDATE SET json = excluded.json",
            (storable(model_key), storable(json)))

    def remove(self, model_key: str) -> None:
        """Forget it."""
        self._connection.write("DELETE FROM load_settings WHERE model_key = ?", (storable(model_key),))
