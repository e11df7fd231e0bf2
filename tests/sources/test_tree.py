"""What happens to each entry of a tree: everything is accounted for once, and nothing ends the planning."""

from __future__ import annotations

import io
import json
import os
import shutil
import socket
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import mne
import numpy as np
import pytest
from support.commands import run_command

from eegprep.errors import UsageError, printable
from eegprep.sources import manifest_for_path, open_source
from eegprep.sources.base import Source
from eegprep.sources.entry import Code, Kind, count_files
from eegprep.sources.tree import scan

NIHON = b"EEG-1100C V01.00".ljust(1024, b"\0")


def n_in(folder: Path) -> int:
    """Files, links and special files under a folder, as the file system has them."""
    return sum(len(files) + sum((Path(at) / f).is_symlink() for f in folders) for at, folders, files in os.walk(folder))


def codes(source: Source) -> dict[str, str]:
    source.plan()
    return {e.path: str(e.code) for e in source.entries()}


def implicit(folder: Path) -> Source:
    return open_source(manifest_for_path(folder), folder)


def command(*arguments: object, unprivileged: bool = False) -> subprocess.CompletedProcess[str]:
    """Run the command line; `unprivileged` takes root's right to read everything away, in a process of its own."""
    if not unprivileged:
        return run_command("eegprep", *arguments)
    line = [sys.executable, "-m", "_eegpt_cli.prep", *map(str, arguments)]
    if os.geteuid() == 0:
        if shutil.which("setpriv") is None:
            pytest.skip("needs setpriv to run without root's rights")
        rights = "-dac_override,-dac_read_search"
        line = ["setpriv", "--bounding-set", rights, "--inh-caps", rights, *line]
    return subprocess.run(line, capture_output=True, text=True, check=False, timeout=180)


@pytest.fixture
def locked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names that begin with `locked` can't be opened or listed, by root neither."""

    def guarded(function: Callable) -> Callable:
        def call(path: object, *arguments: object, **options: object) -> object:
            if isinstance(path, str | os.PathLike) and os.path.basename(os.fspath(path)).startswith("locked"):  # noqa: PTH119
                raise PermissionError(13, "Permission denied", str(path))
            return function(path, *arguments, **options)

        return call

    monkeypatch.setattr(os, "open", guarded(os.open))
    monkeypatch.setattr(os, "listdir", guarded(os.listdir))


