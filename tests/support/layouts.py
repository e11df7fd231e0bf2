"""Small files of the layout that each data set of the catalogue documents: names, channels, rates, events.

One entry of `LAYOUTS` a data set: a function that writes one recording of it below a folder, and what ingest has to
find there. Signals are noise of 20 microvolt, other in every file.
"""

from __future__ import annotations

import gzip
import re
import struct
import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from edfio import Bdf, BdfSignal, Edf, EdfAnnotation, EdfSignal
from scipy.io import savemat

from eegprep.manifest import find_manifest

EMOTIONS = ("low low", "low high", "high low", "high high")


@dataclass(frozen=True, kw_only=True)
class Layout:
    """`write` writes; `identity` is subject, session and run of the first recording; `trials` are counts by label."""

    write: Callable[[Path], None]
    identity: tuple[str, str, str]
    recordings: int = 1
    trials: dict[str, dict[str, int]] = field(default_factory=dict)


def noise(path: Path, n_channels: int, n_samples: int) -> np.ndarray:
    """`(n_channels, n_samples)` in microvolt."""
    return np.random.default_rng(zlib.crc32(path.name.encode())).normal(0, 20, (n_channels, n_samples))


def channels_of(name: str) -> list[str]:
    return list(find_manifest(name).source.channels)


def write_edf(
    path: Path, names: Sequence[str], sfreq_hz: int, seconds: int, *, events: Sequence[tuple[float, float, str]] = ()
) -> None:
    """EDF labels have up to 16 characters, and are unique in documents but often not in files."""
    path.parent.mkdir(parents=True, exist_ok=True)
    labels = [n.removesuffix("-0").removesuffix("-1")[:16] for n in names]
    signals = [
        EdfSignal(row, sfreq_hz, label=label, physical_dimension="uV", physical_range=(-3000, 3000))
        for row, label in zip(noise(path, len(labels), sfreq_hz * seconds), labels, strict=True)
    ]
    Edf(signals, annotations=[EdfAnnotation(*e) for e in events]).write(path)


