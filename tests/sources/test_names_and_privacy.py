"""Patterns, pseudonyms, breaks; and nothing that names a person in any form that leaves."""

from __future__ import annotations

import dataclasses
import json
import os
import struct
from pathlib import Path

import mne
import numpy as np
import pytest
import scipy.io

from eegprep.errors import EEGPTError, UsageError
from eegprep.manifest.patterns import compile_pattern, match
from eegprep.privacy import KEY_VARIABLE, clean_message, has_date, pseudonym
from eegprep.sources import manifest_for_path, open_source
from eegprep.sources.tree import walk


@pytest.mark.parametrize(
    ("pattern", "path", "entities"),
    [
        ("{subject}_{run}.edf", "Subject00_1.edf", {"subject": "Subject00", "run": "1"}),
        ("{subject}_{run}.edf", "a/Subject00_1.edf", None),
        ("**/{subject}R{run}.edf", "S001R03.edf", {"subject": "S001", "run": "03"}),
        ("**/{subject}R{run}.edf", "x/y/S001R03.edf", {"subject": "S001", "run": "03"}),
        ("s{subject}/{subject}_{session}.set", "s7/7_b.set", {"subject": "7", "session": "b"}),
        ("s{subject}/{subject}_{session}.set", "s7/8_b.set", None),
        ("rec*/[{subject}].fif", "records/[1].fif", {"subject": "1"}),
        ("{subject}.edf", "a.edf.part", None),
    ],
)
def test_patterns_fit_whole_paths_only(pattern: str, path: str, entities: dict | None) -> None:
    """Patterns name entities and fit whole paths only."""
    assert match([compile_pattern(pattern)], path) == entities


def test_unknown_entity_is_wrong_usage() -> None:
    """An unknown entity in a pattern is wrong usage."""
    with pytest.raises(UsageError, match=r"invalid placeholder '\{patient\}'"):
        compile_pattern("{patient}.edf")


def test_walk_follows_no_link_out_of_a_tree(tmp_path: Path) -> None:
    """Walking a tree follows no link out of it and no circle."""
    inside, outside = tmp_path / "in", tmp_path / "out"
    (inside / "b").mkdir(parents=True)
    outside.mkdir()
    (outside / "secret.edf").write_text("x")
    (inside / "b" / "1.edf").write_text("x")
    (inside / ".hidden.edf").write_text("x")
    (inside / "link.edf").symlink_to(outside / "secret.edf")
    (inside / "loop").symlink_to(inside)
    (inside / "same.edf").symlink_to(inside / "b" / "1.edf")
    assert list(walk(inside)) == ["b/1.edf", "same.edf"]


def test_pseudonyms_are_stable_per_data_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pseudonyms are stable, differ by data set and depend on a lab's key."""
    monkeypatch.delenv(KEY_VARIABLE, raising=False)
    plain = pseudonym("a", "John")
    assert plain == pseudonym("a", "John") == "s09b65197cd"
    assert plain != pseudonym("b", "John")
    monkeypatch.setenv(KEY_VARIABLE, "secret")
    assert pseudonym("a", "John") != plain


@pytest.mark.parametrize("text", ["2012.07.06-19.02", "rec20120706", "x_06-07-2012", "1999-12-31"])
def test_dates_in_names_are_seen(text: str) -> None:
    assert has_date(text)


@pytest.mark.parametrize("text", ["S001R03", "run-12", "20121399", "subject0000001"])
def test_numbers_that_are_no_dates_stay(text: str) -> None:
    assert not has_date(text)


