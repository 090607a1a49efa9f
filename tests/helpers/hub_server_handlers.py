"""The HTTP side of the Hub server: one handler for the Hub's port, one for the second host that serves large files."""

from __future__ import annotations

import json
import time
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

from tests.helpers.hub_server_content import HubFile, HubRepo
from tests.helpers.hub_server_faults import Stage
from tests.helpers.hub_server_files import FileAnswer, plan_file_answer
from tests.helpers.hub_server_state import HubState, RequestRecord, Site

CAPTIVE_PORTAL = b"<!DOCTYPE html><html><body><h1>Welcome to Hotel WiFi</h1><form>Please log in</form></body></html>"


class BaseHandler(BaseHTTPRequestHandler):
    """Bookkeeping, faults that can hit any request, and pacing of bodies."""

    protocol_version = "HTTP/1.1"
    server_version = "HubServer/1"
    server: Site
    record: RequestRecord

    @property
    def state(self) -> HubState:
        return self.server.state

    def do_GET(self) -> None:
        self._handle("GET")

    def do_HEAD(self) -> None:
        self._handle("HEAD")

    def do_POST(self) -> None:
        self._handle("POST")

    def respond(self, path: str, query: dict[str, list[str]]) -> None:
        """Answer one request; `path` is not unquoted."""
        raise NotImplementedError

    def log_message(self, format: str, *args: object) -> None:
        """The request log says it all."""

    def _handle(self, method: str) -> None:
        target = urlsplit(self.path)
        self.record = RequestRecord(
            site=self.server.name, method=method, path=unquote(target.path), query=target.query,
            host=self.headers.get("Host", ""), range=self.headers.get("Range"),
            authorization=self.headers.get("Authorization"), cookie=self.headers.get("Cookie"),
            headers=dict(self.headers.items()),
        )
        self.state.log.begin(self.record)
        try:
            self.respond(target.path, parse_qs(target.query))
        finally:
            self.state.log.end(self.record)

    def faults(self, stage: Stage) -> dict[str, str]:
        """What is to go wrong with this request at this stage."""
        taken = self.state.faults.take(self.command, self.record.path, stage)
        self.record.faults |= taken
        return taken

    def answered_by_fault(self, faults: dict[str, str]) -> bool:
        """Send the answer of a fault that replaces the whole answer; false if there is none."""
        if "close" in faults:
            self.close_connection = True
        elif "captive_portal" in faults:
            self.send_bytes(200, CAPTIVE_PORTAL, {"Content-Type": "text/html; charset=utf-8"})
        elif "redirect" in faults:
            self.send_bytes(302, b"", {"Location": faults["redirect"]})
        elif "redirect_loop" in faults:
            self.send_bytes(302, b"", {"Location": self.path})
        elif "status" in faults:
            headers = {"Retry-After": faults["retry_after"]} if "retry_after" in faults else {}
            if "code" in faults:
                headers["X-Error-Code"] = faults["code"]
            self.send_json(int(faults["status"]), {"error": "scripted failure"}, headers)
        else:
            return False
        return True

    def send_json(self, status: int, value: object, headers: dict[str, str] | None = None) -> None:
        """A whole JSON answer."""
        body = json.dumps(value).encode("utf-8", "surrogateescape")
        self.send_bytes(status, body, {"Content-Type": "application/json; charset=utf-8", **(headers or {})})

    def send_error_code(self, status: int, code: str, message: str) -> None:
        """An error as the Hub words it."""
        self.send_json(status, {"error": message}, {"X-Error-Code": code, "X-Error-Message": message})

    def send_bytes(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        """A whole answer."""
        self.start(status, {**headers, "Content-Length": str(len(body))})
        if self.command != "HEAD":
            self._write(body)

    def start(self, status: int, headers: dict[str, str]) -> None:
        """Status line and headers."""
        self.record.status = status
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def send_file(self, file: HubFile, faults: dict[str, str], etag: str, headers: dict[str, str] | None = None) -> None:
        """A file's body or the asked-for range of it, with the faults of the body."""
        answer = plan_file_answer(file, self.headers.get("Range"), self.headers.get("If-Range"), etag, faults)
        if "Content-Length" not in answer.headers and answer.status < 300:
            self.close_connection = True
        self.start(answer.status, {**(headers or {}), **answer.headers})
        if self.command != "HEAD":
            self._send_body(answer)

    def _send_body(self, answer: FileAnswer) -> None:
        rate = answer.bytes_per_s or self.state.bytes_per_s
        started, sent = time.monotonic(), 0
        for chunk in answer.chunks():
            piece_size = max(1, min(len(chunk), rate // 20)) if rate else len(chunk)
            for start in range(0, len(chunk), piece_size):
                piece = chunk[start : start + piece_size]
                if rate and self.state.closing.wait(max(0.0, sent / rate - (time.monotonic() - started))):
                    return
                self._write(piece)
                sent += len(piece)
        if answer.ends_early:
            self.close_connection = True
            if answer.stalls:
                self.wfile.flush()
                self.state.closing.wait(600)

    def _write(self, data: bytes) -> None:
        self.wfile.write(data)
        self.record.bytes_sent += len(data)


class CdnHandler(BaseHandler):
    """The second host: signed addresses, ranges, no idea of users."""

    def respond(self, path: str, query: dict[str, list[str]]) -> None:
        parts = unquote(path).split("/", 5)
        faults = self.faults(Stage.BODY)
        if self.answered_by_fault(faults):
            return None
        if len(parts) != 6 or parts[1] != "cdn":
            return self.send_json(404, {"error": "not found"})
        repo = self.state.find(f"{parts[2]}/{parts[3]}", parts[4])
        file = repo.files.get(parts[5]) if repo else None
        if file is None:
            return self.send_json(404, {"error": "not found"})
        if "expired_cdn" in faults or query.get("Signature") != [self.state.hashes.sha256(file)[:16]]:
            return self.send_bytes(403, b"<Error><Code>AccessDenied</Code></Error>", {"Content-Type": "application/xml"})
        return self.send_file(file, faults, f'"{self.state.hashes.sha256(file)}"')


class HubHandler(BaseHandler):
    """The Hub's own port: the resolve addresses here, the API in `hub_server_api`."""

    def respond(self, path: str, query: dict[str, list[str]]) -> None:
        from tests.helpers.hub_server_api import answer_api, answer_control

        if path.startswith("/__control/"):
            return answer_control(self, path)
        if path.startswith("/api/"):
            return answer_api(self, path, query)
        parts = path.lstrip("/").split("/", 4)
        if len(parts) == 5 and parts[2] == "resolve":
            return self._resolve(f"{parts[0]}/{parts[1]}", unquote(parts[3]), unquote(parts[4]))
        return self.send_json(404, {"error": "Not found"})

    def may_see(self, repo_id: str, *, contents: bool) -> bool:
        """Check the token against a repository; sends the refusal itself."""
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ").strip()
        if token and token not in self.state.tokens:
            self.send_json(401, {"error": "Invalid credentials in Authorization header"})
            return False
        repo = self.state.find(repo_id, "main")
        if repo is None or (repo.fixture.private and not self.state.tokens.get(token)):
            self.send_error_code(404 if token else 401, "RepoNotFound", "Repository not found")
            return False
        if contents and repo.fixture.gated and not self.state.tokens.get(token):
            words = "Access to model {0} is restricted. You must have access to it and be authenticated to access it."
            self.send_error_code(403 if token else 401, "GatedRepo", words.format(repo_id))
            return False
        return True

    def revision(self, repo_id: str, revision: str) -> HubRepo | None:
        """A repository at a revision; sends the refusal itself."""
        repo = self.state.find(repo_id, revision)
        if repo is None:
            self.send_error_code(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        return repo

    def _resolve(self, repo_id: str, revision: str, path: str) -> None:
        faults = self.faults(Stage.RESOLVE)
        if self.answered_by_fault(faults) or not self.may_see(repo_id, contents=True):
            return None
        repo = self.revision(repo_id, revision)
        if repo is None:
            return None
        file = repo.files.get(path)
        if file is None:
            return self.send_error_code(404, "EntryNotFound", "Entry not found")
        if not file.is_large or "direct" in faults:
            return self._send_from_hub(repo, file)
        headers = self._resolve_headers(repo, file, faults)
        signature = "gone" if "expired_cdn" in faults else self.state.hashes.sha256(file)[:16]
        address = f"/cdn/{repo_id}/{repo.commit}/{quote(path)}?Expires=4102444800&Signature={signature}"
        return self.send_bytes(302, b"Found. Redirecting", {**headers, "Location": self.state.cdn_url + address})

    def _resolve_headers(self, repo: HubRepo, file: HubFile, faults: dict[str, str]) -> dict[str, str]:
        etag = self.state.hashes.sha256(file) if file.is_large else self.state.hashes.git_id(file)
        if "changed_etag" in faults:
            etag = etag[::-1]
        etag = faults.get("etag", etag)
        size = faults.get("lie_size", str(file.size))
        return {
            "X-Repo-Commit": faults.get("commit", repo.commit),
            "X-Linked-Size": str(file.size + int(size)) if size[:1] == "+" else size,
            "X-Linked-Etag": f'"{etag}"',
            "ETag": f'"{etag}"',
            "Accept-Ranges": "bytes",
        }

    def _send_from_hub(self, repo: HubRepo, file: HubFile) -> None:
        faults = self.faults(Stage.BODY)
        etag = self.state.hashes.sha256(file) if file.is_large else self.state.hashes.git_id(file)
        self.send_file(file, faults, f'"{etag}"', {"X-Repo-Commit": repo.commit})

    def read_json(self) -> Any:
        """The request's body."""
        return json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}")
