"""The words for the Hub's refusals, and how long a server may ask to wait."""

from __future__ import annotations

from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localai_app import errors
from localai_app.errors import ErrorSpec
from localai_app.hub.failures import retry_after_s, status_error


@pytest.mark.parametrize(
    ("status", "code", "repo", "has_token", "spec"),
    [
        (401, "GatedRepo", "o/n", False, errors.REPO_GATED),
        (403, "GatedRepo", "o/n", True, errors.REPO_GATED),
        (401, "RepoNotFound", "o/n", False, errors.REPO_UNKNOWN),
        (401, "", "o/n", False, errors.REPO_UNKNOWN),
        (401, "", "o/n", True, errors.HUB_TOKEN_REFUSED),
        (401, "", "", False, errors.HUB_REFUSED),
        (404, "", "o/n", False, errors.REPO_UNKNOWN),
        (404, "RevisionNotFound", "o/n", False, errors.FILE_CHANGED),
        (404, "", "", False, errors.HUB_BAD_ANSWER),
        (407, "", "", False, errors.HUB_UNREACHABLE),
        (429, "", "o/n", False, errors.HUB_RATE_LIMITED),
        (500, "", "o/n", False, errors.HUB_REFUSED),
        (403, "", "", True, errors.HUB_REFUSED),
    ],
)
def test_each_refusal_has_its_words(status: int, code: str, repo: str, has_token: bool, spec: ErrorSpec) -> None:
    error = status_error(status, {"x-error-code": code}, host="hub.example", repo_id=repo, has_token=has_token)
    assert error.spec is spec
    assert error.message
    assert "{" not in error.message + error.action


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("", None), ("soon", None), ("-5", None), ("1.5", None), ("0", 0.0), ("120", 120.0), ("1000000000", 1e7),
        ("9" * 400, 1e7),
        (formatdate(1_000_060, usegmt=True), 60.0), (formatdate(1, usegmt=True), 0.0), ("Mon, 99 Foo 2026 00:00:00 GMT", None),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 1e7), ("٣", None),
    ],
)
def test_the_pause_that_a_server_asks_for(text: str, seconds: float | None) -> None:
    assert retry_after_s({"retry-after": text}, now_s=1_000_000) == seconds


@given(st.text(max_size=60))
def test_any_retry_after_is_a_bounded_pause_or_none(text: str) -> None:
    seconds = retry_after_s({"retry-after": text})
    assert seconds is None or 0 <= seconds <= 1e7


def test_the_wait_is_named_for_people() -> None:
    error = status_error(429, {"retry-after": "300"}, host="h", repo_id="", has_token=False)
    assert "5 min" in error.action
    unknown = status_error(429, {}, host="h", repo_id="", has_token=False)
    assert "few minutes" in unknown.action
