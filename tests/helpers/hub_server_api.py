"""The Hub server's JSON API: search, model info, tree, whoami; and the control route that sets faults from outside."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlencode

from tests.helpers.hub_server_content import HubRepo, list_row, model_info, tree
from tests.helpers.hub_server_faults import Stage

if TYPE_CHECKING:
    from tests.helpers.hub_server_handlers import HubHandler

Query = dict[str, list[str]]
_SORT_KEYS = {"downloads", "likes", "lastModified", "trendingScore", "createdAt"}


def answer_api(handler: HubHandler, path: str, query: Query) -> None:
    """Answer a request below `/api/`."""
    faults = handler.faults(Stage.API)
    if handler.answered_by_fault(faults):
        return None
    if "json" in faults:
        return handler.send_bytes(200, faults["json"].encode(), {"Content-Type": "application/json"})
    if "huge_json" in faults:
        return _send_huge_json(handler, int(faults["huge_json"]))
    return _route(handler, path.removeprefix("/api/").split("/"), query, faults)


def _route(handler: HubHandler, parts: list[str], query: Query, faults: dict[str, str]) -> None:
    repo_id = "/".join(parts[1:3])
    spelled = handler.state.spelling(repo_id)
    if spelled != repo_id:
        target = handler.path.replace(f"/{repo_id}", f"/{spelled}", 1)
        handler.send_bytes(307, b"", {"Location": target})
        return
    match parts:
        case ["whoami-v2"]:
            _whoami(handler)
        case ["models"]:
            _search(handler, query)
        case ["models", _, _]:
            _info(handler, repo_id, "main", query, faults)
        case ["models", _, _, "revision", revision]:
            _info(handler, repo_id, unquote(revision), query, faults)
        case ["models", _, _, "tree", revision, *folder]:
            _tree(handler, repo_id, (unquote(revision), unquote("/".join(folder))), query, faults)
        case _:
            handler.send_json(404, {"error": "Sorry, we can't find the page you are looking for."})


def _whoami(handler: HubHandler) -> None:
    token = (handler.headers.get("Authorization") or "").removeprefix("Bearer ").strip()
    if token not in handler.state.tokens:
        return handler.send_json(401, {"error": "Invalid credentials in Authorization header"})
    access = {"displayName": "test", "role": "read"}
    return handler.send_json(200, {"type": "user", "id": "1", "name": "tester", "auth": {"accessToken": access}, "orgs": []})


def _search(handler: HubHandler, query: Query) -> None:
    repos = [repo for repo in handler.state.repos() if _matches(repo, query)]
    full, expand = _flag(query, "full"), query.get("expand", [])
    sort = query.get("sort", ["trendingScore"])[0]
    if sort not in _SORT_KEYS:
        return handler.send_json(400, {"error": f"Invalid sort parameter: {sort}"})
    rows = [(list_row(repo, full=True)[sort], list_row(repo, full=full, expand=expand)) for repo in repos]
    rows.sort(key=lambda row: row[0], reverse=True)
    limit = int(query.get("limit", ["1000"])[0])
    start = int(query.get("cursor", ["0"])[0])
    page = [row for _, row in rows[start : start + min(limit, handler.state.page_size)]]
    if full or "siblings" in expand:
        by_id = {repo.repo_id: repo for repo in repos}
        for row in page:
            row["siblings"] = [{"rfilename": name} for name in by_id[row["id"]].files]
    _send_page(handler, "/api/models", query, page, start + len(page) if start + len(page) < len(rows) else None)
    return None


def _matches(repo: HubRepo, query: Query) -> bool:
    words = " ".join(query.get("search", [])).lower().split()
    name = repo.repo_id.lower()
    author = query.get("author", [""])[0]
    tags = list_row(repo)["tags"]
    return (
        all(word in name for word in words)
        and (not author or repo.repo_id.split("/")[0] == author)
        and all(tag in tags for tag in query.get("filter", []))
        and not repo.fixture.private
    )


def _info(handler: HubHandler, repo_id: str, revision: str, query: Query, faults: dict[str, str]) -> None:
    if not handler.may_see(repo_id, contents=False):
        return None
    repo = handler.revision(repo_id, revision)
    if repo is None:
        return None
    info = model_info(repo, handler.state.hashes, blobs=_flag(query, "blobs"))
    if "commit" in faults:
        info["sha"] = faults["commit"]
    if expand := query.get("expand"):
        info = {key: value for key, value in info.items() if key in expand or key in ("_id", "id")}
    return handler.send_json(200, info)


def _tree(handler: HubHandler, repo_id: str, place: tuple[str, str], query: Query, faults: dict[str, str]) -> None:
    if not handler.may_see(repo_id, contents=False):
        return None
    repo = handler.revision(repo_id, place[0])
    if repo is None:
        return None
    expand = _flag(query, "expand")
    rows = tree(repo, handler.state.hashes, folder=place[1], recursive=_flag(query, "recursive"), expand=expand)
    for row in rows:
        _spoil_row(row, faults)
    page_size = min(50 if expand else 1000, handler.state.page_size)
    start = int(query.get("cursor", ["0"])[0])
    page = rows[start : start + page_size]
    after = start + page_size if start + page_size < len(rows) else None
    return _send_page(handler, f"/api/models/{repo_id}/tree/{place[0]}", query, page, after)


def _spoil_row(row: dict[str, Any], faults: dict[str, str]) -> None:
    if "rename" in faults:
        old, new = faults["rename"].split(">", 1)
        row["path"] = new if row["path"] == old else row["path"]
    if "lfs" not in row:
        return
    if "lie_size" in faults:
        value = faults["lie_size"]
        size: object = row["size"] + int(value) if value[:1] == "+" else json.loads(value or "null")
        row["size"] = row["lfs"]["size"] = size
    if "hash" in faults:
        row["lfs"]["oid"] = faults["hash"]
    if "no_lfs" in faults:
        del row["lfs"]


def _send_page(handler: HubHandler, path: str, query: Query, page: list[dict[str, Any]], after: int | None) -> None:
    headers = {}
    if after is not None:
        following = urlencode({**query, "cursor": [str(after)]}, doseq=True)
        headers["Link"] = f'<{handler.state.hub_url}{path}?{following}>; rel="next"'
    handler.send_json(200, page, headers)


def _send_huge_json(handler: HubHandler, size: int) -> None:
    handler.start(200, {"Content-Type": "application/json", "Content-Length": str(size)})
    handler.wfile.write(b"[")
    filler = b'"' + b"x" * 65533 + b'",'
    sent = 1
    while sent < size:
        piece = filler[: size - sent]
        handler.wfile.write(piece)
        sent += len(piece)
        handler.record.bytes_sent = sent


def _flag(query: Query, name: str) -> bool:
    return query.get(name, ["false"])[0].lower() in ("true", "1")


def answer_control(handler: HubHandler, path: str) -> None:
    """`POST fail {path, script, times}`, `POST clear`, `POST speed {bytes_per_s}`, `GET requests`."""
    state = handler.state
    action = path.removeprefix("/__control/")
    body = handler.read_json() if handler.command == "POST" else {}
    if action == "fail":
        try:
            state.faults.add(body["path"], body["script"], times=body.get("times", 1), method=body.get("method", "*"))
        except (KeyError, ValueError) as error:
            return handler.send_json(400, {"error": str(error)})
    elif action == "clear":
        state.faults.clear()
    elif action == "speed":
        state.bytes_per_s = int(body["bytes_per_s"])
    elif action == "requests":
        return handler.send_json(200, [asdict(record) for record in state.log.snapshot()])
    else:
        return handler.send_json(404, {"error": f"no such control: {action}"})
    return handler.send_json(200, {"ok": True})
