"""Web servers on this machine that behave as real ones do: ranges, redirects, errors, silence, the hub's file API."""

from __future__ import annotations

import contextlib
import functools
import http.server
import json
import re
import threading
import time
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

__all__ = ["Web", "Hub", "serving"]


class Web(http.server.BaseHTTPRequestHandler):
    """Serve a folder; `behaviour` selects faults, and is counted down if it is a number.

    ranges: answer Range; redirect: answer every request under another path; errors: n answers with 503;
    silent: n shards stop in the middle and the connection stays open; cut: n shards end in the middle;
    refuse: the status of every shard; short: shards are shorter, and say so; pause_s: between pieces of a shard.
    """

    protocol_version = "HTTP/1.1"

    def __init__(self, *args, folder: Path, behaviour: dict, log: list[str]) -> None:
        self.folder, self.behaviour, self.log = folder, behaviour, log
        super().__init__(*args)

    def handle(self) -> None:
        with contextlib.suppress(ConnectionError):
            super().handle()

    def do_GET(self) -> None:
        self.serve(self.path)

    def count(self, name: str) -> bool:
        """Whether a limited behaviour still applies to this request."""
        left = self.behaviour.get(name, 0)
        self.behaviour[name] = left - 1 if left > 0 else 0
        return left > 0

    def serve(self, path: str) -> None:
        if self.behaviour.get("redirect") and not path.startswith("/moved/"):
            self.answer(302, b"", Location=f"/moved{path}")
            return
        path = path.removeprefix("/moved")
        self.log.append(path)
        file = self.folder / path.lstrip("/")
        if self.count("errors"):
            self.answer(503, b"busy")
        elif file.suffix == ".tar" and self.behaviour.get("refuse"):
            self.answer(self.behaviour["refuse"], b"no")
        elif not file.is_file():
            self.answer(404, b"nothing here", **self.behaviour.get("missing", {}))
        else:
            self.send_file(file)

    def send_file(self, file: Path) -> None:
        data, shard = file.read_bytes(), file.suffix == ".tar"
        if shard and self.behaviour.get("short"):
            data = data[:-1024]
        found = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        status, more = 200, {}
        if found and self.behaviour.get("ranges"):
            first, last = int(found[1]), int(found[2] or len(data) - 1)
            status, more = 206, {"Content-Range": f"bytes {first}-{last}/{len(data)}", "Accept-Ranges": "bytes"}
            data = data[first : last + 1]
        half = len(data) // 2
        if shard and self.count("cut"):
            self.answer(status, data, send=half, **more)
            self.close_connection = True
        elif shard and self.count("silent"):
            self.answer(status, data, send=half, **more)
            time.sleep(self.behaviour["silence_s"])
            self.close_connection = True
        else:
            self.answer(status, data, pause_s=self.behaviour.get("pause_s", 0.0) if shard else 0.0, **more)

    def answer(self, status: int, data: bytes, *, send: int | None = None, pause_s: float = 0.0, **headers) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command == "HEAD":
            return
        data = data[:send]
        step = max(1, len(data) // 8) if pause_s else max(1, len(data))
        for start in range(0, len(data), step):
            self.wfile.write(data[start : start + step])
            self.wfile.flush()
            time.sleep(pause_s)

    def log_message(self, *args) -> None:
        """Quiet."""


class Hub(Web):
    """The hub's API for one data set, `labs/eeg`, whose revision `main` is the folder."""

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = urllib.parse.unquote(self.path.split("?")[0])
        if path in ("/api/datasets/labs/eeg", "/api/datasets/labs/eeg/revision/main"):
            self.json({"id": "labs/eeg", "sha": "0" * 40, "siblings": [], "private": False, "tags": [], "downloads": 0})
        elif found := re.fullmatch(r"/api/datasets/labs/eeg/tree/main/?(.*)", path):
            self.tree(self.folder / found[1])
        elif found := re.fullmatch(r"/datasets/labs/eeg/resolve/main/(.*)", path):
            self.behaviour["missing"] = {"X-Error-Code": "EntryNotFound"}
            self.serve("/" + found[1])
        else:
            self.answer(404, b"{}", **{"X-Error-Code": "RepoNotFound"})

    def tree(self, folder: Path) -> None:
        if not folder.is_dir():
            self.answer(404, b"{}", **{"X-Error-Code": "EntryNotFound"})
            return
        entries = [
            {
                "type": "file" if p.is_file() else "directory",
                "path": p.relative_to(self.folder).as_posix(),
                "oid": "0" * 40,
                "size": p.stat().st_size if p.is_file() else 0,
            }
            for p in sorted(folder.iterdir())
        ]
        self.json(entries)

    def json(self, value: object) -> None:
        self.answer(200, json.dumps(value).encode(), **{"Content-Type": "application/json"})


@contextlib.contextmanager
def serving(kind: type[Web], folder: Path, **behaviour) -> Iterator[tuple[str, dict, list[str]]]:
    """Run a server; yields (address, mutable behaviour, requested paths)."""
    log: list[str] = []
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(kind, folder=folder, behaviour=behaviour, log=log)
    )
    server.handle_error = lambda *_: None  # clients that leave early are what is tested
    server.daemon_threads = True
    server.block_on_close = False
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", behaviour, log
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
