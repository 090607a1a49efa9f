"""What is set for single chats and models, and presets, as JSON whose meaning is that of the services."""

from __future__ import annotations

from localai_app.store.connection import StoreConnection
from localai_app.store.text import storable


class ChatSettingsStore:
    """The part of the store with one row for each chat, each model and each preset that has something set."""

    def __init__(self, connection: StoreConnection) -> None:
        self._connection = connection

    def of_chat(self, conversation_id: int) -> str | None:
        """What is set for a chat; None where nothing is."""
        row = self._connection.read_one("SELECT json FROM chat_settings WHERE conversation_id = ?", (conversation_id,))
        return None if row is None else str(row["json"])

    def set_of_chat(self, conversation_id: int, json: str) -> None:
        """Remember this for a chat, in place of anything earlier; it goes with the chat. A chat that is gone is left alone."""
        self._connection.write(
            "INSERT INTO chat_settings (conversation_id, json) SELECT id, ? FROM conversations WHERE id = ? "
            "ON CONFLICT (conversation_id) DO UPDATE SET json = excluded.json",
            (storable(json), conversation_id))

    def of_model(self, model_key: str) -> str | None:
        """What is set for a model; None where nothing is."""
        row = self._connection.read_one("SELECT json FROM model_sampling WHERE model_key = ?", (storable(model_key),))
        return None if row is None else str(row["json"])

    def set_of_model(self, model_key: str, json: str) -> None:
        """Remember this for a model, in place of anything earlier."""
        self._connection.write(
            "INSERT INTO model_sampling (model_key, json) VALUES (?, ?) "
            "ON CONFLICT (model_key) DO UPDATE SET json = excluded.json",
            (storable(model_key), storable(json)))

    def presets(self) -> dict[str, str]:
        """The user's presets by name, in the order of their names."""
        rows = self._connection.read("SELECT name, json FROM sampling_presets ORDER BY name COLLATE NOCASE")
        return {str(row["name"]): str(row["json"]) for row in rows}

    def set_preset(self, name: str, json: str) -> None:
        """Keep a preset under a name, in place of an earlier one."""
        self._connection.write(
            "INSERT INTO sampling_presets (name, json) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET json = excluded.json",
            (storable(name), storable(json)))

    def remove_preset(self, name: str) -> None:
        """Forget a preset."""
        self._connection.write("DELETE FROM sampling_presets WHERE name = ?", (storable(name),))
