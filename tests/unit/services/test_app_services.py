"""In which order the program's services end."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from localai_app.services.app_services import AppServices


class Recorder:
    """Stands in for a service; what is called of it goes into a list with its name."""

    def __init__(self, name: str, calls: list[str]) -> None:
        self._name = name
        self._calls = calls

    def __getattr__(self, name: str) -> Any:
        return lambda *_arguments: self._calls.append(f"{self._name}.{name}")


def test_tests_of_the_engine_end_before_those_who_wait_for_them() -> None:
    """The thread of the packs tests builds when a pack was put to use; each that hangs would take its whole deadline."""
    calls: list[str] = []
    parts: dict[str, Any] = {field.name: Recorder(field.name, calls) for field in fields(AppServices)}
    AppServices(**parts).close()
    assert calls.index("runtimes.close") < calls.index("packs.close")
    assert calls.index("engine.close") < calls.index("store.close") == len(calls) - 1