def test_reader_errors_lose_their_quotes() -> None:
    """A reader's exception loses what it quotes."""
    error = ValueError("could not convert string to float: 'John Doe' at /home/john/x.edf on 2012-07-06\nJohn")
    cleaned = clean_message(error)
    assert cleaned.startswith("ValueError: could not convert string to float")
    assert "ohn" not in cleaned
    assert "2012" not in cleaned


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("Unknown format: Miller77", "Unknown format: …"),
        ("Miller is unknown", "… is unknown"),
        ("could not convert string to float: Miller", "could not convert string to float: …"),
        ("record 7654321 is not whole", "record … is not whole"),
        ("Datatype UINT_16 is not supported", "Datatype UINT_16 is not supported"),
        ("Can't read 4096 bytes of EDF", "Can't read 4096 bytes of EDF"),
        ("index 0 is out of bounds for axis 0 with size 0", "index 0 is out of bounds for axis 0 with size 0"),
    ],
)
def test_reader_errors_lose_names(said: str, kept: str) -> None:
    """Words of a reader's exception that may name or number a subject are removed."""
    assert clean_message(ValueError(said)) == f"ValueError: {kept}"


def test_channel_names_leave_without_dates(made, tmp_path: Path) -> None:
    """A channel's name leaves printable and without a date."""
    names = ("Fp1", "Fp2", "C3", "C4", "2012-07-06", "a\x1b[31mb")
    made["edf"](tmp_path / "a.edf", made["eeg_uv"](6, 1600), names=names)
    source = open_source(manifest_for_path(tmp_path), tmp_path)
    found = [c.name for c in source.read(source.plan()[0]).channels]
    assert found[:4] == list(names[:4])
    assert found[4] == pseudonym(source.manifest.name, "2012-07-06", "c")
    assert found[5] == "a\ufffd[31mb"