def write_scoring(path: Path, events: Sequence[tuple[float, float, str]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Edf([], annotations=[EdfAnnotation(*e) for e in events]).write(path)


def write_bdf(
    path: Path, names: Sequence[str], sfreq_hz: int, seconds: int, *, status: Sequence[tuple[float, int]] | None = None
) -> None:
    """The last of `names` is the Status channel if `status` gives its codes, one second each."""
    path.parent.mkdir(parents=True, exist_ok=True)
    analog = list(names) if status is None else list(names[:-1])
    signals = [
        BdfSignal(row, sfreq_hz, label=label, physical_dimension="uV", physical_range=(-262144, 262143))
        for row, label in zip(noise(path, len(analog), sfreq_hz * seconds), analog, strict=True)
    ]
    if status is not None:
        codes = np.zeros(sfreq_hz * seconds)
        for onset_s, code in status:
            codes[int(onset_s * sfreq_hz) : int((onset_s + 1) * sfreq_hz)] = code
        full = (-8388608, 8388607)
        signals.append(BdfSignal(codes, sfreq_hz, label=names[-1], physical_dimension="Boolean", physical_range=full))
    Bdf(signals).write(path)


def write_ts(path: Path, windows_of: np.ndarray, labels: Sequence[str], step: int | None) -> None:
    """Cases as `.ts` has them; with `step`, dimensions are windows of the case's channels written after another."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = ["@problemName made", "@classLabel true " + " ".join(sorted(set(labels))), "@data"]
    for case, label in zip(windows_of, labels, strict=True):
        n_channels, n_samples = case.shape
        rows = case
        if step is not None:
            series = case.reshape(-1)
            rows = np.stack([series[c * step : c * step + n_samples] for c in range(n_channels)])
        lines.append(":".join(",".join(f"{v:.6f}" for v in row) for row in rows) + f":{label}")
    path.write_text("\n".join(lines) + "\n", encoding="latin-1")


def write_cnt(path: Path, names: Sequence[str], sfreq_hz: int, seconds: int) -> None:
    """Neuroscan, 32 bit, 0.1 microvolt a step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    n_channels = len(names)
    signal = noise(path, n_channels, sfreq_hz * seconds)
    first = 900 + 75 * n_channels
    head = bytearray(900)
    head[:12] = b"Version 3.0\0"
    struct.pack_into("<H", head, 370, n_channels)
    struct.pack_into("<H", head, 376, sfreq_hz)
    struct.pack_into("<i", head, 864, sfreq_hz * seconds)
    struct.pack_into("<I", head, 886, first + 4 * signal.size)
    electrodes = b""
    for name in names:
        one = bytearray(75)
        one[: len(name)] = name.encode()
        struct.pack_into("<f", one, 59, 20.48)
        struct.pack_into("<f", one, 71, 1.0)
        electrodes += bytes(one)
    samples = np.rint(signal.T * 10).astype("<i4").tobytes()
    path.write_bytes(bytes(head) + electrodes + samples + struct.pack("<BII", 1, 0, 0))


def cells(items: Sequence[np.ndarray]) -> np.ndarray:
    """A cell array of one column."""
    out = np.empty((len(items), 1), dtype=object)
    out[:, 0] = list(items) if len({i.shape for i in items}) > 1 else [*items]
    return out


def adhd_nasrabadi(folder: Path) -> None:
    for group, child in (("ADHD", "v10p"), ("Control", "v107")):
        path = folder / group / f"{child}.mat"
        path.parent.mkdir()
        savemat(path, {child: np.rint(noise(path, 19, 128 * 21).T)})


def bcic_iv_1(folder: Path) -> None:
    path = folder / "BCICIV_calib_ds1a.mat"
    names = channels_of("bcic_iv_1")
    cnt = np.rint(10 * noise(path, len(names), 4000).T).astype(np.int16)
    mrk = {"pos": np.array([[201, 1001, 1801, 2601]]), "y": np.array([[1, -1, -1, 1]])}
    nfo = {"fs": 100, "classes": np.array([["left", "foot"]], dtype=object), "clab": np.array([names], dtype=object)}
    savemat(path, {"cnt": cnt, "mrk": mrk, "nfo": nfo})
    other = folder / "BCICIV_eval_ds1b.mat"
    savemat(other, {"cnt": np.rint(10 * noise(other, len(names), 2000).T).astype(np.int16), "nfo": nfo})


def deap(folder: Path) -> None:
    names = channels_of("deap")
    starts = [5.0 + 15 * i for i in range(4)]
    write_bdf(folder / "data_original" / "s01.bdf", names, 512, 128, status=[(s, 4) for s in starts])
    # Geneva: no name on the last channel, and all bits of the second byte set
    write_bdf(folder / "data_original" / "s24.bdf", [*names[:-1], ""], 512, 128, status=[(s, 65284) for s in starts])
    write_bdf(folder / "data_original" / "s28.bdf", names, 512, 20, status=[(5, 4)])
    ratings = [(2.0, 2.0), (3.1, 5.0), (9.0, 4.99), (7.5, 6.0)]
    rows = ["Participant_id,Trial,Experiment_id,Start_time,Valence,Arousal,Dominance,Liking,Familiarity"]
    for person in (1, 24, 28):
        order = list(enumerate(ratings, start=1))
        rows += [f"{person},{n},{41 - n},{n}000,{v},{a},5,5,1" for n, (v, a) in order[:: 1 if person == 1 else -1]]
    (folder / "metadata_csv").mkdir()
    (folder / "metadata_csv" / "participant_ratings.csv").write_text("\n".join(rows) + "\n")


def dreamer(folder: Path) -> None:
    people = np.empty((1, 23), dtype=object)
    for person in range(23):
        clips = [noise(Path(f"{person}-{k}"), 14, 128 * (9 + k % 2)).T + 4200 for k in range(4)]
        people[0, person] = {
            "Age": "x",
            "EEG": {"baseline": cells(clips[::-1]), "stimuli": cells(clips)},
            "ScoreValence": np.array([[1], [2], [3], [5]]),
            "ScoreArousal": np.array([[2], [3], [2], [4]]),
        }
    content = {"Data": people, "EEG_SamplingRate": 128.0, "noOfSubjects": 23.0, "noOfVideoSequences": 18.0}
    savemat(folder / "DREAMER.mat", {"DREAMER": content}, do_compression=True)


def faced(folder: Path) -> None:
    write_bdf(folder / "Data" / "sub003" / "data.bdf", channels_of("faced"), 250, 90)
    events = [(5, 0, "17"), (5.2, 0, "101"), (38, 0, "102"), (45, 0, "2"), (45.2, 0, "101"), (85, 0, "102")]
    notes = [EdfAnnotation(onset, duration or None, text) for onset, duration, text in events]
    Bdf([], annotations=notes).write(folder / "Data" / "sub003" / "evt.bdf")


def seed_iv(folder: Path) -> None:
    path = folder / "eeg_raw_data" / "2" / "7_20150715.mat"
    path.parent.mkdir(parents=True)
    names = channels_of("seed_iv")
    clips = {f"cz_eeg{k}": noise(Path(f"{k}"), len(names), 200 * (8 + k % 3)) for k in range(1, 25)}
    savemat(path, clips)


def guinea_bissau(folder: Path) -> None:
    names = channels_of("guinea_bissau")
    for person in "12":
        path = folder / f"signal-{person}.csv.gz"
        values = 4100 + noise(path, len(names), 128 * 301).T
        head = ",".join(["", *names, "COUNTER"])
        rows = [",".join([str(i), *(f"{v:.4f}" for v in row), "0"]) for i, row in enumerate(values)]
        with gzip.open(path, "wt", compresslevel=1) as handle:
            handle.write("\n".join([head, *rows]) + "\n")
    (folder / "metadata_guineabissau.csv").write_text(
        "subject.id,Group,Eyes.condition\n1,Epilepsy,open-3min-then-closed-2min\n2,Control,closed-3min-then-open-2min\n"
    )


def stew(folder: Path) -> None:
    for state in ("lo", "hi"):
        path = folder / f"sub07_{state}.txt"
        np.savetxt(path, 4200 + noise(path, 14, 1280).T, fmt="%.7e", delimiter="  ")


def uci_alcohol(folder: Path) -> None:
    names = ["FP1", "FP2", "F7", "F8", "AF1", "AF2", "FZ", "F4", "F3", "FC6", "FC5", "FC2", "FC1", "T8", "T7", "CZ"]
    names += ["C3", "C4", "CP5", "CP6", "CP1", "CP2", "P3", "P4", "PZ", "P8", "P7", "PO2", "PO1", "O2", "O1", "X"]
    names += ["AF7", "AF8", "F5", "F6", "FT7", "FT8", "FPZ", "FC4", "FC3", "C6", "C5", "F2", "F1", "TP8", "TP7", "AFZ"]
    names += ["CP3", "CP4", "P5", "P6", "C1", "C2", "PO7", "PO8", "FCZ", "POZ", "OZ", "P2", "P1", "CPZ", "nd", "Y"]
    (folder / "co2a0000364").mkdir()
    for trial, condition in enumerate(("S1 obj", "S2 match", "S2 nomatch", "S1 obj")):
        path = folder / "co2a0000364" / f"co2a0000364.rd.{trial:03d}.gz"
        lines = ["# co2a0000364.rd", "# 120 trials, 64 chans, 416 samples 368 post_stim samples", "# 3.906000 msecs uV"]
        lines.append(f"# {condition} , trial {trial}")
        for c, (name, row) in enumerate(zip(names, noise(path, len(names), 256), strict=True)):
            lines += [f"# {name} chan {c}", *(f"{trial} {name} {i} {v:.3f}" for i, v in enumerate(row))]
        with gzip.open(path, "wt", compresslevel=1) as handle:
            handle.write("\n".join(lines) + "\n")


def ts(name: str, labels: Sequence[str]) -> Callable[[Path], None]:
    """The two files of a `.ts` data set, `labels` in each."""
    spec = find_manifest(name).source
    n_samples = {"eyesopenshut": 128, "fingermovements": 50, "selfregulationscp1": 896, "selfregulationscp2": 1152}

    def write(folder: Path) -> None:
        stem = spec.files[0].removesuffix("_{run}.ts")
        for part in ("TRAIN", "TEST"):
            path = folder / f"{stem}_{part}.ts"
            cases = noise(path, len(labels) * len(spec.channels), n_samples[name])
            write_ts(path, cases.reshape(len(labels), len(spec.channels), -1), labels, spec.dimensions_step)

    return write


def ssvep_exo(folder: Path) -> None:
    import mne

    folder = folder / "subject05"
    folder.mkdir()
    info = mne.create_info(["Oz", "O1", "O2", "PO3", "POz", "PO7", "PO8", "PO4"], 256.0, "eeg")
    path = folder / "record-1_raw.fif"
    raw = mne.io.RawArray(1e-6 * noise(path, 8, 256 * 40), info, verbose="error")
    raw.save(path, verbose="error")
    events = np.array([[256 * (1 + 8 * k), 0, code] for k, code in enumerate((1, 2, 3, 4))])
    mne.write_events(folder / "record-1-eve.fif", events, verbose="error")


def edf(name: str, path: str, sfreq_hz: int, seconds: int, **more: object) -> Callable[[Path], None]:
    """One EDF file of the channels that the manifest states."""
    return lambda folder: write_edf(folder / path, channels_of(name), sfreq_hz, seconds, **more)  # type: ignore[arg-type]


def with_scoring(write: Callable[[Path], None], path: str, texts: Sequence[str]) -> Callable[[Path], None]:
    """The same, and a file of 30 s stages beside it."""

    def both(folder: Path) -> None:
        write(folder)
        write_scoring(folder / path, [(30.0 * k, 30, text) for k, text in enumerate(texts)])

    return both


def with_clock_list(write: Callable[[Path], None], path: str) -> Callable[[Path], None]:
    """The same, and the patient's list of seizures with clock times: one in this file, one in another."""

    def both(folder: Path) -> None:
        write(folder)
        (folder / path).write_text(
            "Data Sampling Rate: 512 Hz\n*************************\n\nChannels in EDF Files:\n\nChannel 1: Fp1\n\n"
            "Seizure n 1\nFile name: PN00-1.edf\nRegistration start time: 23.59.40\n"
            "Registration end time:  00.00.40\nSeizure start time: 23.59.59\nSeizure end time: 0:00:12\n\n"
            "Seizure n 2 (in sleep)\nFile name: PN00-2.edf\nRegistration start time: 19.39.33\n"
            "Registration end time: 20.22.58\nStart time: 19.58.36\nEnd time: 19.59.46\n"
        )

    return both


def with_summary(write: Callable[[Path], None], path: str) -> Callable[[Path], None]:
    """The same, and the case's summary: another file without a seizure, then this one with two."""

    def both(folder: Path) -> None:
        write(folder)
        (folder / path).write_text(
            "Data Sampling Rate: 256 Hz\n*************************\n\nChannels in EDF Files:\nChannel 1: FP1-F7\n\n"
            "File Name: chb17a_04.edf\nFile Start Time: 20:01:35\nFile End Time: 21:01:35\n"
            "Number of Seizures in File: 0\n\n"
            "File Name: chb17a_03.edf\nFile Start Time: 19:01:23\nNumber of Seizures in File: 2\n"
            "Seizure 1 Start Time: 31 seconds\nSeizure 1 End Time: 45 seconds\n"
            "Seizure 2 Start Time:  70 seconds\nSeizure 2 End Time:  81 seconds\n"
        )

    return both


EEGMAT = [
    *("EEG " + n for n in re.findall(r"\S+", "Fp1 Fp2 F3 F4 F7 F8 T3 T4 C3 C4 T5 T6 P3 P4 O1 O2 Fz Cz Pz A2-A1")),
    "ECG ECG",
]
EEGMMIDB = re.findall(
    r"\S+",
    "Fc5. Fc3. Fc1. Fcz. Fc2. Fc4. Fc6. C5.. C3.. C1.. Cz.. C2.. C4.. C6.. Cp5. Cp3. Cp1. Cpz. Cp2. Cp4. Cp6. "
    "Fp1. Fpz. Fp2. Af7. Af3. Afz. Af4. Af8. F7.. F5.. F3.. F1.. Fz.. F2.. F4.. F6.. F8.. Ft7. Ft8. T7.. T8.. T9.. "
    "T10. Tp7. Tp8. P7.. P5.. P3.. P1.. Pz.. P2.. P4.. P6.. P8.. Po7. Po3. Poz. Po4. Po8. O1.. Oz.. O2.. Iz..",
)


def eegmat(folder: Path) -> None:
    write_edf(folder / "Subject00_1.edf", EEGMAT, 500, 62)
    write_edf(folder / "Subject00_2.edf", EEGMAT, 500, 62)
    (folder / "subject-info.csv").write_text("Subject,Age,Gender,Count quality\nSubject00,21,F,0\n")


def eegmmidb(folder: Path) -> None:
    events = [(0, 4.2, "T0"), (4.2, 4.1, "T1"), (8.3, 4.2, "T0"), (12.5, 4.1, "T2")]
    for run in ("01", "02", "03", "04", "06"):
        write_edf(folder / "S001" / f"S001R{run}.edf", EEGMMIDB, 160, 20, events=events)


LAYOUTS: dict[str, Layout] = {
    "adhd_nasrabadi": Layout(
        write=adhd_nasrabadi,
        identity=("v107", "Control", ""),
        recordings=2,
        trials={"adhd_group": {"adhd": 5, "control": 5}},
    ),
    "bcic_iv_1": Layout(
        write=bcic_iv_1,
        identity=("a", "", "calib"),
        recordings=2,
        trials={"bcic_iv_1_imagery": {"left": 2, "foot": 2}},
    ),
    "chbmit": Layout(
        write=with_summary(edf("chbmit", "chb17/chb17a_03.edf", 256, 90), "chb17/chb17-summary.txt"),
        identity=("17", "", "17a_03"),
        trials={"chbmit_seizure": {"background": 5, "seizure": 2}},
    ),
    "deap": Layout(
        write=deap,
        identity=("01", "", ""),
        recordings=3,
        trials={
            "deap_quadrant": {
                f"{v}_valence_{a}_arousal": n
                for (v, a), n in zip((w.split() for w in EMOTIONS), (30, 30, 30, 30), strict=True)
            }
        },
    ),
    "dreamer": Layout(
        write=dreamer,
        identity=("1", "", ""),
        recordings=23,
        trials={
            "dreamer_quadrant": {f"{v}_valence_{a}_arousal": 46 for v, a in (w.split() for w in EMOTIONS)},
        },
    ),
    "eegmat": Layout(
        write=eegmat,
        identity=("Subject00", "", "1"),
        recordings=2,
        trials={"mental_arithmetic": {"rest": 15, "arithmetic": 15}},
    ),
    "eegmmidb": Layout(
        write=eegmmidb, identity=("S001", "", "01"), recordings=5,
        trials={n: {a: 1, b: 1} for n, a, b in (
            ("moved_fist", "left_fist", "right_fist"), ("imagined_fist", "left_fist", "right_fist"),
            ("imagined_fists_or_feet", "both_fists", "both_feet"),
        )} | {"eyes_closed_open": {"open": 5, "closed": 5}},
    ),
    "eyesopenshut": Layout(
        write=ts("eyesopenshut", ["0", "1"]), identity=("1", "", "test"), recordings=2,
        trials={"eyes_closed_open": {"open": 2, "closed": 2}},
    ),
    "faced": Layout(write=faced, identity=("003", "", ""), trials={"faced_emotion": {"amusement": 8, "anger": 8}}),
    "fingermovements": Layout(
        write=ts("fingermovements", ["left", "right"]), identity=("1", "", "test"), recordings=2,
        trials={"finger_side": {"left": 2, "right": 2}},
    ),
    "guinea_bissau": Layout(
        write=guinea_bissau,
        identity=("1", "", ""),
        recordings=2,
        trials={"epilepsy": {"epilepsy": 75, "control": 75}},
    ),
    "hmc": Layout(
        write=with_scoring(
            edf("hmc", "recordings/SN001.edf", 256, 120), "recordings/SN001_sleepscoring.edf",
            ["Sleep stage W", "Sleep stage N2", "Sleep stage R", "Lights off"],
        ),
        identity=("001", "", ""),
        trials={"hmc_stage": {"wake": 1, "n2": 1, "rem": 1}},
    ),
    "seed_iv": Layout(
        write=seed_iv,
        identity=("7", "2", ""),
        trials={"seed_iv_emotion": {"neutral": 12, "sad": 12, "fear": 12, "happy": 12}},
    ),
    "seed_v": Layout(
        write=lambda folder: write_cnt(folder / "EEG_raw" / "10_1_20180507.cnt", channels_of("seed_v"), 1000, 110),
        identity=("10", "1", ""),
        trials={"seed_v_emotion": {"happy": 18}},
    ),
    "selfregulationscp1": Layout(
        write=ts("selfregulationscp1", ["negativity", "positivity"]), identity=("1", "", "test"), recordings=2,
        trials={"scp1_polarity": {"negativity": 2, "positivity": 2}},
    ),
    "selfregulationscp2": Layout(
        write=ts("selfregulationscp2", ["negativity", "positivity"]), identity=("1", "", "test"), recordings=2,
        trials={"scp2_polarity": {"negativity": 2, "positivity": 2}},
    ),
    "siena": Layout(
        write=with_clock_list(edf("siena", "PN00/PN00-1.edf", 512, 60), "PN00/Seizures-list-PN00.txt"),
        identity=("00", "", "1"),
        trials={"siena_seizure": {"background": 3, "seizure": 1}},
    ),
    "sleep_edf": Layout(
        write=with_scoring(
            edf("sleep_edf", "sleep-cassette/SC4011E0-PSG.edf", 100, 120),
            "sleep-cassette/SC4011EC-Hypnogram.edf",
            ["Sleep stage W", "Sleep stage 3", "Sleep stage 4", "Sleep stage ?"],
        ),
        identity=("01", "1", ""),
        trials={"sleep_edf_stage": {"wake": 1, "n3": 2}},
    ),
    "ssvep_exo": Layout(
        write=ssvep_exo,
        identity=("05", "", "1"),
        trials={"ssvep_frequency": {"rest": 1, "13Hz": 1, "17Hz": 1, "21Hz": 1}},
    ),
    "stew": Layout(
        write=stew, identity=("07", "", "hi"), recordings=2, trials={"stew_load": {"rest": 2, "multitasking": 2}}
    ),
    "tuab": Layout(
        write=edf("tuab", "edf/train/abnormal/01_tcp_ar/aaaaaaaq_s004_t000.edf", 256, 30),
        identity=("aaaaaaaq", "abnormal", "s004_t000"),
        trials={"tuab_abnormal": {"abnormal": 7}},
    ),
    "uci_alcohol": Layout(
        write=uci_alcohol,
        identity=("co2a0000364", "", ""),
        trials={"alcoholism": {"alcoholic": 4}, "picture": {"first": 2, "match": 1, "no_match": 1}},
    ),
}  # fmt: skip


def counted(trials: Sequence[tuple[str, str]]) -> dict[str, dict[str, int]]:
    """(task, label) pairs as counts by task and label."""
    out: dict[str, dict[str, int]] = {}
    for (task, label), n in sorted(Counter(trials).items()):
        out.setdefault(task, {})[label] = n
    return out
