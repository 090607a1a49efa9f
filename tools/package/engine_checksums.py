"""Writes the sizes and checksums of engine.json again, after a signature was added to libraries that it lists."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path


def renew(manifest: Path) -> None:
    """Take size and SHA-256 of every listed file as they are now."""
    document = json.loads(manifest.read_text(encoding="utf-8"))
    for entry in document["files"]:
        content = (manifest.parent / entry["path"]).read_bytes()
        entry["size_bytes"], entry["sha256"] = len(content), hashlib.sha256(content).hexdigest()
    manifest.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