def stuffed_folder(made, canary: str, folder: Path) -> None:
    """Every format whose header we can stuff, each with marked strings wherever it has room for text."""
    signal = made["eeg_uv"](6, 1600)
    made["edf"](folder / f"{canary}.edf", signal, annotations=[(1, None, canary), (2, None, canary)])
    made["edf"](folder / "b.bdf", signal, bdf=True, annotations=[(1, None, canary)])
    made["neuroscan"](folder / "c.cnt", signal)
    info = mne.create_info(["Fp1", "Fp2", "C3", "C4", "O1", "O2"], 200.0, "eeg")
    info["description"] = canary
    info["experimenter"] = canary
    info["subject_info"] = {"last_name": canary, "first_name": canary, "his_id": canary, "birthday": None}
    raw = mne.io.RawArray(signal * 1e-6, info, verbose="ERROR")
    raw.set_annotations(mne.Annotations([1.0, 2.0], [0.0, 0.0], [canary, canary]))
    raw.save(folder / "d_raw.fif", verbose="ERROR")
    made_set = {
        "setname": canary,
        "subject": canary,
        "comments": canary,
        "history": canary,
        "nbchan": 6,
        "srate": 200.0,
    }
    made_set |= {"trials": 1, "pnts": 1600, "xmin": 0.0, "xmax": 8.0, "data": signal, "epoch": [], "event": []}
    places = np.zeros(6, dtype=[("labels", object)])
    places["labels"] = ["Fp1", "Fp2", "C3", "C4", "O1", "O2"]
    scipy.io.savemat(folder / "e.set", {"EEG": {**made_set, "chanlocs": places, "icawinv": [], "icaweights": []}})
    header = ["Brain Vision Data Exchange Header File Version 1.0", f"; {canary}", "[Common Infos]", "DataFile=f.eeg"]
    header += ["MarkerFile=f.vmrk", "DataFormat=BINARY", "DataOrientation=MULTIPLEXED", "NumberOfChannels=6"]
    header += ["SamplingInterval=5000", "[Binary Infos]", "BinaryFormat=INT_16", "[Channel Infos]"]
    header += [f"Ch{i + 1}={n},,0.1,µV" for i, n in enumerate(info["ch_names"])]
    (folder / "f.vhdr").write_text("\n".join([*header, "[Comment]", canary, ""]), encoding="utf-8")
    (folder / "f.eeg").write_bytes(np.rint(signal.T * 10).astype("<i2").tobytes())
    marks = [
        "Brain Vision Data Exchange Marker File, Version 1.0",
        "[Common Infos]",
        "DataFile=f.eeg",
        "[Marker Infos]",
    ]
    marks += [f"Mk1=Comment,{canary},100,1,0", "Mk2=New Segment,,1,1,0,19710202101112000000", ""]
    (folder / "f.vmrk").write_text("\n".join(marks), encoding="utf-8")
    patient = "[FileInfo]\nFile=g.dat\nFileType=Interleaved\nSamplingRate=200\nHeaderLength=0\nCalibration=0.1\n"
    patient += "WaveformCount=6\nDataType=0\n[Patient]\n" + "".join(
        f"{field}={canary}\n"
        for field in ("First", "Last", "ID", "Physician", "Technician", "Comments1", "MedicalRecord")
    )
    patient += "Sex=M\nHand=R\nBirthDate=02/02/1971\nTestDate=02/02/1971\nTestTime=10:11:12\n[ChannelMap]\n"
    patient += (
        "".join(f"{n}-Ref={i + 1}\n" for i, n in enumerate(info["ch_names"])) + f"[Comments]\n1.0,0.0,0,100,{canary}\n"
    )
    (folder / "g.lay").write_text(patient)
    (folder / "g.dat").write_bytes(np.rint(signal.T * 10).astype("<i2").tobytes())
    rows = "".join("0, " + ", ".join(f"{v:.2f}" for v in column) + f", {i * 5}\n" for i, column in enumerate(signal.T))
    columns = "Sample Index, " + ", ".join(f"EXG Channel {i}" for i in range(6)) + ", Timestamp\n"
    (folder / "h.txt").write_text(f"%OpenBCI Raw EXG Data\n%{canary}\n%Sample Rate = 200 Hz\n" + columns + rows)
    broken = bytearray((folder / "b.bdf").read_bytes())
    broken[236:244] = canary[:8].encode()
    (folder / "i.bdf").write_bytes(bytes(broken))
    (folder / "j.gdf").write_bytes(b"GDF 2.20" + canary.encode() * 40)
    gdf = bytearray(made["gdf"](folder / "l.gdf", signal).read_bytes())
    gdf[8:74] = (canary * 6).encode()[:66]
    (folder / "l.gdf").write_bytes(bytes(gdf))
    made["xdf"](folder / "m.xdf", [(canary, "EEG", info["ch_names"], signal, np.arange(1600) / 200)])
    made["xdf"](folder / "n.xdf", [(canary, canary, info["ch_names"], signal, np.arange(1600) / 200)])
    cell = np.empty((1, 1), dtype=object)
    cell[0, 0] = signal
    labels = np.array(info["ch_names"], dtype=object).reshape(-1, 1)
    trials = {"trial": cell, "label": labels, "fsample": 200.0, "chanunit": np.array(["uV"] * 6, dtype=object)}
    scipy.io.savemat(folder / "o.mat", {"data": {**trials, "hdr": {"patient": canary}, "cfg": {"dataset": canary}}})
    marked = mne.io.RawArray(signal * 1e-6, info, verbose="ERROR")
    epochs = mne.Epochs(marked, np.array([[0, 0, 1], [800, 0, 2]]), {canary: 1, "b": 2}, 0, 3.995, baseline=None)
    epochs.save(folder / "p-epo.fif", verbose="ERROR")
    (folder / "q.vhdr").write_text((folder / "f.vhdr").read_text("utf-8").replace("f.eeg", f"{canary}.eeg"), "utf-8")
    (folder / "r.vhdr").write_text((folder / "f.vhdr").read_text("utf-8").replace("5000", canary), "utf-8")
    (folder / "k.raw").write_bytes(
        struct.pack(">iHHHHHHiHH", 4, 1991, 2, 2, 10, 11, 12, 0, 200, 6) + canary.encode() * 9
    )


