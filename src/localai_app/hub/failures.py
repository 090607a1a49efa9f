"""Answers of the Hub that mean no, in words for the user."""

from __future__ import annotations

import ssl
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

from localai_app import errors
from localai_app.errors import AppError
from localai_app.units import format_duration

RETRY_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504})
_MAX_PAUSE_S = 10**7


class TransferError(Exception):
    """Something on the network went wrong that may go right at the next attempt.

    `reason` is a clause for people; `final` the error to show should no attempt succeed (None: a general one);
    `wait_s` what the server asked to wait.
    """

    def __init__(
        self, reason: str, *, final: AppError | None = None, wait_s: float | None = None, is_free: bool = False
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.final = final
        self.wait_s = wait_s
        self.is_free = is_free
        """No pause is needed before the next attempt (an address that had expired)."""


def bad_answer(host: str, reason: str, detail: str = "") -> AppError:
    """What the Hub sent cannot be used."""
    return AppError(errors.HUB_BAD_ANSWER, host=host, reason=reason, detail=detail)


def certificate_refusal(error: BaseException, host: str) -> AppError | None:
    """The words for a connection that ended over the certificate of a host; None where it ended over something else."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, ssl.SSLCertVerificationError):
        cause = cause.__cause__ or cause.__context__
    if cause is None:
        return None
    reason = cause.verify_message.strip().rstrip(".") or "no reason was given"
    return AppError(errors.CERTIFICATE_REFUSED, host=host, reason=reason, detail=repr(error))


def status_error(status: int, headers: Mapping[str, str], *, host: str, repo_id: str, has_token: bool) -> AppError:
    """The words for an HTTP status of 400 or more. `X-Error-Code` says what the Hub means where the status does not."""
    code = headers.get("x-error-code", "")
    detail = f"HTTP {status} {code} {headers.get('x-error-message', '')[:200]}".strip()
    error = AppError(errors.HUB_REFUSED, status=status, detail=detail)
    if code == "GatedRepo":
        error = AppError(errors.REPO_GATED, repo=repo_id, detail=detail)
    elif code in ("RevisionNotFound", "EntryNotFound"):
        error = AppError(errors.FILE_CHANGED, name=repo_id, detail=detail)
    elif status == 401 and has_token and not code:
        error = AppError(errors.HUB_TOKEN_REFUSED, host=host, detail=detail)
    elif repo_id and (code == "RepoNotFound" or status in (401, 404)):
        error = AppError(errors.REPO_UNKNOWN, repo=repo_id, detail=detail)
    elif status == 404:
        error = bad_answer(host, "it does not know the addresses of a Hub", detail)
    elif status == 407:
        error = AppError(errors.HUB_UNREACHABLE, host=host, detail="the proxy asks for a user name and password")
    elif status == 429:
        wait_s = retry_after_s(headers)
        wait = "a few minutes" if wait_s is None else format_duration(max(1.0, wait_s))
        error = AppError(errors.HUB_RATE_LIMITED, wait=wait, detail=detail)
    return error


def retry_after_s(headers: Mapping[str, str], now_s: float | None = None) -> float | None:
    """Seconds that the server asks to wait (`Retry-After`, a number or a date; RFC 9110 10.2.3); None if it names none."""
    text = headers.get("retry-after", "").strip()
    if not text:
        return None
    if text.isascii() and text.isdigit():
        return float(min(int(text[:12]), _MAX_PAUSE_S))
    try:
        at_s = parsedate_to_datetime(text).timestamp()
    except (ValueError, OverflowError):
        return None
    return min(max(0.0, at_s - (time.time() if now_s is None else now_s)), float(_MAX_PAUSE_S))
