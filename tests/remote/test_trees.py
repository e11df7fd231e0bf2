"""BIDS data sets at an address: listed, planned from names, fetched recording by recording, verified."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.remote_trees import Pages, TreeHub, s3_server, upload, write_tree
from support.web_servers import serving

from eegprep import datasets
from eegprep.errors import InputError, RefusedError, UsageError
from eegprep.files import PART
from eegprep.ingest import ingest, inspect
from eegprep.ingest.draft_remote import draft_remote
from eegprep.ingest.selection import Selection
from eegprep.manifest import parse_manifest
from eegprep.manifest.lock import read_lock
from eegprep.remote import listing as listing_module
from eegprep.remote import transport
from eegprep.remote.listing import list_files, resolve
from eegprep.remote.mirror import open_mirror
from eegprep.remote.share import build_to
from eegprep.shards import build_shard_set
from eegprep.sources import open_source
from eegprep.sources.description import manifest_for_mirror
from eegprep.sources.locate import find_argument
from eegprep.store import Store

pytest.importorskip("s3fs")
pytest.importorskip("moto.server")
SIGNAL = (".edf", ".eeg")


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    return write_tree(tmp_path_factory.mktemp("bids") / "ds900001")


@pytest.fixture(scope="module")
def s3():
    with s3_server() as (endpoint, client):
        yield endpoint, client


@pytest.fixture
def bucket(s3, tree, tmp_path, monkeypatch):
    """The data set in a bucket with versions, under OpenNeuro's name, and a cache of the test's own."""
    endpoint, client = s3
    client.create_bucket(Bucket="openneuro.org")
    client.put_bucket_versioning(Bucket="openneuro.org", VersioningConfiguration={"Status": "Enabled"})
    upload(client, tree, "openneuro.org", "ds900001")
    monkeypatch.setenv("EEGPT_S3_ENDPOINT", endpoint)
    yield client
    for page in client.list_object_versions(Bucket="openneuro.org").get("Versions", []):
        client.delete_object(Bucket="openneuro.org", Key=page["Key"], VersionId=page["VersionId"])
    for marker in client.list_object_versions(Bucket="openneuro.org").get("DeleteMarkers", []):
        client.delete_object(Bucket="openneuro.org", Key=marker["Key"], VersionId=marker["VersionId"])
    client.delete_bucket(Bucket="openneuro.org")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("EEGPT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(transport, "FIRST_WAIT_S", 0.01)


def signals_in(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.rglob("*") if p.suffix in SIGNAL)


def stored(out: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in sorted((out / "recordings").iterdir())}


@pytest.fixture(scope="module")
def local(tree, tmp_path_factory):
    """The store of the same files from the disk."""
    out = tmp_path_factory.mktemp("local") / "store"
    with serving(Pages, tree, etags=True) as (address, _, _), pytest.MonkeyPatch.context() as patch:
        patch.setenv("EEGPT_CACHE", str(out.parent / "cache"))
        manifest = manifest_for_mirror(open_mirror(address))
    manifest = manifest.model_copy(update={"name": "ds900001", "anonymous_subjects": True})
    ingest(manifest, tree, out, workers=0)
    return out


def test_bucket_becomes_the_same_store(bucket, local, tmp_path):
    """From a bucket as from the disk, and nothing is left but side-cars."""
    manifest, folder = find_argument("openneuro:ds900001")
    assert (manifest.name, manifest.version, manifest.licence.id) == ("ds900001", "1.0.2", "CC0-1.0")
    assert not signals_in(folder)
    summary = ingest(manifest, folder, tmp_path / "store", workers=2)
    assert summary.exit_code == 0
    assert summary.recordings == 4
    assert not signals_in(folder)
    assert Store.open(tmp_path / "store").ids() == Store.open(local).ids()
    for name, data in stored(tmp_path / "store").items():
        if name.endswith(".json"):
            assert json.loads(data)["signal_sha256"] == json.loads(stored(local)[name])["signal_sha256"]


def test_lock_has_versions_and_hashes(bucket, tmp_path, tree):
    """Every file of every recording with the version id of the bucket, its size and its MD5."""
    manifest, folder = find_argument("openneuro:ds900001")
    ingest(manifest, folder, tmp_path / "store", workers=0)
    stage = read_lock(tmp_path / "store").stages[0]
    assert stage.parameters["address"] == "s3://openneuro.org/ds900001"
    name = "sub-02/eeg/sub-02_task-hands_eeg.edf"
    head = bucket.head_object(Bucket="openneuro.org", Key=f"ds900001/{name}")
    file = stage.fetched[name]
    assert (file.version, file.n_bytes) == (head["VersionId"], (tree / name).stat().st_size)
    assert file.digest == f"md5:{head['ETag'].strip(chr(34))}"
    assert {"sub-01/eeg/sub-01_task-rest_eeg.eeg", "task-hands_eeg.json"} <= stage.fetched.keys()


@pytest.mark.parametrize("behaviour", [{"etags": True, "ranges": True}, {}, {"cut": 3, "ranges": True}, {"cut": 2}],
                         ids=["etags", "plain", "cut, ranges", "cut, no ranges"])  # fmt: skip
def test_web_pages_become_the_same_store(tree, local, tmp_path, behaviour):
    with serving(Pages, tree, **behaviour) as (address, left, log):
        manifest, folder = find_argument(address)
        manifest = manifest.model_copy(update={"name": "ds900001", "anonymous_subjects": True})
        summary = ingest(manifest, folder, tmp_path / "store", workers=0)
        assert (summary.exit_code, summary.recordings) == (0, 4)
        assert not left.get("cut")
        assert not [p for p in log if "derivatives/" in p and not p.endswith("/derivatives/")]
    for name, data in stored(tmp_path / "store").items():
        if name.endswith(".json"):
            assert json.loads(data)["signal_sha256"] == json.loads(stored(local)[name])["signal_sha256"]


def test_plan_needs_no_signal(bucket, tree):
    """Plan and entries equal those of the local folder, without a byte of signal."""
    manifest, folder = find_argument("s3://openneuro.org/ds900001")
    source = open_source(manifest, folder)
    here = open_source(manifest, tree)
    assert [(p.key, p.files, p.n_bytes) for p in source.plan()] == [(p.key, p.files, p.n_bytes) for p in here.plan()]
    assert [(e.path, e.code) for e in source.entries()] == [(e.path, e.code) for e in here.entries()]
    assert not signals_in(folder)


def test_selection_takes_a_part(bucket, tmp_path):
    manifest, folder = find_argument("openneuro:ds900001")
    taken = [
        (Selection(subjects=("sub-02", "03")), ["02", "03"]),
        (Selection(tasks=("rest",)), ["01"]),
        (Selection(limit_hours=0.017), ["01", "01"]),
        (Selection(limit_hours=0.0), ["01"]),
    ]
    for selection, subjects in taken:
        planned, entries = selection.apply(open_source(manifest, folder))
        assert [p.subject for p in planned] == subjects
        assert sum(e.code == "recording" for e in entries) == len(subjects)
    for selection in (Selection(subjects=("7",)), Selection(tasks=("hand",))):
        with pytest.raises(UsageError, match=r"unknown subject '7'|no recording of task 'hand'"):
            selection.apply(open_source(manifest, folder))
    summary = ingest(manifest, folder, tmp_path / "store", workers=0, selection=Selection(subjects=("02",)))
    assert summary.recordings == 1
    assert list(read_lock(tmp_path / "store").stages[0].fetched) == [
        "sub-02/eeg/sub-02_task-hands_channels.tsv", "sub-02/eeg/sub-02_task-hands_eeg.edf",
        "sub-02/eeg/sub-02_task-hands_events.tsv", "task-hands_eeg.json",
    ]  # fmt: skip


def test_cache_bounds_files_in_use(bucket, tmp_path, tree, monkeypatch):
    """Room for one recording and three workers: they wait for each other; without room, the error says so."""
    largest = max(p.stat().st_size for p in tree.rglob("*_eeg.*"))
    monkeypatch.setenv("EEGPT_CACHE_BYTES", str(largest + 10))
    manifest, folder = find_argument("openneuro:ds900001")
    assert ingest(manifest, folder, tmp_path / "store", workers=3).exit_code == 0
    monkeypatch.setenv("EEGPT_CACHE_BYTES", str(largest - 10))
    summary = ingest(manifest, folder, tmp_path / "second", workers=0)
    assert summary.exit_code == 1
    assert {e["what"] for e in summary.failed.values()} == {"a recording is larger than the cache"}


def test_killed_run_resumes(bucket, tmp_path):
    """After kill -9 nothing finished is fetched again, and the files of the killed run are gone."""
    manifest, folder = find_argument("openneuro:ds900001")
    ingest(manifest, folder, tmp_path / "store", workers=0, selection=Selection(subjects=("01",)))
    stamps = {p: p.stat().st_mtime_ns for p in (tmp_path / "store/recordings").iterdir()}
    code = (
        "import sys, os, signal; from pathlib import Path; from eegprep.remote.mirror import Mirror;"
        "m = Mirror(Path(sys.argv[1])); m.fetch('k', ['sub-02/eeg/sub-02_task-hands_eeg.edf']);"
        "print('held', flush=True); os.kill(os.getpid(), 9)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=False)
    assert "held" in done.stdout
    assert signals_in(folder) == ["sub-02_task-hands_eeg.edf"]
    manifest, folder = find_argument("openneuro:ds900001")
    assert not signals_in(folder)
    summary = ingest(manifest, folder, tmp_path / "store", workers=0)
    assert (summary.recordings, summary.done_before) == (4, 2)
    assert {p: p.stat().st_mtime_ns for p in stamps} == stamps


def test_part_of_a_file_is_continued(tree, tmp_path):
    """A part that a killed process left is not fetched again."""
    name = "sub-01/eeg/sub-01_task-hands_eeg.edf"
    with serving(Pages, tree, etags=True, ranges=True, cut=100) as (address, behaviour, _):
        mirror = open_mirror(address)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(transport, "ATTEMPTS", 1)
            with pytest.raises(InputError, match="cannot be downloaded"):
                mirror.fetch("k", [name])
        behaviour["cut"] = 0
        # How much arrives before the connection is closed depends on the moment: the part is the first half.
        for left in mirror.folder.rglob(f".*{PART}"):
            left.unlink()
        identity = mirror.files[name].identity
        own = hashlib.sha256((Path(name).name + identity).encode()).hexdigest()[:16]
        part = (mirror.folder / name).with_name(f".{own}{PART}")
        part.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes((tree / name).read_bytes()[: (tree / name).stat().st_size // 2])
        received = []
        mirror.fetch("k", [name], lambda _, n: received.append(n))
        size = (tree / name).stat().st_size
        assert (mirror.folder / name).read_bytes() == (tree / name).read_bytes()
        assert sum(received) <= size - size // 2


def test_wrong_bytes_are_refused(bucket, tree, tmp_path):
    """Two downloads with another MD5 than the bucket says, and a file that is larger than listed."""
    mirror = open_mirror("openneuro:ds900001")
    name = "sub-01/eeg/sub-01_task-hands_eeg.edf"
    true = mirror.files[name]
    for update, match in (({"digest": "md5:" + "0" * 32}, "does not match the one"), ({"n_bytes": 100}, "has changed")):
        mirror.files[name] = type(true)(**{**true.__dict__, **update})
        with pytest.raises(RefusedError, match=match):
            mirror.fetch("k", [name])
        assert not signals_in(mirror.folder)
        assert not list(mirror.folder.rglob("*.part"))


def test_hash_list_of_the_data_set_is_used(tree, tmp_path):
    """A web server gives no hashes, but the data set has a list of them: one wrong byte is fetched again."""
    import shutil

    root = tmp_path / "tree"
    shutil.copytree(tree, root)
    files = [p for p in root.rglob("*") if p.is_file()]
    lines = [f"{hashlib.sha256(p.read_bytes()).hexdigest()}  {p.relative_to(root).as_posix()}" for p in files]
    (root / "SHA256SUMS.txt").write_text("\n".join(lines) + "\n")
    name = "sub-01/eeg/sub-01_task-hands_eeg.edf"
    with serving(Pages, root, wrong=1) as (address, behaviour, _):
        mirror = open_mirror(address)
        mirror.fetch("k", [name])
        assert (mirror.folder / name).read_bytes() == (root / name).read_bytes()
        mirror.release("k")
        behaviour["wrong"] = 2
        with pytest.raises(RefusedError, match=r"hash of .* does not match"):
            mirror.fetch("k", [name])


def test_changed_version_is_still_fetched(bucket, tree):
    """In a bucket with versions the listed version is read, also after a new one or a deletion."""
    mirror = open_mirror("openneuro:ds900001")
    names = ["sub-01/eeg/sub-01_task-hands_eeg.edf", "sub-02/eeg/sub-02_task-hands_eeg.edf"]
    bucket.put_object(Bucket="openneuro.org", Key=f"ds900001/{names[0]}", Body=b"other", ACL="public-read")
    bucket.delete_object(Bucket="openneuro.org", Key=f"ds900001/{names[1]}")
    mirror.fetch("k", names)
    assert all((mirror.folder / n).read_bytes() == (tree / n).read_bytes() for n in names)
    mirror.release("k")
    assert names[1] not in open_mirror("openneuro:ds900001").files


def test_changes_under_way_cost_one_recording(tree, tmp_path):
    """Without versions: a file that changed or vanished after the list is refused, the others are stored."""
    import shutil

    root = tmp_path / "tree"
    shutil.copytree(tree, root)
    with serving(Pages, root, etags=True) as (address, _, _):
        manifest, folder = find_argument(address)
        changed = root / "sub-02/eeg/sub-02_task-hands_eeg.edf"
        data = changed.read_bytes()
        changed.write_bytes(data[:5000] + b"\x01\x02" + data[5002:])
        (root / "sub-03/eeg/sub-03_task-hands_eeg.edf").unlink()
        summary = ingest(manifest, folder, tmp_path / "store", workers=0)
        assert (summary.recordings, summary.exit_code) == (2, 1)
        reasons = sorted(str(e["what"]) for e in summary.failed.values())
        assert "has changed at the address" in reasons[0]
        assert "is missing at the address" in reasons[1]
        again, folder_again = find_argument(address)
        assert folder_again != folder
        summary = ingest(again, folder_again, tmp_path / "store", workers=0, selection=Selection(subjects=("01", "02")))
        assert (summary.recordings, summary.done_before) == (3, 2)


def test_inspect_reads_an_address(bucket):
    manifest, folder = find_argument("openneuro:ds900001")
    found = inspect(manifest, folder, workers=0, selection=Selection(subjects=("01",)))
    assert [r.usable for r in found.recordings] == [True, True]
    assert found.seen["events"] == {"left": 3, "right": 3, "1": 1, "2": 1} or found.seen["events"]["left"] == 3
    assert not signals_in(folder)


def test_offline_is_one_error_in_seconds(monkeypatch):
    monkeypatch.setenv("EEGPT_S3_ENDPOINT", "http://127.0.0.1:9")
    for word in ("openneuro:ds002718", "http://127.0.0.1:9/tree"):
        begun = time.monotonic()
        with pytest.raises(UsageError, match="no connection"):
            find_argument(word)
        assert time.monotonic() - begun < 15


@pytest.mark.parametrize(
    ("word", "text"),
    [
        ("openneuro:2718", "not the id of a data set"),
        ("openneuro:ds002718@1.0.5", "latest release only"),
        ("http://example.org/tree", "invalid address"),
        ("https://me:secret@example.org/tree", "contains a password"),
        ("s3://openneuro.org/ds999999", "no files at this address"),
        ("s3://no-such-bucket-here/x", "no data set at this address"),
    ],
)
def test_wrong_addresses_say_what_is_wrong(bucket, word, text):
    with pytest.raises(UsageError, match=text):
        find_argument(word)


def test_names_for_addresses():
    assert resolve("openneuro:ds002718") == ("s3://openneuro.org/ds002718", "")
    assert resolve("nemar:nm000132@v1.0.1") == ("https://data.nemar.org/nm000132", "v1.0.1")
    assert resolve("s3:/bucket/prefix/") == ("s3://bucket/prefix", "")


@pytest.mark.parametrize("name", ["../x_eeg.edf", "a//b.edf", "C:/x.edf", "a\\b.edf", "a\nb.edf"])
def test_names_that_are_no_paths_are_refused(s3, monkeypatch, name):
    endpoint, client = s3
    client.create_bucket(Bucket="hostile")
    monkeypatch.setenv("EEGPT_S3_ENDPOINT", endpoint)
    listed = listing_module.ListedFile(path=name, n_bytes=1)
    monkeypatch.setattr(
        listing_module, "_of_s3", lambda address, options: listing_module.Listing(address=address, files=(listed,))
    )
    try:
        with pytest.raises(RefusedError, match="a name that is no path"):
            list_files("s3://hostile/x")
    finally:
        client.delete_bucket(Bucket="hostile")


def test_draft_has_the_real_event_counts(bucket, tmp_path):
    """Licence, citation, DOI, subjects and tasks with their counts, without a byte of signal; the draft is ingested."""
    mirror = open_mirror("openneuro:ds900001")
    text = draft_remote(mirror)
    assert not signals_in(mirror.folder)
    for told in (
        "licence: {id: CC0-1.0, share_shards: true, commercial_use: true}",
        'doi: "10.18112/openneuro.ds900001.v1.0.2"',
        "line_freq_hz: 50  # stated by 4 of 4 recordings",
        "source: {kind: bids, base: 's3://openneuro.org/ds900001'}",
        "# task hands: 3 recordings",
        '#?         "left": "left"  # 9 in 3 of 3 recordings',
        "expect: {subjects: 3, recordings: 4}",
    ):
        assert told in text
    answered = tmp_path / "ours.yaml"
    answered.write_text("\n".join(line.removeprefix("#? ") for line in text.splitlines()))
    manifest, folder = find_argument(str(answered))
    assert [t.name for t in manifest.tasks] == ["ds900001_hands"]
    summary = ingest(manifest, folder, tmp_path / "store", workers=0)
    assert summary.trials == {"ds900001_hands": 18}


def test_draft_keeps_an_unknown_licence(tree, tmp_path):
    """A licence that is not known is kept as it is written, and shards are not shared."""
    import shutil

    root = tmp_path / "tree"
    shutil.copytree(tree, root)
    said = json.loads((root / "dataset_description.json").read_text())
    (root / "dataset_description.json").write_text(json.dumps({**said, "License": "Ask: the lab, {first}"}))
    with serving(Pages, root) as (address, _, _):
        text = draft_remote(open_mirror(address))
        manifest = manifest_for_mirror(open_mirror(address))
    assert manifest.licence.id == "Ask: the lab, {first}"
    assert not manifest.licence.share_shards
    parsed = parse_manifest("\n".join(x for x in text.splitlines() if not x.startswith("#")))
    assert parsed.licence == manifest.licence


def test_load_takes_an_address(bucket):
    recordings = datasets.load("openneuro:ds900001", subjects=["02"], workers=0)
    assert list(recordings) == ["ds900001/02/-/task-hands"]
    assert recordings["ds900001/02/-/task-hands"].signal_uv.values.shape[0] == 6
    assert recordings.trials() == []


def test_load_takes_events_as_trials(bucket, tree):
    """Of a data set at an address and of the same files on the disk: texts of events are labels, of a stated length."""
    for name in ("openneuro:ds900001", str(tree)):
        recordings = datasets.load(name, tasks=["hands"], event_length_s=2, workers=0)
        assert len(recordings.trials("hands")) == 18
        window, trial = next(recordings.windows("hands"))
        assert (window.shape, trial.label) == ((6, 512), "left")
    with pytest.raises(UsageError, match="without tasks"):
        datasets.load("eegmat_sample", event_length_s=1)


def test_releases_of_nemar(tree, tmp_path, monkeypatch):
    """The manifest of a release names sizes, hashes and addresses, which may be on other servers."""
    root = tmp_path / "web"
    (root / "nm000900").mkdir(parents=True)
    (root / "files").symlink_to(tree)
    with serving(Pages, root) as (address, _, _):
        entries = []
        for path in sorted(p for p in tree.rglob("*") if p.is_file()):
            name, data = path.relative_to(tree).as_posix(), path.read_bytes()
            git = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
            hashed = {"checksum_algorithm": "git", "checksum": git}
            if path.suffix in SIGNAL:
                hashed = {"checksum_algorithm": "sha256", "checksum": hashlib.sha256(data).hexdigest()}
            entries.append({"path": name, "size": len(data), "url": f"{address}/files/{name}", **hashed})
        (root / "nm000900/v1.0.1").write_text(json.dumps({"files": entries}))
        index = {"latest": "v1.0.1", "versions": [{"version": "v1.0.1", "manifest_url": f"{address}/nm000900/v1.0.1"}]}
        (root / "nm000900/index.json").write_text(json.dumps(index))
        monkeypatch.setattr(listing_module, "NEMAR", address)
        monkeypatch.setattr(Pages, "index", "index.json", raising=False)
        manifest, folder = find_argument("nemar:nm000900")
        assert manifest.version == "1.0.1"
        summary = ingest(manifest, folder, tmp_path / "store", workers=0, selection=Selection(subjects=("01",)))
        assert summary.recordings == 2
        fetched = read_lock(tmp_path / "store").stages[0].fetched
        assert {f.version for f in fetched.values()} == {"v1.0.1"}
        assert {f.digest.split(":")[0] for f in fetched.values()} == {"git", "sha256"}
        with pytest.raises(UsageError, match="no such release"):
            find_argument("nemar:nm000900@v2.0.0")


def test_shards_go_to_an_address(bucket, local, tmp_path):
    """Built electrode by electrode into a bucket: the bytes of a local build, and no shard on this machine."""
    out, here = "s3://openneuro.org/shards", tmp_path / "shards"
    build_shard_set([local], here)
    allowed = {"endpoint_url": os.environ["EEGPT_S3_ENDPOINT"], "key": "test", "secret": "test"}
    seen = []

    def report(electrode, done, total):
        seen.append(len(list((tmp_path / "cache/building").rglob("*.tar"))))
        if len(seen) == 3 and done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_to([local], out, options=allowed, progress=report)
    summary = build_to([local], out, options=allowed, progress=lambda *_: seen.append(0))
    assert summary.n_electrodes == 6
    assert seen[3:] == [0, 0, 0]
    assert not list((tmp_path / "cache/building").rglob("*.tar"))
    for path in sorted(p for p in here.rglob("*") if p.is_file()):
        name = path.relative_to(here).as_posix()
        assert bucket.get_object(Bucket="openneuro.org", Key=f"shards/{name}")["Body"].read() == path.read_bytes()
    with pytest.raises(RefusedError, match="complete shard set"):
        build_to([local], out, options=allowed)


def test_large_data_set_goes_in_parts(bucket, local, tmp_path):
    """Ingest a part, shard it to an address, delete its store: all parts together hold what one set of shards holds."""
    from eegprep.remote import open_shards
    from eegpt.data import WindowIndex

    bucket.create_bucket(Bucket="lab")
    options = {"key": "test", "secret": "test", "endpoint_url": os.environ["EEGPT_S3_ENDPOINT"]}
    manifest, folder = find_argument("openneuro:ds900001", None)
    for number, subjects in enumerate([("01",), ("02", "03")]):
        store = tmp_path / "part"
        ingest(manifest, folder, store, workers=0, selection=Selection(subjects=subjects))
        build_to([store], f"s3://lab/parts/{number}", options=options, sync=False)
        shutil.rmtree(store)
    parts = [open_shards(f"s3://lab/parts/{number}", options=options) for number in range(2)]
    whole = open_shards(build_shard_set([local], tmp_path / "whole", sync=False).path)
    for one in (name for part in parts for name in part):
        part = next(p for p in parts if one in p)
        assert part[one].signal_uv.equals(whole[one].signal_uv)
    assert sorted(i for part in parts for i in part.ids()) == sorted(whole.ids())
    assert len(WindowIndex(parts, n_samples=256, stride=256).recording_ids) >= 2  # read together
    assert not [p for p in (tmp_path / "cache" / "trees").rglob("*") if p.suffix in SIGNAL]


def test_shards_of_a_closed_licence_stay(local, tmp_path):
    shutil.copytree(local, tmp_path / "store")
    manifest = tmp_path / "store/manifest.yaml"
    manifest.write_text(manifest.read_text().replace("share_shards: true", "share_shards: false"))
    with pytest.raises(RefusedError, match="must not be shared"):
        build_to([tmp_path / "store"], "s3://openneuro.org/closed")


def test_hub_repository_becomes_a_store(tree, tmp_path):
    """Files are read at the commit of the listing, with the hub's SHA-256 of large files and git's of others."""
    with serving(TreeHub, tree) as (address, _, _):
        # The hub's client reads the address of the hub once, when it is imported.
        code = (
            "import sys; from pathlib import Path; from eegprep.ingest import ingest;"
            "from eegprep.ingest.selection import Selection; from eegprep.sources.locate import find_argument;"
            "m, f = find_argument('hf://datasets/labs/eeg');"
            "s = ingest(m, f, Path(sys.argv[1]), workers=0, selection=Selection(tasks=('hands',)));"
            "print(s.recordings, s.exit_code)"
        )
        done = subprocess.run(
            [sys.executable, "-c", code, str(tmp_path / "store")], capture_output=True, text=True, check=False,
            env={**os.environ, "HF_ENDPOINT": address, "HF_HOME": str(tmp_path / "hf"), "HF_TOKEN": ""},
        )  # fmt: skip
    assert done.stdout.split() == ["3", "0"], done.stderr[-2000:]
    fetched = read_lock(tmp_path / "store").stages[0].fetched
    assert {f.version for f in fetched.values()} == {TreeHub.COMMIT}
    assert {f.digest.partition(":")[0] for f in fetched.values()} == {"git", "sha256"}