def test_nothing_personal_leaves_a_reader(made, canary: str, tmp_path: Path) -> None:
    """Nothing personal leaves any reader or its errors."""
    stuffed_folder(made, canary, tmp_path)
    source = open_source(manifest_for_path(tmp_path), tmp_path)
    plan = source.plan()
    formats = set()
    for planned in plan:
        try:
            recording = source.read(planned)
        except EEGPTError as error:
            # messages on this machine may name the file itself, nothing of what stands in it
            said = json.dumps(error.as_dict()).replace(planned.files[0], "").replace(str(tmp_path), "")
            assert canary not in said
            assert canary[:8] not in said
            continue
        formats.add(recording.format)
        # texts are counted for messages to their owner: apart from all that is kept, and out of every print
        assert canary not in repr(dataclasses.replace(recording, signal=None))
        signal, kept = recording.signal, recording.__dict__ | {"signal": None, "event_counts": {}, "label_counts": {}}
        assert np.asarray(signal).shape == (len(recording.channels), 1600)
        assert canary not in repr(kept)
        assert "1971" not in repr(kept)
        assert recording.events == ()
    assert formats == {
        "edf", "bdf", "neuroscan", "fif", "eeglab", "brainvision", "persyst", "openbci", "gdf", "xdf", "fieldtrip",
        "fif_epochs",
    }  # fmt: skip
    assert len(plan) == 18


def test_readers_print_nothing(made, canary: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    stuffed_folder(made, canary, tmp_path)
    source = open_source(manifest_for_path(tmp_path), tmp_path)
    for planned in source.plan():
        try:
            np.asarray(source.read(planned).signal)
        except EEGPTError:
            continue
    assert capfd.readouterr() == ("", "")


def test_subject_ids_become_pseudonyms(made, tmp_path: Path) -> None:
    """Subject ids that no manifest calls anonymous become pseudonyms."""
    made["edf"](tmp_path / "JohnDoe_2012-07-06.edf", made["eeg_uv"](6, 400))
    pattern = {"files": ["{subject}_{session}.edf"]}
    named = made["manifest"](source=pattern, anonymous_subjects=False)
    planned = open_source(named, tmp_path).plan()[0]
    assert planned.subject == pseudonym("made", "JohnDoe")
    assert "2012" not in planned.key + planned.public_files[0]
    assert "John" not in planned.public_files[0]
    anonymous = open_source(made["manifest"](source=pattern), tmp_path).plan()[0]
    assert anonymous.subject == "JohnDoe"
    assert "2012" not in anonymous.key + anonymous.public_files[0]


def test_files_of_one_identity_are_refused(made, tmp_path: Path) -> None:
    """Neither overwrites the other; a recording of another identity is read."""
    for name in ("p_1", "p_2", "q_1"):
        made["edf"](tmp_path / f"{name}.edf", made["eeg_uv"](6, 400))
    source = open_source(made["manifest"](source={"files": ["{subject}_*.edf"]}), tmp_path)
    assert [p.subject for p in source.plan()] == ["q"]
    refused = [e for e in source.entries() if e.kind == "refused"]
    assert [(e.path, e.code, e.key) for e in refused] == [
        ("p_1.edf", "same_identity", "p/-/-"),
        ("p_2.edf", "same_identity", "p/-/-"),
    ]
    assert all("p_1.edf and p_2.edf" in e.reason and "{run}" in e.todo for e in refused)


def test_subject_table_gives_named_columns(made, tmp_path: Path) -> None:
    """The subject table gives only the columns that the manifest names."""
    made["edf"](tmp_path / "7_1.edf", made["eeg_uv"](6, 400))
    (tmp_path / "people.csv").write_text("id, name ,group\np7,JohnDoe,control\n")
    table = {"file": "people.csv", "id_column": "id", "id_pattern": "p{subject}", "attributes": {"arm": "group"}}
    manifest = made["manifest"](source={"files": ["{subject}_{run}.edf"]}, subjects=table)
    assert open_source(manifest, tmp_path).plan()[0].attributes == {"arm": "control"}
    wrong = made["manifest"](
        source={"files": ["{subject}_{run}.edf"]}, subjects={**table, "attributes": {"arm": "wing"}}
    )
    with pytest.raises(UsageError, match="lacks columns"):
        open_source(wrong, tmp_path).plan()


def test_environment_has_no_pseudonym_key() -> None:
    """The environment of the tests has no pseudonym key."""
    assert KEY_VARIABLE not in os.environ, "unset it: the expected pseudonyms are those without a key"
