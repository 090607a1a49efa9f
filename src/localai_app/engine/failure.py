"""A refused request on its way from the worker to the user: by the code of its `ErrorSpec` and the fields of its text."""

from __future__ import annotations

from localai_app.engine.protocol import RequestFailed
from localai_app.errors import ENGINE_CRASHED, AppError, ErrorSpec, all_specs


class RequestRefusedError(Exception):
    """Raised in the worker when a request cannot be done; becomes a RequestFailed."""

    def __init__(self, spec: ErrorSpec, *, detail: str = "", **fields: str) -> None:
        self.spec = spec
        self.detail = detail
        self.fields = fields
        super().__init__(f"{spec.code}: {fields} {detail}")

    def as_event(self, request_id: int) -> RequestFailed:
        """The message that tells the window."""
        return RequestFailed(id=request_id, code=self.spec.code, fields=self.fields, detail=self.detail)


def error_of(event: RequestFailed) -> AppError:
    """What a RequestFailed means, in words for the user; unknown codes and missing fields end as `engine_crashed`."""
    spec = next((candidate for candidate in all_specs() if candidate.code == event.code), None)
    if spec is not None:
        try:
            return AppError(spec, detail=event.detail, **event.fields)
        except (KeyError, IndexError, TypeError):
            pass
    return AppError(ENGINE_CRASHED, cause=f"it reported “{event.code}”", detail=event.detail)
