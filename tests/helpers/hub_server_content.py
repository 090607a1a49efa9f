"""What the Hub server has to offer: repositories made of bytes in memory or of files on disk."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

CHUNK_BYTES = 64 * 1024
_LARGE_FILE_SUFFIXES = (".gguf", ".safetensors", ".bin")


@dataclass(frozen=True)
class RepoFixture:
    """A repository as a test wants it. Files are bytes, or paths that are streamed from disk."""

    files: Mapping[str, Path | bytes]
    gated: bool = False
    private: bool = False
    downloads: int = 0
    likes: int = 0
    tags: Sequence[str] = ("gguf", "conversational")
    license: str = "apache-2.0"
    last_modified: str = "2026-03-01T12:00:00.000Z"
    architecture: str = "llama"
    commit: str = ""
    """40 hex digits; computed from the files when empty."""


@dataclass(frozen=True)
class HubFile:
    """One file of a repository at one commit."""

    path: str
    source: Path | bytes
    size: int

    @property
    def is_large(self) -> bool:
        """Kept in the large-file store (sha256 and a second host) and not in git."""
        return self.path.lower().endswith(_LARGE_FILE_SUFFIXES)

    def read(self, start: int, end: int) -> Iterator[bytes]:
        """Bytes `start` up to but without `end`, in chunks."""
        if isinstance(self.source, bytes):
            for offset in range(start, end, CHUNK_BYTES):
                yield self.source[offset : min(end, offset + CHUNK_BYTES)]
            return
        with self.source.open("rb") as stream:
            stream.seek(start)
            left = end - start
            while left > 0 and (chunk := stream.read(min(CHUNK_BYTES, left))):
                left -= len(chunk)
                yield chunk


@dataclass(frozen=True)
class HubRepo:
    """A repository at one commit."""

    repo_id: str
    fixture: RepoFixture
    commit: str
    files: Mapping[str, HubFile] = field(default_factory=dict)


def _size_of(source: Path | bytes) -> int:
    return len(source) if isinstance(source, bytes) else source.stat().st_size


def make_repo(repo_id: str, fixture: RepoFixture) -> HubRepo:
    """Freeze a fixture. The commit depends on names, sizes and in-memory contents, so a restarted server agrees with itself."""
    files = {path: HubFile(path, source, _size_of(source)) for path, source in fixture.files.items()}
    digest = hashlib.sha1(repo_id.encode(), usedforsecurity=False)
    for path, file in sorted(files.items()):
        digest.update(f"\0{path}\0{file.size}\0".encode("utf-8", "surrogateescape"))
        if isinstance(file.source, bytes):
            digest.update(file.source)
    return HubRepo(repo_id, fixture, fixture.commit or digest.hexdigest(), files)


class Hashes:
    """sha256 of large files and git ids of small ones, each computed once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[tuple[object, ...], str] = {}

    def sha256(self, file: HubFile) -> str:
        """Hex digest of the contents."""
        return self._digest(file, "sha256")

    def git_id(self, file: HubFile) -> str:
        """The id git would give the contents."""
        return self._digest(file, "sha1")

    def _digest(self, file: HubFile, algorithm: str) -> str:
        if isinstance(file.source, bytes):
            identity: tuple[object, ...] = (algorithm, id(file.source), file.size)
        else:
            stat = file.source.stat()
            identity = (algorithm, str(file.source), stat.st_size, stat.st_mtime_ns)
        with self._lock:
            if identity not in self._known:
                digest = hashlib.new(algorithm, usedforsecurity=False)
                if algorithm == "sha1":
                    digest.update(f"blob {file.size}\0".encode())
                for chunk in file.read(0, file.size):
                    digest.update(chunk)
                self._known[identity] = digest.hexdigest()
            return self._known[identity]