@pytest.fixture
def edf(made, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return made["edf"](tmp_path_factory.mktemp("edf") / "x.edf", made["eeg_uv"](6, 400)).read_bytes()


def raw_fif(made, names, n_samples: int = 800) -> mne.io.RawArray:
    info = mne.create_info(list(names), 200.0, "eeg")
    return mne.io.RawArray(made["eeg_uv"](len(names), n_samples) * 1e-6, info, verbose="CRITICAL")


def write_fif_kinds(folder: Path, raw: mne.io.RawArray) -> dict[str, str]:
    """FIF files that are no recordings, and epochs, which are one; codes by name."""
    quiet = {"verbose": "CRITICAL", "overwrite": True}
    epochs = mne.make_fixed_length_epochs(raw, duration=1.0, preload=True, verbose="CRITICAL")
    epochs.average().save(folder / "x-ave.fif", **quiet)
    epochs.average().save(folder / "x-average-renamed.fif", **quiet)
    epochs.save(folder / "x-epo.fif", **quiet)
    mne.compute_covariance(epochs, verbose="CRITICAL").save(folder / "x-cov.fif", **quiet)
    mne.write_proj(folder / "x-proj.fif", mne.compute_proj_raw(raw, n_eeg=1, verbose="CRITICAL"), **quiet)
    mne.write_events(folder / "other-eve.fif", epochs.events, **quiet)
    mne.write_events(folder / "packed-eve.fif.gz", epochs.events, **quiet)
    raw.set_annotations(mne.Annotations([1.0], [0.5], ["x"])).annotations.save(folder / "x-annot.fif", **quiet)
    source_space = mne.setup_volume_source_space(sphere=(0.0, 0.0, 0.0, 0.09), pos=50.0, verbose="CRITICAL")
    source_space.save(folder / "x-src.fif", **quiet)
    mne.Transform("head", "mri").save(folder / "x-trans.fif", **quiet)
    others = (
        "x-cov.fif",
        "x-proj.fif",
        "other-eve.fif",
        "packed-eve.fif.gz",
        "x-annot.fif",
        "x-src.fif",
        "x-trans.fif",
    )
    averages = dict.fromkeys(("x-ave.fif", "x-average-renamed.fif"), "average")
    return {**averages, **dict.fromkeys(others, "other_content"), "x-epo.fif": "recording"}


def packed(kind: str, content: bytes) -> bytes:
    out = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(out, "w") as archive:
            archive.writestr("a/good.edf", content)
    else:
        with tarfile.open(fileobj=out, mode=f"w:{kind}") as archive:
            member = tarfile.TarInfo("a/good.edf")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return out.getvalue()


@pytest.fixture
def every_kind(made, names, tmp_path: Path, edf: bytes, locked: None) -> Iterator[tuple[Path, dict[str, str]]]:
    """A tree with an entry of every kind, and the code that each has to get without a manifest."""
    lab, outside = tmp_path / "lab", tmp_path / "outside.edf"
    outside.write_bytes(edf)
    want: dict[str, str] = {}

    def put(name: str, content: bytes, code: str) -> Path:
        path = lab / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        want[name] = code
        return path

    def link(name: str, target: object, code: str) -> None:
        (lab / name).parent.mkdir(parents=True, exist_ok=True)
        (lab / name).symlink_to(target)
        want[name] = code

    put("a/good.edf", edf, "recording")
    put("a/GOOD.EDF", edf, "recording")
    put("a/Good.edf", edf, "recording")
    put("cut.edf", edf[:900], "recording")  # its reader refuses it
    put("empty.edf", b"", "recording")
    put(os.fsdecode(b"M\xfcller.edf"), edf, "recording")
    put("line\nbreak\tand\x1b[31m.edf", edf, "recording")
    put("notes.txt", b"a note", "foreign")
    put("empty", b"", "foreign")
    put("photo.jpg", b"\xff\xd8\xff\xe0", "foreign")
    put("array.npy", b"\x93NUMPY\x01\x00", "needs_manifest")
    put("people.tsv", b"id\n1\n", "sidecar")
    put("letter.docx", packed("zip", b"").replace(b"a/good.edf", b"word/x.xml"), "foreign")
    for number, kind in enumerate(("zip", "", "gz", "bz2", "xz")):
        put(f"archive{number}.bin", packed(kind, edf), "archive")
    put("archive5.bin", b"7z\xbc\xaf\x27\x1c\x00\x04", "archive")
    put("archive6.bin", b"Rar!\x1a\x07\x01\x00", "archive")
    put("archive7.ZIP.002", b"the rest of an archive", "archive")
    put("empty.zip", b"", "foreign")
    put("unlocked.edf", b"/annex/objects/MD5E-s1--y.edf\n", "not_fetched")
    put("pointer.edf", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "not_fetched")
    put("locked.edf", edf, "unreadable")
    put("lockedfolder/x.edf", edf, "")
    want.pop("lockedfolder/x.edf")
    want["lockedfolder"] = "unreadable"
    link("self", "self", "link_loop")
    link("one", "two", "link_loop")
    link("two", "one", "link_loop")
    link("nowhere.edf", "not/here.edf", "link_nowhere")
    link("through.edf", "good.edf/x", "link_nowhere")
    link("annexed.edf", ".git/annex/objects/aa/bb/MD5E-s1--z.edf/MD5E-s1--z.edf", "not_fetched")
    link("outside.edf", outside, "link_outside")
    link("outsidefolder", tmp_path, "link_outside")
    link("chain.edf", "outside.edf", "link_outside")
    link("circle", lab, "linked_folder")
    link("same.edf", lab / "a" / "good.edf", "recording")
    os.mkfifo(lab / "pipe.edf")
    os.mkfifo(lab / "pipe")
    want |= {"pipe.edf": "not_a_file", "pipe": "special"}
    listener = socket.socket(socket.AF_UNIX)
    at = Path.cwd()
    os.chdir(lab)  # the name of a socket may be no longer than 107 bytes
    listener.bind("socket")
    os.chdir(at)
    want["socket"] = "special"
    for name in (".git/annex/objects/x/y", ".git/config", ".DS_Store", "a/._good.edf", ".datalad/config"):
        put(name, b"x", "")
        want.pop(name)
    want |= {".git": "hidden", ".datalad": "hidden", ".DS_Store": "hidden", "a/._good.edf": "hidden"}
    want |= write_fif_kinds(lab, raw_fif(made, names))
    raw_fif(made, names).save(lab / "r_raw.fif", verbose="CRITICAL")
    put("r-eve.fif", (lab / "other-eve.fif").read_bytes(), "sidecar")
    want["r_raw.fif"] = "recording"
    raw_fif(made, names, 240_000).save(lab / "long_raw.fif", split_size="2MB", verbose="CRITICAL")
    raw_fif(made, names, 240_000).save(lab / "lost_raw.fif", split_size="2MB", verbose="CRITICAL")
    (lab / "lost_raw-1.fif").unlink()
    want |= {p.name: "sidecar" for p in lab.glob("long_raw-*.fif")}
    want |= {p.name: "part_missing" for p in lab.glob("lost_raw*.fif")}
    want["long_raw.fif"] = "recording"
    for suffix in ("EEG", "LOG", "PNT", "21E", "CMT", "CN2"):
        put(f"nk/XX.{suffix}", NIHON, "recording" if suffix == "EEG" else "sidecar")
    made["brainvision"](lab, "bv", made["eeg_uv"](6, 400))
    want |= {"bv.vhdr": "recording", "bv.eeg": "sidecar"}
    made["brainvision"](lab, "lost", made["eeg_uv"](6, 400))
    (lab / "lost.eeg").unlink()
    link("lost.eeg", ".git/annex/objects/aa/bb/MD5E-s1--l.eeg/MD5E-s1--l.eeg", "not_fetched")
    want["lost.vhdr"] = "sidecar_refused"
    for name, history, code in (("net.mff", b"Recording", "recording"), ("mean.mff", b"Averaging", "average")):
        put(f"{name}/history.xml", b"<history><method>" + history + b"</method></history>", "")
        put(f"{name}/signal1.bin", b"", "")
        want = {k: v for k, v in want.items() if not k.startswith(f"{name}/")} | {name: code}
    put("gone.mff/info.xml", b"", "")
    link("gone.mff/signal1.bin", "../.git/annex/objects/q", "")
    put("piped.mff/info.xml", b"", "")
    os.mkfifo(lab / "piped.mff" / "signal1.bin")
    want = {k: v for k, v in want.items() if ".mff/" not in k} | {"gone.mff": "not_fetched", "piped.mff": "not_a_file"}
    yield lab, want
    listener.close()


def test_every_entry_of_a_tree_is_named_once(every_kind: tuple[Path, dict[str, str]]) -> None:
    """Codes are as they should be, and the counts add up to what the file system holds."""
    lab, want = every_kind
    source = implicit(lab)
    assert codes(source) == want
    entries = source.entries()
    assert len(entries) == len(want)
    counts = count_files(entries)
    # the folder that can't be listed counts as one entry, and so does its only file
    assert sum(counts.values()) == n_in(lab)
    assert all(counts[kind] for kind in Kind)
    assert all(e.reason and e.todo for e in entries if e.kind is Kind.REFUSED)
    assert all(e.reason for e in entries if e.kind is not Kind.RECORDING)
    planned = {p.files[0] for p in source.plan()}
    assert planned == {e.path for e in entries if e.kind is Kind.RECORDING}
    assert len({p.key for p in source.plan()}) == len(planned)


@pytest.mark.parametrize("kind", ["files", "ts", "table", "uci", "numpy", "matlab"])
def test_every_kind_of_source_continues(every_kind: tuple[Path, dict[str, str]], made, kind: str) -> None:
    """With patterns, too: what the file system settles is the same, and every file is named."""
    lab, want = every_kind
    source = open_source(made["manifest"](source={"kind": kind, "files": ["a/{subject}.edf", "{subject}.edf"]}), lab)
    found = codes(source)
    settled = set(Code) - {Code(c) for c in ("part_missing", "sidecar_refused", "same_identity")}
    refused = {k: v for k, v in want.items() if Code(v).kind is Kind.REFUSED and Code(v) in settled}
    assert {k: v for k, v in found.items() if Code(v).kind is Kind.REFUSED} == refused
    assert sum(count_files(source.entries()).values()) == n_in(lab)
    assert {"a/good.edf", "a/Good.edf", "cut.edf"} <= {f for p in source.plan() for f in p.files}
    assert found["photo.jpg"] == "foreign"
    keys = {e.path: e.key for e in source.entries()}
    assert (keys["locked.edf"], keys["self"]) == ("locked/-/-", "")


def test_bids_tree_survives_broken_entries(made, tmp_path: Path, edf: bytes, locked: None) -> None:
    """Broken entries of a BIDS tree do not stop the rest."""
    root = tmp_path / "set"
    for subject in ("01", "02", "03", "04", "05", "06"):
        (root / f"sub-{subject}" / "eeg").mkdir(parents=True)
        (root / f"sub-{subject}/eeg/sub-{subject}_task-x_eeg.edf").write_bytes(edf)
    (root / "dataset_description.json").symlink_to(".git/annex/objects/x/y")
    (root / "sub-02/eeg/sub-02_task-x_eeg.fif").write_bytes(edf)
    for n in ("01", "03"):
        (root / f"sub-03/eeg/sub-03_task-y_split-{n}_eeg.fif").write_bytes(edf)
    (root / "sub-04/eeg/sub-04_task-x_eeg.edf").unlink()
    (root / "sub-04/eeg/sub-04_task-x_eeg.edf").symlink_to("../../.git/annex/objects/a/b")
    (root / "sub-05/eeg/sub-05_task-x_events.tsv").symlink_to(tmp_path / "nowhere")
    (root / "sub-06/eeg/sub-06_task-x_channels.tsv").write_text("name\ttype\n")
    (root / "derivatives/p").mkdir(parents=True)
    (root / "derivatives/p/sub-01_eeg.edf").symlink_to("../../.git/annex/objects/a/c")
    (root / "lockedfolder").mkdir()
    source = open_source(made["manifest"](source={"kind": "bids"}), root)
    assert [p.subject for p in source.plan()] == ["01", "03", "05", "06"]
    want = {
        "dataset_description.json": "not_fetched",
        "derivatives/p/sub-01_eeg.edf": "derivative",
        "lockedfolder": "unreadable",
        "sub-02/eeg/sub-02_task-x_eeg.edf": "same_identity",
        "sub-02/eeg/sub-02_task-x_eeg.fif": "same_identity",
        "sub-03/eeg/sub-03_task-y_split-01_eeg.fif": "part_missing",
        "sub-03/eeg/sub-03_task-y_split-03_eeg.fif": "part_missing",
        "sub-04/eeg/sub-04_task-x_eeg.edf": "not_fetched",
        "sub-05/eeg/sub-05_task-x_events.tsv": "link_nowhere",
        "sub-06/eeg/sub-06_task-x_channels.tsv": "sidecar",
    }
    assert {k: v for k, v in codes(source).items() if v != "recording"} == want
    assert {e.key for e in source.entries() if e.path.startswith("sub-04")} == {"04/-/task-x"}
    (part,) = (e for e in source.entries() if "split-01" in e.path)
    assert "split-02" in part.reason
    assert sum(count_files(source.entries()).values()) == n_in(root) + 1  # and the folder that can't be listed


def test_ingest_continues_and_exits_with_1(made, tmp_path: Path, edf: bytes) -> None:
    """Refused entries are listed with what to do, in the summary and in the store, there without their names."""
    lab = tmp_path / "lab"
    lab.mkdir()
    made["edf"](lab / "s1.edf", made["eeg_uv"](6, 4000))
    (lab / os.fsdecode(b"M\xfcller.edf")).write_bytes(
        made["edf"](tmp_path / "x", made["eeg_uv"](6, 4000, seed=5)).read_bytes()
    )
    (lab / "locked").mkdir()
    (lab / "self").symlink_to("self")
    (lab / "Secret.edf").symlink_to(".git/annex/objects/x")
    (lab / "noted.txt").write_text("x")
    (lab / "locked").chmod(0)
    try:
        here = ("--workers", "0")
        result = command("ingest", lab, "--out", tmp_path / "store", "--json", *here, unprivileged=True)
        shown = command("inspect", lab, *here, unprivileged=True)
        drafted = command("manifest", "new", lab, unprivileged=True)
    finally:
        (lab / "locked").chmod(0o755)
    assert (result.returncode, shown.returncode, drafted.returncode) == (1, 1, 1), result.stderr + shown.stderr
    told = json.loads(result.stdout)
    assert told["recordings"] == 2
    assert {e["path"]: e["code"] for e in told["refused"]} == {
        "locked": "unreadable", "self": "link_loop", "Secret.edf": "not_fetched",
    }  # fmt: skip
    assert all(e["reason"] and e["todo"] for e in told["refused"])
    assert told["files"] == {"recording": 2, "sidecar": 0, "refused": 3, "no_recording": 0, "foreign": 1}
    for text in (shown.stdout, drafted.stderr):
        for line in ("refused: locked: ", "refused: self: a circular link", "refused: Secret.edf: content not fetched"):
            assert line in text
        assert "datalad get" in text
    assert "M\\xfcller.edf" in shown.stdout
    assert "6 files: 2 of recordings, 3 refused, 1 foreign" in shown.stdout
    assert "source:" in drafted.stdout
    stored = "".join(p.read_text("latin-1") for p in (tmp_path / "store").rglob("*.json"))
    stored += (tmp_path / "store" / "lock.yaml").read_text()
    assert '"refused": 3' in stored
    assert "Secret" not in stored
    assert "ller" not in stored


def test_lost_recording_leaves_the_store(made, tmp_path: Path) -> None:
    """Like a failed recording: the rest is ingested, and what can no longer be read is removed from the store."""
    from eegprep.ingest import ingest

    lab = tmp_path / "lab"
    lab.mkdir()
    for n in (1, 2):
        made["edf"](lab / f"s{n}.edf", made["eeg_uv"](6, 4000, seed=n))
    manifest = made["manifest"](
        source={"files": ["{subject}.edf"]}, expect={"subjects": 2, "recordings": 2}, name="lab"
    )
    assert ingest(manifest, lab, tmp_path / "store", workers=0).recordings == 2
    (lab / "s1.edf").unlink()
    (lab / "s1.edf").symlink_to(".git/annex/objects/x")
    again = ingest(manifest, lab, tmp_path / "store", workers=0)
    assert (again.recordings, again.done_before, again.exit_code) == (1, 1, 1)
    assert [e.key for e in again.refused] == ["s1/-/-"]


def annexed(root: Path, edf: bytes) -> Path:
    """A DataLad clone: subject 01 is here, 02 was not fetched, 03 leads into another folder."""
    store = root / ".git/annex/objects/aa/bb"
    store.mkdir(parents=True)
    (store / "MD5E-1.edf").write_bytes(edf)
    (root / "dataset_description.json").write_text('{"Name": "x", "BIDSVersion": "1.8.0"}')
    for subject, target in (("01", "../../.git/annex/objects/aa/bb/MD5E-1.edf"), ("02", "../../.git/annex/objects/c")):
        (root / f"sub-{subject}/eeg").mkdir(parents=True)
        (root / f"sub-{subject}/eeg/sub-{subject}_task-x_eeg.edf").symlink_to(target)
    return root


@pytest.mark.parametrize("inside", [".", "sub-01", "sub-01/eeg", "sub-01/eeg/sub-01_task-x_eeg.edf"])
def test_parts_of_a_datalad_clone_are_read(tmp_path: Path, edf: bytes, inside: str) -> None:
    """Parts of a DataLad clone are readable."""
    clone = annexed(tmp_path / "clone", edf)
    source = implicit(clone / inside)
    (planned,) = source.plan()
    assert source.read(planned).n_samples == 400


def test_subdataset_content_in_superdataset(tmp_path: Path, edf: bytes) -> None:
    """A subdataset's `.git` is a link into `.git/modules` of the superdataset."""
    above = tmp_path / "super"
    annexed(above / "sub", edf)
    (above / ".git/modules").mkdir(parents=True)
    shutil.move(above / "sub/.git", above / ".git/modules/sub")
    (above / "sub/.git").symlink_to("../.git/modules/sub")
    assert len(implicit(above / "sub/sub-01").plan()) == 1


@pytest.mark.parametrize("at", ["sub-02", "sub-02/eeg/sub-02_task-x_eeg.edf"])
def test_content_not_fetched_says_so(tmp_path: Path, edf: bytes, at: str) -> None:
    """Content that was not fetched says so."""
    clone = annexed(tmp_path / "clone", edf)
    for arguments in (["inspect", clone / at], ["ingest", clone / at, "--out", tmp_path / "store"]):
        result = command(*arguments)
        assert result.returncode == 1
        assert "Traceback" not in result.stderr
        assert "content not fetched" in result.stdout + result.stderr
        assert "datalad get" in result.stdout + result.stderr


def test_false_annex_opens_no_other_folder(tmp_path: Path, edf: bytes) -> None:
    """A stranger's tree may hold a `.git/annex/objects` that is a link to any folder of the machine."""
    secret, tree = tmp_path / "home/annex/objects", tmp_path / "tree"
    secret.mkdir(parents=True)
    (secret / "x.edf").write_bytes(edf)
    (tree / "sub").mkdir(parents=True)
    (tree / "sub/x.edf").symlink_to(secret / "x.edf")
    (tree / ".git").symlink_to(tmp_path / "home")
    assert {e.path: e.code for e in scan(tree / "sub").entries} == {"x.edf": Code.LINK_OUTSIDE}
    (tree / ".git").unlink()
    (tree / ".git/annex").mkdir(parents=True)
    (tree / ".git/annex/objects").symlink_to(secret)
    assert {e.path: e.code for e in scan(tree / "sub").entries} == {"x.edf": Code.LINK_OUTSIDE}


def test_sidecar_outside_refuses_recording(made, tmp_path: Path) -> None:
    """A sidecar outside the tree refuses its recording."""
    lab = tmp_path / "lab"
    lab.mkdir()
    made["brainvision"](lab, "a", made["eeg_uv"](6, 400))
    shutil.move(lab / "a.eeg", tmp_path / "elsewhere.eeg")
    (lab / "a.eeg").symlink_to(tmp_path / "elsewhere.eeg")
    for place in (lab, lab / "a.vhdr"):
        (entry,) = (e for e in implicit(place).entries() if e.path == "a.vhdr")
        assert entry.code is Code.SIDECAR_REFUSED
        assert "a.eeg, which belongs to it: a link to outside" in entry.reason


def test_very_deep_folders_are_walked(tmp_path: Path) -> None:
    """Deeper than Python's recursion, and longer than a path may be for the operating system."""
    at = os.getcwd()  # noqa: PTH109
    try:
        os.chdir(tmp_path)
        for _ in range(1500):
            os.mkdir("deep")  # noqa: PTH102
            os.chdir("deep")
        Path("x.edf").write_text("x")
    finally:
        os.chdir(at)
    tree = scan(tmp_path)
    assert tree.files == ()
    (entry,) = tree.entries
    assert entry.code is Code.UNREADABLE
    assert "too long" in entry.reason
    subprocess.run(["rm", "-rf", tmp_path / "deep"], check=True)


def test_trial_table_costs_its_recording(made, tmp_path: Path) -> None:
    """One subject's table lacks a column; the other subject's recording is planned."""
    table = {"file": "{subject}.csv", "columns": {"v": "v"}}
    manifest = made["manifest"](
        source={"files": ["{subject}.edf"]},
        trial_values={"table": table},
    )
    for subject, text in (("a", "v\n1\n"), ("b", "w\n1\n")):
        made["edf"](tmp_path / f"{subject}.edf", made["eeg_uv"](6, 400))
        (tmp_path / f"{subject}.csv").write_text(text)
    source = open_source(manifest, tmp_path)
    assert [p.subject for p in source.plan()] == ["a"]
    assert codes(source) == {"a.csv": "sidecar", "a.edf": "recording", "b.csv": "foreign", "b.edf": "table_refused"}
    (tmp_path / "a.csv").write_text("w\n1\n")
    with pytest.raises(UsageError, match="lacks columns"):
        open_source(manifest, tmp_path).plan()


def test_two_files_of_events_are_refused(made, tmp_path: Path) -> None:
    """And their recording with them: without events, all of it would count as background."""
    source = {"files": ["{subject}.edf"], "events_file": "{subject}.*.txt"}
    for name in ("a.edf", "b.edf", "d.edf"):
        made["edf"](tmp_path / name, made["eeg_uv"](6, 400))
    (tmp_path / "d.1.txt").symlink_to(".git/annex/objects/x")
    for name in ("a.1.txt", "a.2.txt", "b.1.txt", "c.1.txt"):
        (tmp_path / name).write_text("x")
    opened = open_source(made["manifest"](source=source), tmp_path)
    assert {p.subject: p.files for p in opened.plan()} == {"b": ("b.edf", "b.1.txt")}
    events = {k: v for k, v in codes(opened).items() if k.endswith(".txt")}
    twice = dict.fromkeys(("a.1.txt", "a.2.txt"), "same_identity")
    assert events == {**twice, "b.1.txt": "sidecar", "c.1.txt": "foreign", "d.1.txt": "not_fetched"}
    (lost,) = (e for e in opened.entries() if e.path == "d.edf")
    assert (lost.code, lost.key) == (Code.SIDECAR_REFUSED, "d/-/-")
    assert "d.1.txt, which belongs to it: content not fetched" in lost.reason


def test_two_files_of_a_channel_are_refused(made, tmp_path: Path) -> None:
    """The recording is read without the channel."""
    for name in ("a_C3.csv", "a_C4.csv", "a_C4.txt", "b_C4.csv"):
        (tmp_path / name).write_text("1\n2\n")
    patterns = ["{subject}_{channel}.csv", "{subject}_{channel}.txt"]
    source = open_source(made["manifest"](source={"kind": "table", "files": patterns, "sfreq_hz": 128}), tmp_path)
    assert {p.subject: p.files for p in source.plan()} == {"a": ("a_C3.csv",), "b": ("b_C4.csv",)}
    assert {k: v for k, v in codes(source).items() if v != "recording"} == {
        "a_C4.csv": "same_identity", "a_C4.txt": "same_identity",
    }  # fmt: skip


def test_nihon_kohden_files_belong_together(tmp_path: Path) -> None:
    """What the reader reads is hashed with the recording; alone the others are no recordings either."""
    for suffix in ("EEG", "LOG", "PNT", "21E", "CMT", "CN2"):
        (tmp_path / f"XX.{suffix}").write_bytes(NIHON)
    (tmp_path / "YY.LOG").write_bytes(NIHON)
    source = implicit(tmp_path)
    (planned,) = source.plan()
    assert planned.files == ("XX.EEG", "XX.21E", "XX.LOG", "XX.PNT")
    assert {v for k, v in codes(source).items() if k != "XX.EEG"} == {"sidecar"}


@pytest.mark.parametrize("name", ["net.mff", "rec.mefd"])
def test_recording_folder_is_named_once(tmp_path: Path, name: str) -> None:
    """Named itself it is one recording, also from inside; messages give its path once."""
    (tmp_path / name).mkdir()
    (tmp_path / name / "info.xml").write_text("x")
    for place in (tmp_path / name, tmp_path):
        (planned,) = implicit(place).plan()
        assert planned.files == (name,)
        result = command("ingest", place, "--out", tmp_path / "store", "--workers", "0")
        assert result.returncode == 1
        assert f"{tmp_path / name}\n" in result.stderr
        assert f"{name}/{name}" not in result.stderr


def test_a_changed_mff_is_made_again(tmp_path: Path, made) -> None:
    """What is inside a folder that was named itself counts for whether it is made again."""
    from eegprep.ingest.plan import _made_from
    from eegprep.sources.tree import place_of

    (tmp_path / "net.mff").mkdir()
    (tmp_path / "net.mff/signal1.bin").write_bytes(b"1")
    (planned,) = implicit(tmp_path / "net.mff").plan()
    root = place_of(tmp_path / "net.mff")[0]
    before = _made_from(planned, root, b"", None)
    (tmp_path / "net.mff/signal1.bin").write_bytes(b"2")
    assert _made_from(planned, root, b"", None) != before


def test_inspect_lists_files_by_name(made, tmp_path: Path) -> None:
    lab = tmp_path / "lab"
    lab.mkdir()
    files = [f"s{n:02d}.edf" for n in range(8)]
    for seed, name in enumerate(files):
        made["edf"](lab / name, made["eeg_uv"](6, 400 + 200 * (seed % 3), seed=seed))
    told = json.loads(command("inspect", lab, "--json", "--workers", "2").stdout)
    assert [r["file"] for r in told["recordings"]] == files


def test_an_archive_alone_says_what_to_do(tmp_path: Path, edf: bytes) -> None:
    for name in ("rec.zip", "rec.edf"):
        (tmp_path / name).write_bytes(packed("zip", edf))
        result = command("inspect", tmp_path / name)
        assert result.returncode == 1
        assert "unpack it first" in result.stdout


@pytest.mark.parametrize(
    ("text", "shown"),
    [("plain é 漢.edf", "plain é 漢.edf"), ("a\nb\x1b", "a\\nb\\x1b"), (os.fsdecode(b"M\xfcller"), "M\\xfcller")],
)
def test_names_show_no_control_codes(text: str, shown: str) -> None:
    """Names are shown without control codes."""
    assert printable(text) == shown


def test_signals_of_odd_names_are_read_alike(made, tmp_path: Path, edf: bytes) -> None:
    names = (os.fsdecode(b"\xe4\xf6.edf"), "tab\t.edf", "new\nline.edf", "plain.edf")
    for name in names:
        (tmp_path / name).write_bytes(edf)
    source = implicit(tmp_path)
    signals = [np.asarray(source.read(p).signal) for p in source.plan()]
    assert len(signals) == len(names)
    assert all(np.array_equal(signals[0], s) for s in signals)
    anonymous = open_source(made["manifest"](source={"files": ["{subject}.edf"]}), tmp_path)
    for planned in anonymous.plan():
        assert (planned.key + "".join(planned.public_files)).isprintable()


def test_the_only_file_that_fits_is_refused(made, names, tmp_path: Path) -> None:
    """A manifest whose one recording lacks a part says so, and not that no file fits its pattern."""
    raw_fif(made, names, 240_000).save(tmp_path / "s1_raw.fif", split_size="2MB", verbose="CRITICAL")
    (tmp_path / "s1_raw-1.fif").unlink()
    source = open_source(made["manifest"](source={"kind": "files", "files": ["{subject}_raw.fif"]}), tmp_path)
    assert source.plan() == []
    refused = [e for e in source.entries() if e.kind is Kind.REFUSED]
    assert [(e.path, e.code, bool(e.key)) for e in refused] == [("s1_raw.fif", Code.PART_MISSING, True)]
