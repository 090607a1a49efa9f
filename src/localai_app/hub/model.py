"""What the Hub offers: repositories, their files at one commit, and the variants that those files form."""

from __future__ import annotations

import msgspec


class RepoFile(msgspec.Struct, frozen=True, kw_only=True):
    """One file of a repository; `sha256` is None only for files that the Hub keeps outside its large-file store."""

    path: str
    size_bytes: int
    sha256: str | None = None


class Variant(msgspec.Struct, frozen=True, kw_only=True):
    """One quantization of a model: its label (Q4_K_M) and its one or more files, parts in order."""

    label: str
    files: tuple[RepoFile, ...]

    @property
    def size_bytes(self) -> int:
        """All files together."""
        return sum(file.size_bytes for file in self.files)


class SearchHit(msgspec.Struct, frozen=True, kw_only=True):
    """One row of a search."""

    repo_id: str
    downloads: int = 0
    likes: int = 0
    last_modified: str = ""
    gated: bool = False
    tags: tuple[str, ...] = ()


class Repo(msgspec.Struct, frozen=True, kw_only=True):
    """A repository at one commit (40 hex digits)."""

    repo_id: str
    commit: str
    variants: tuple[Variant, ...]
    """Language-model files only, smallest first."""
    projectors: tuple[RepoFile, ...] = ()
    """mmproj files, which are no models of their own."""
    gated: bool = False
    license: str = ""
    downloads: int = 0
    likes: int = 0
    last_modified: str = ""
    tags: tuple[str, ...] = ()
