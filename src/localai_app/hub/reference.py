"""What people type or paste to name a model: a repository id, with a variant or without, or an address of the Hub."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from urllib.parse import parse_qs, unquote, urlsplit

from localai_app import errors
from localai_app.errors import AppError
from localai_app.hub.variants import label_of_path

HUB_HOSTS = frozenset({"huggingface.co", "www.huggingface.co", "hf.co", "www.hf.co", "hf-mirror.com"})
_MAX_REFERENCE_CHARS = 2000
_MAX_ID_CHARS = 96
_PART = r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9_-])?"
_REPO_ID = re.compile(rf"{_PART}/{_PART}")
_VARIANT = re.compile(r"[A-Za-z0-9][\w./+ -]{0,199}", re.ASCII)
# First path parts of the Hub's own pages, which look like owners.
_NOT_OWNERS = frozenset({
    "api", "blog", "chat", "collections", "datasets", "docs", "enterprise", "join", "learn", "login", "models", "new",
    "organizations", "papers", "posts", "pricing", "search", "settings", "spaces", "tasks", "welcome",
})


@dataclass(frozen=True, slots=True)
class ModelReference:
    """A repository, and the variant's label if one was named."""

    repo_id: str
    variant: str | None = None


def is_repo_id(text: str) -> bool:
    """Whether `text` is a possible `owner/name`, by the rules of the Hub (at most 96 characters, no `..` or `--`)."""
    return (
        _REPO_ID.fullmatch(text) is not None
        and len(text) <= _MAX_ID_CHARS
        and ".." not in text
        and "--" not in text
        and not text.endswith(".git")
    )


def parse_model_reference(text: str, *, hub_hosts: Collection[str] = ()) -> ModelReference:
    """Understand `owner/name`, `owner/name:Q4_K_M`, `hf:owner/name`, `hf://owner/name/file.gguf`, `hf.co/owner/name:LABEL`
    and every address of a model's pages or files. Raises AppError REFERENCE_INVALID for anything else.

    `hub_hosts` are hosts of mirrors that count as the Hub besides the well-known ones.
    """
    trimmed = text.strip().strip("<>\"'")
    if not trimmed or len(trimmed) > _MAX_REFERENCE_CHARS:
        raise _invalid(text)
    hosts = HUB_HOSTS | {host.lower() for host in hub_hosts}
    lowered = trimmed.lower()
    for scheme in ("hf://", "hf:"):
        if lowered.startswith(scheme):
            return _from_path(trimmed[len(scheme) :].strip("/").split("/"), text)
    if lowered.startswith(("http://", "https://")):
        return _from_address(trimmed, text, hosts)
    if lowered.split("/", 1)[0] in hosts:
        return _from_address(f"https://{trimmed}", text, hosts)
    return _from_id(trimmed, text)


def _from_id(trimmed: str, text: str) -> ModelReference:
    repo_id, colon, variant = trimmed.partition(":")
    repo_id, variant = repo_id.strip().rstrip("/"), variant.strip()
    if not is_repo_id(repo_id) or (colon and not _VARIANT.fullmatch(variant)):
        raise _invalid(text)
    return ModelReference(repo_id, variant or None)


def _from_address(address: str, text: str, hosts: Collection[str]) -> ModelReference:
    try:
        url = urlsplit(address)
        host = (url.hostname or "").lower()
    except ValueError:
        raise _invalid(text) from None
    if host not in hosts and url.netloc.lower() not in hosts:
        raise _invalid(text)
    shown = parse_qs(url.query).get("show_file_info", [""])[0]
    parts = [unquote(part) for part in url.path.strip("/").split("/")]
    if parts[0].lower() in _NOT_OWNERS:
        raise _invalid(text)
    reference = _from_path(parts, text)
    if reference.variant is None and shown:
        return ModelReference(reference.repo_id, label_of_path(shown) or None)
    return reference


def _from_path(parts: Sequence[str], text: str) -> ModelReference:
    """`owner/name`, then optionally `/tree|blob|resolve|raw/REVISION/FILE` or `/FILE` or `@REVISION/FILE`."""
    if len(parts) < 2:
        raise _invalid(text)
    if len(parts) == 2:
        return _from_id("/".join(parts), text)
    name, _, _ = parts[1].partition("@")
    rest = parts[4:] if parts[2] in ("tree", "blob", "resolve", "raw", "edit", "blame") else parts[2:]
    file = "/".join(rest)
    repo_id = f"{parts[0]}/{name}"
    if not is_repo_id(repo_id):
        raise _invalid(text)
    return ModelReference(repo_id, (label_of_path(file) or None) if file else None)


def _invalid(text: str) -> AppError:
    shown = "".join(char if char.isprintable() else "?" for char in text.strip())
    return AppError(errors.REFERENCE_INVALID, text=shown if len(shown) <= 80 else f"{shown[:77]}...")
