"""A stand-in for the Hugging Face hub's file interface on the loopback device: enough for huggingface_hub itself.

    with HubServer() as hub:           # hub.endpoint is what HF_ENDPOINT has to be
        ...
    hub.files["models/lab/name"]       # {path: bytes} of a repository
    hub.requests                       # (method, path) of everything that was asked

Repositories of models and data sets: creating them, committing small files (base64 in the commit), listing, and
downloading with the headers that the client checks. One branch, one user; every commit is a new hash.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import parse_qs, unquote, urlparse

__all__ = ["HubServer"]

_API = re.compile(r"/api/(models|datasets)/([^/]+/[^/]+)/(revision|preupload|commit|tree|paths-info)/([^/]+)(?:/(.*))?")
_INFO = re.compile(r"/api/(models|datasets)/([^/]+/[^/]+)")
_FILE = re.compile(r"(/datasets)?/([^/]+/[^/]+)/resolve/([^/]+)/(.+)")


class HubServer:
    """A server with repositories in memory; use it as a context manager."""

    def __init__(self, user: str = "lab") -> None:
        self.user = user
        self.files: dict[str, dict[str, bytes]] = {}
        self.heads: dict[str, str] = {}
        self.private: set[str] = set()
        self.requests: list[tuple[str, str]] = []
        hub = self

        class Handler(_Handler):
            server_state = hub

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> HubServer:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def put(self, repository: str, files: dict[str, bytes]) -> None:
        """Add files to `models/owner/name` or `datasets/owner/name`, as a commit."""
        self.files.setdefault(repository, {}).update(files)
        text = json.dumps({k: hashlib.sha256(v).hexdigest() for k, v in self.files[repository].items()}, sort_keys=True)
        self.heads[repository] = hashlib.sha1(text.encode()).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    server_state: HubServer
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        pass

    def _answer(self, value: Any = None, *, status: int = 200, body: bytes | None = None, **headers: str) -> None:
        data = json.dumps(value).encode() if body is None else body
        self.send_response(status)
        self.send_header("Content-Type", "application/json" if body is None else "application/octet-stream")
        for name, text in headers.items():
            self.send_header(name.replace("_", "-"), text)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def _missing(self, code: str) -> None:
        self._answer({"error": code}, status=404, X_Error_Code=code, X_Error_Message=code)

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        hub, path = self.server_state, unquote(urlparse(self.path).path)
        hub.requests.append((self.command, path))
        if path == "/api/whoami-v2":
            self._answer({"name": hub.user, "type": "user", "orgs": [], "auth": {}})
        elif fit := _FILE.fullmatch(path):
            self._file(f"{'datasets' if fit[1] else 'models'}/{fit[2]}", fit[4])
        elif (fit := _API.fullmatch(path)) and fit[3] in ("revision", "tree"):
            repository = f"{fit[1]}/{fit[2]}"
            if repository not in hub.files:
                self._missing("RepoNotFound")
            elif fit[3] == "revision":
                self._answer(self._info(repository, fit[2]))
            else:
                self._answer(self._tree(repository, fit[5] or ""))
        elif fit := _INFO.fullmatch(path):
            repository = f"{fit[1]}/{fit[2]}"
            if repository in hub.files:
                self._answer(self._info(repository, fit[2]))
            else:
                self._missing("RepoNotFound")
        else:
            self._missing("EntryNotFound")

    def do_POST(self) -> None:
        hub, path = self.server_state, unquote(urlparse(self.path).path)
        hub.requests.append((self.command, path))
        body = self._body()
        if path == "/api/repos/create":
            asked = json.loads(body)
            name = f"{asked.get('organization') or hub.user}/{asked['name']}"
            repository = f"{asked.get('type') or 'model'}s/{name}"
            if repository in hub.files:
                self._answer({"error": "exists"}, status=409)
                return
            hub.put(repository, {})
            if asked.get("private"):
                hub.private.add(repository)
            self._answer({"url": f"{hub.endpoint}/{name}", "name": name, "id": name})
        elif path == "/api/validate-yaml":
            self._answer({"errors": [], "warnings": []})
        elif fit := _API.fullmatch(path):
            repository = f"{fit[1]}/{fit[2]}"
            if repository not in hub.files:
                self._missing("RepoNotFound")
            elif fit[3] == "preupload":
                asked = json.loads(body)["files"]
                modes = [{"path": f["path"], "uploadMode": "regular", "shouldIgnore": False} for f in asked]
                self._answer({"files": modes})
            elif fit[3] == "paths-info":
                paths = parse_qs(body.decode()).get("paths", []) if body[:1] != b"{" else json.loads(body)["paths"]
                self._answer([e for e in self._tree(repository, "", everything=True) if e["path"] in paths])
            else:
                self._commit(repository, fit[2], body)
        else:
            self._missing("EntryNotFound")

    def _commit(self, repository: str, name: str, body: bytes) -> None:
        hub = self.server_state
        added: dict[str, bytes] = {}
        for line in body.decode().splitlines():
            entry = json.loads(line)
            if entry["key"] == "file":
                added[entry["value"]["path"]] = base64.b64decode(entry["value"]["content"])
            elif entry["key"] == "deletedFile":
                hub.files[repository].pop(entry["value"]["path"], None)
        hub.put(repository, added)
        head = hub.heads[repository]
        self._answer({"success": True, "commitOid": head, "commitUrl": f"{hub.endpoint}/{name}/commit/{head}"})

    def _info(self, repository: str, name: str) -> dict[str, Any]:
        hub = self.server_state
        siblings = [{"rfilename": path, "size": len(data)} for path, data in sorted(hub.files[repository].items())]
        return {
            "id": name, "modelId": name, "sha": hub.heads[repository], "private": repository in hub.private,
            "siblings": siblings, "tags": [], "downloads": 0, "likes": 0, "gated": False, "disabled": False,
        }  # fmt: skip

    def _tree(self, repository: str, folder: str, *, everything: bool = False) -> list[dict[str, Any]]:
        out: dict[str, dict[str, Any]] = {}
        prefix = folder.rstrip("/") + "/" if folder else ""
        recursive = everything or "recursive=true" in self.path.lower()
        for path, data in sorted(self.server_state.files[repository].items()):
            if not path.startswith(prefix):
                continue
            rest = path[len(prefix) :]
            if "/" in rest and not everything:
                top = prefix + rest.split("/", 1)[0]
                out.setdefault(top, {"type": "directory", "path": top, "oid": "0" * 40, "size": 0})
                if not recursive:
                    continue
            oid = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
            out[path] = {"type": "file", "path": path, "oid": oid, "size": len(data)}
        return list(out.values())

    def _file(self, repository: str, path: str) -> None:
        hub = self.server_state
        if repository not in hub.files:
            self._missing("RepoNotFound")
            return
        data = hub.files[repository].get(path)
        if data is None:
            self._missing("EntryNotFound")
            return
        headers = {
            "X_Repo_Commit": hub.heads[repository],
            "ETag": f'"{hashlib.sha1(data).hexdigest()}"',
            "Accept_Ranges": "bytes",
        }
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
        if asked:
            first = int(asked[1])
            part = data[first : int(asked[2]) + 1 if asked[2] else None]
            stop = first + len(part) - 1
            self._answer(status=206, body=part, Content_Range=f"bytes {first}-{stop}/{len(data)}", **headers)
            return
        self._answer(body=data, **headers)
