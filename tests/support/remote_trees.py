"""BIDS data sets with real content on servers of this machine: S3 (moto's), plain web pages with an index, the hub."""

from __future__ import annotations

import contextlib
import hashlib
import html
import json
import os
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from support.recordings import eeg_uv, write_edf
from support.web_servers import Hub, Web

NAMES = ("Fp1", "Fp2", "C3", "C4", "O1", "O2")


def write_tree(root: Path, subjects: tuple[str, ...] = ("01", "02", "03"), *, seconds: int = 30) -> Path:
    """A data set like the BIDS examples: EDF of one task for all, BrainVision of another for the first subject."""
    root.mkdir(parents=True)
    description = {
        "Name": "Left and right",
        "BIDSVersion": "1.9.0",
        "License": "CC0",
        "Authors": ["A. Author", "B. Author"],
        "DatasetDOI": "doi:10.18112/openneuro.ds900001.v1.0.2",
        "HowToAcknowledge": "Cite the paper",
    }
    (root / "dataset_description.json").write_text(json.dumps(description))
    (root / "participants.tsv").write_text("participant_id\tage\n" + "".join(f"sub-{s}\t30\n" for s in subjects))
    (root / "README").write_text("A data set.\n")
    (root / "CHANGES").write_text("1.0.2\n")
    said = {"SamplingFrequency": 200, "PowerLineFrequency": 50, "EEGReference": "M1", "EEGChannelCount": 6}
    (root / "task-hands_eeg.json").write_text(json.dumps({**said, "RecordingDuration": seconds}))
    (root / "derivatives/clean/sub-01/eeg").mkdir(parents=True)
    write_edf(root / "derivatives/clean/sub-01/eeg/sub-01_task-hands_eeg.edf", eeg_uv(6, 4000, seed=99))
    for seed, subject in enumerate(subjects):
        folder = root / f"sub-{subject}" / "eeg"
        folder.mkdir(parents=True)
        stem = f"sub-{subject}_task-hands"
        write_edf(folder / f"{stem}_eeg.edf", eeg_uv(6, 200 * seconds, seed=seed))
        rows = "".join(f"{n}\tEEG\tuV\n" for n in NAMES)
        (folder / f"{stem}_channels.tsv").write_text("name\ttype\tunits\n" + rows)
        events = "".join(f"{4 * k + 1}\t2\t{('left', 'right')[k % 2]}\n" for k in range(seconds // 4 - 1))
        (folder / f"{stem}_events.tsv").write_text("onset\tduration\ttrial_type\n" + events)
    folder = root / f"sub-{subjects[0]}" / "eeg"
    write_brainvision(folder / f"sub-{subjects[0]}_task-rest_eeg.vhdr", eeg_uv(6, 200 * seconds, seed=50))
    (folder / f"sub-{subjects[0]}_task-rest_eeg.json").write_text(json.dumps({**said, "RecordingDuration": seconds}))
    return root


def write_brainvision(path: Path, signal_uv: np.ndarray) -> None:
    import pybv

    pybv.write_brainvision(
        data=signal_uv * 1e-6, sfreq=200, ch_names=list(NAMES), fname_base=path.stem, folder_out=str(path.parent),
        events=np.array([[100, 1], [900, 2]]), unit="µV", resolution=0.1,
    )  # fmt: skip


@contextlib.contextmanager
def s3_server() -> Iterator[tuple[str, Any]]:
    """moto's S3 server: its endpoint and a boto3 client with rights to write; anonymous readers may list and get."""
    import boto3
    from moto.server import ThreadedMotoServer

    names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION", "AWS_PROFILE")
    keep = {name: os.environ.pop(name, None) for name in names}
    os.environ["AWS_DEFAULT_REGION"] = "us-east-1"
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    endpoint = f"http://127.0.0.1:{server.get_host_and_port()[1]}"
    client = boto3.client("s3", endpoint_url=endpoint, aws_access_key_id="test", aws_secret_access_key="test")
    try:
        yield endpoint, client
    finally:
        client.close()
        server.stop()
        for name, value in keep.items():
            os.environ.pop(name, None) if value is None else os.environ.__setitem__(name, value)


def upload(client: Any, root: Path, bucket: str, prefix: str) -> None:
    for path in sorted(p for p in root.rglob("*") if p.is_file()):
        client.put_object(
            Bucket=bucket,
            Key=f"{prefix}/{path.relative_to(root).as_posix()}",
            Body=path.read_bytes(),
            ACL="public-read",
        )


class Pages(Web):
    """A web server with an index page per folder; `behaviour` as of `Web`, for files of signal, and:

    etags: send an ETag; no_size: say no length (the connection's end is the end); wrong: n files have flipped bytes.
    """

    index = "no-index-page"

    def do_HEAD(self) -> None:
        self.do_GET()

    def serve(self, path: str) -> None:
        path = urllib.parse.unquote(path.split("?")[0])
        folder = self.folder / path.lstrip("/")
        if path.endswith("/") and (folder / self.index).is_file():
            path += self.index
        elif path.endswith("/") and folder.is_dir():
            names = sorted(p.name + ("/" if p.is_dir() else "") for p in folder.iterdir())
            links = "".join(f'<a href="{html.escape(urllib.parse.quote(n))}">{html.escape(n)}</a>\n' for n in names)
            page = f'<html><a href="?C=N;O=D">Name</a><a href="/">Parent</a><a href="../">up</a>{links}</html>'
            self.answer(200, page.encode(), **{"Content-Type": "text/html"})
            return
        super().serve(path)

    def send_file(self, file: Path) -> None:
        self.signal = file.suffix in (".edf", ".eeg")
        if self.command == "HEAD":
            self.answer(200, file.read_bytes(), **self.told(file))
            return
        data, status, more = file.read_bytes(), 200, self.told(file)
        if self.signal and self.count("wrong"):
            data = data[:-1] + bytes([data[-1] ^ 255])
        first, _, _ = self.headers.get("Range", "").removeprefix("bytes=").partition("-")
        if first and self.behaviour.get("ranges"):
            status, more = 206, {**more, "Content-Range": f"bytes {first}-{len(data) - 1}/{len(data)}"}
            data = data[int(first) :]
        if self.signal and self.count("cut"):
            self.answer(status, data, send=len(data) // 2, **more)
            self.close_connection = True
        else:
            self.answer(status, data, **more)

    def told(self, file: Path) -> dict[str, str]:
        status = file.stat()
        if self.behaviour.get("etags"):
            return {"ETag": f'"{status.st_mtime_ns:x}-{status.st_size:x}"'}
        return {}


class TreeHub(Hub):
    """The hub's API for the repository `labs/eeg` at one commit, with the hashes that the hub gives."""

    COMMIT = "c" * 40

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        path = urllib.parse.unquote(path).replace(f"/{self.COMMIT}", "/main")
        if path in ("/api/datasets/labs/eeg", "/api/datasets/labs/eeg/revision/main"):
            about = {"id": "labs/eeg", "sha": self.COMMIT, "siblings": [], "private": False, "tags": [], "downloads": 0}
            self.json(about)
        elif path.startswith("/api/datasets/labs/eeg/tree/main"):
            folder = self.folder / path.removeprefix("/api/datasets/labs/eeg/tree/main").lstrip("/")
            found = sorted(folder.rglob("*") if "recursive=true" in query.lower() else folder.iterdir())
            self.json([self.entry(p) for p in found])
        elif path.startswith("/datasets/labs/eeg/resolve/main/"):
            self.serve(path.removeprefix("/datasets/labs/eeg/resolve/main"))
        else:
            self.answer(404, b"{}", **{"X-Error-Code": "RepoNotFound"})

    def entry(self, path: Path) -> dict[str, object]:
        name = path.relative_to(self.folder).as_posix()
        if path.is_dir():
            return {"type": "directory", "path": name, "oid": "0" * 40, "size": 0}
        data = path.read_bytes()
        oid = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
        plain = {"type": "file", "path": name, "oid": oid, "size": len(data)}
        if path.suffix in (".edf", ".eeg"):
            large = {"oid": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 130}
            return {**plain, "oid": "1" * 40, "lfs": large}
        return plain