def model_info(repo: HubRepo, hashes: Hashes, *, blobs: bool = False) -> dict[str, Any]:
    """The answer of `/api/models/{repo}`."""
    fixture = repo.fixture
    info = {
        **list_row(repo, full=True),
        "disabled": False,
        "cardData": {"license": fixture.license, "library_name": "gguf"},
        "siblings": [_sibling(file, hashes, blobs) for file in repo.files.values()],
        "spaces": [],
        "usedStorage": sum(file.size for file in repo.files.values()),
    }
    if any(path.endswith(".gguf") for path in repo.files):
        info["gguf"] = {"total": 134_515_008, "architecture": fixture.architecture, "context_length": 8192}
    return info


def list_row(repo: HubRepo, *, full: bool = False, expand: Sequence[str] = ()) -> dict[str, Any]:
    """One row of a search. Without `full` or `expand` the Hub leaves out author, gated, lastModified and sha."""
    fixture = repo.fixture
    tags = [*fixture.tags, *([f"license:{fixture.license}"] if fixture.license else []), "region:us"]
    identity = {"_id": hashlib.md5(repo.repo_id.encode(), usedforsecurity=False).hexdigest()[:24], "id": repo.repo_id}
    optional: dict[str, Any] = {
        "author": repo.repo_id.split("/")[0],
        "gated": "manual" if fixture.gated else False,
        "lastModified": fixture.last_modified,
        "sha": repo.commit,
    }
    usual: dict[str, Any] = {
        "likes": fixture.likes,
        "trendingScore": fixture.likes,
        "private": fixture.private,
        "downloads": fixture.downloads,
        "tags": tags,
        "pipeline_tag": "text-generation",
        "library_name": "gguf",
        "createdAt": "2026-01-01T00:00:00.000Z",
        "modelId": repo.repo_id,
    }
    if expand:
        return {**identity, **{key: value for key, value in {**optional, **usual}.items() if key in expand}}
    return {**identity, **(optional if full else {}), **usual}


def tree(repo: HubRepo, hashes: Hashes, *, folder: str, recursive: bool, expand: bool) -> list[dict[str, Any]]:
    """The answer of `/api/models/{repo}/tree/{rev}`: folders first, then files, each sorted."""
    prefix = f"{folder.strip('/')}/" if folder.strip("/") else ""
    folders: set[str] = set()
    rows: list[dict[str, Any]] = []
    for path, file in sorted(repo.files.items()):
        if not path.startswith(prefix):
            continue
        parts = path[len(prefix) :].split("/")
        depth = len(parts) - 1 if recursive else min(1, len(parts) - 1)
        folders.update(prefix + "/".join(parts[: n + 1]) for n in range(depth))
        if recursive or len(parts) == 1:
            rows.append(_tree_row(repo, file, hashes, expand))
    named = [name for name in sorted(folders) if name]
    git_ids = (hashlib.sha1(name.encode("utf-8", "replace"), usedforsecurity=False).hexdigest() for name in named)
    heads = [{"type": "directory", "oid": oid, "size": 0, "path": name} for name, oid in zip(named, git_ids, strict=True)]
    return heads + rows


def _tree_row(repo: HubRepo, file: HubFile, hashes: Hashes, expand: bool) -> dict[str, Any]:
    row: dict[str, Any] = {"type": "file", "oid": hashes.git_id(file), "size": file.size, "path": file.path}
    if file.is_large:
        row["lfs"] = {"oid": hashes.sha256(file), "size": file.size, "pointerSize": 134}
        row["xetHash"] = hashes.sha256(file)[::-1]
    if expand:
        row["lastCommit"] = {"id": repo.commit, "title": "Upload files", "date": repo.fixture.last_modified}
        row["securityFileStatus"] = {"status": "safe", "avScan": None, "pickleImportScan": None}
    return row


def _sibling(file: HubFile, hashes: Hashes, blobs: bool) -> dict[str, Any]:
    row: dict[str, Any] = {"rfilename": file.path}
    if blobs:
        row |= {"size": file.size, "blobId": hashes.git_id(file)}
        if file.is_large:
            row["lfs"] = {"sha256": hashes.sha256(file), "size": file.size, "pointerSize": 134}
    return row
