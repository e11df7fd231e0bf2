"""Small generated recordings in many formats: EEG-like signals, headers filled with marked strings."""

from __future__ import annotations

import gzip
import struct
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest
import scipy.io

from eegprep.manifest.schema import Manifest

NAMES = ("Fp1", "Fp2", "C3", "C4", "O1", "O2")
CANARY = "CANARYJohnDoe"

#: A data set in BIDS without tasks.
BIDS_MANIFEST = """\
manifest: 1
name: bids
version: "1"
title: Tables
citation: made for a test
licence: {id: CC0-1.0}
anonymous_subjects: true
source: {kind: bids}
"""


def eeg_uv(n_channels: int, n_samples: int, *, seed: int = 0, amplitude: float = 12.0) -> np.ndarray:
    """Noise whose power falls with frequency, with the amplitude of EEG."""
    generator = np.random.default_rng(seed)
    spectrum = np.fft.rfft(generator.standard_normal((n_channels, n_samples)), axis=1)
    freqs = np.maximum(np.arange(spectrum.shape[1]) / n_samples, 1 / n_samples)
    signal = np.fft.irfft(spectrum / np.sqrt(freqs), n_samples, axis=1)
    return amplitude * signal / signal.std(axis=1, keepdims=True)


def write_edf(
    path: Path,
    signal_uv: np.ndarray,
    *,
    sfreq_hz: int = 200,
    names: Sequence[str] = NAMES,
    unit: str = "uV",
    kind: str = "EDF+C",
    annotations: Sequence[tuple[float, float | None, str]] = (),
    record_starts: Sequence[float] | None = None,
    bdf: bool = False,
    extra: Sequence[tuple[str, int, np.ndarray]] = (),
) -> Path:
    """An EDF or BDF file of one-second records, written byte by byte so that every field can be wrong on purpose.

    `extra` are further signals of another rate: (label, samples per record, integers).
    """
    n_records = signal_uv.shape[1] // sfreq_hz
    starts = list(record_starts) if record_starts is not None else [float(k) for k in range(n_records)]
    digital_max = 8388607 if bdf else 32767
    physical_max = 3276.7
    tals: list[bytes] = []
    for k in range(n_records):
        text = b"+%s\x14\x14\x00" % f"{starts[k]:g}".encode()
        if k == 0:
            for onset, duration, label in annotations:
                lasts = b"" if duration is None else b"\x15%s" % f"{duration:g}".encode()
                text += b"+%s%s\x14%s\x14\x00" % (f"{onset:g}".encode(), lasts, label.encode())
        tals.append(text)
    width = 3 if bdf else 2
    n_tal = -(-max(map(len, tals)) // width)
    labels = [*names, *[e[0] for e in extra], ("BDF" if bdf else "EDF") + " Annotations"]
    counts = [sfreq_hz] * len(names) + [e[1] for e in extra] + [n_tal]
    n = len(labels)

    def field(text: object, size: int) -> bytes:
        return str(text).encode("latin-1")[:size].ljust(size)

    head = (b"\xffBIOSEMI" if bdf else field("0", 8)) + field(f"{CANARY} M 01-JAN-1970 {CANARY}", 80)
    head += field(f"Startdate 02-FEB-1971 {CANARY}", 80) + field("02.02.71", 8) + field("10.11.12", 8)
    head += field(256 * (n + 1), 8) + field(kind.replace("EDF", "BDF") if bdf else kind, 44)
    head += field(n_records, 8) + field(1, 8) + field(n, 4)
    columns: list[list[tuple[object, int]]] = [
        [(label, 16) for label in labels],
        [(CANARY, 80)] * n,
        [(unit, 8)] * (n - 1) + [("", 8)],
        [(-physical_max, 8)] * (n - 1) + [(-1, 8)],
        [(physical_max, 8)] * (n - 1) + [(1, 8)],
        [(-digital_max, 8)] * (n - 1) + [(-32768, 8)],
        [(digital_max, 8)] * (n - 1) + [(32767, 8)],
        [(CANARY, 80)] * n,
        [(c, 8) for c in counts],
        [("", 32)] * n,
    ]
    head += b"".join(field(text, size) for column in columns for text, size in column)
    digital = np.clip(np.rint(signal_uv / physical_max * digital_max), -digital_max, digital_max).astype("<i4")

    def packed(values: np.ndarray) -> bytes:
        wide = np.ascontiguousarray(values, dtype="<i4").view(np.uint8).reshape(-1, 4)
        return wide[:, :width].tobytes()

    body = b""
    for k in range(n_records):
        body += b"".join(packed(row[k * sfreq_hz : (k + 1) * sfreq_hz]) for row in digital)
        body += b"".join(packed(values[k * count : (k + 1) * count]) for _, count, values in extra)
        body += tals[k].ljust(n_tal * width, b"\0")
    path.write_bytes(head + body)
    return path


def write_ts(path: Path, cases: Sequence[tuple[np.ndarray, str]]) -> Path:
    lines = ["# gr\xf6\xdfer", "@problemName made", "@classLabel true a b", "@data"]
    for signal, label in cases:
        lines.append(":".join(",".join(f"{v:.4f}" for v in row) for row in signal) + f":{label}")
    path.write_text("\n".join(lines) + "\n", encoding="latin-1")
    return path


def write_uci(folder: Path, subject: str, *, n_trials: int = 3) -> None:
    (folder / subject).mkdir(parents=True)
    for trial in range(n_trials):
        signal = eeg_uv(len(NAMES), 256, seed=trial)
        lines = [f"# {subject}.rd", "# 120 trials, 64 chans, 416 samples 368 post_stim samples", "# 3.906000 msecs uV"]
        lines.append(f"# {('S1 obj', 'S2 match', 'S2 nomatch,')[trial % 3].strip(',')} , trial {trial}")
        for c, name in enumerate(NAMES):
            lines.append(f"# {name} chan {c}")
            lines += [f"{trial} {name} {i} {signal[c, i]:.3f}" for i in range(256)]
        with gzip.open(folder / subject / f"{subject}.rd.{trial:03d}.gz", "wt") as handle:
            handle.write("\n".join(lines) + "\n")


def write_neuroscan(
    path: Path, signal_uv: np.ndarray, *, sfreq_hz: int = 250, n_bytes: int = 2, n_stated: int = 0
) -> Path:
    """Scale 0.1 µV a step; one event with code 7 at sample 100, a rejected span from 200 to 260."""
    n_channels, n_samples = signal_uv.shape
    first = 900 + 75 * n_channels
    head = bytearray(900)
    head[:12] = b"Version 3.0\0"
    head[21:41] = CANARY.encode().ljust(20, b"\0")
    struct.pack_into("<H", head, 370, n_channels)
    struct.pack_into("<H", head, 376, sfreq_hz)
    struct.pack_into("<i", head, 864, n_stated)
    struct.pack_into("<I", head, 886, first + n_bytes * n_channels * n_samples)
    electrodes = b""
    for name in NAMES[:n_channels]:
        one = bytearray(75)
        one[: len(name)] = name.encode()
        struct.pack_into("<f", one, 59, 20.48)
        struct.pack_into("<f", one, 71, 1.0)
        electrodes += bytes(one)
    samples = np.rint(signal_uv.T * 10).astype(f"<i{n_bytes}").tobytes()
    marks = [(7, 0, 100), (0, 0xC0, 200), (0, 0xD0, 260)]
    events = b"".join(struct.pack("<HBBi", code, 0, key, first + at * n_channels * n_bytes) for code, key, at in marks)
    path.write_bytes(bytes(head) + electrodes + samples + struct.pack("<BII", 1, len(events), 0) + events)
    return path


def write_eeglab(path: Path, names: Sequence[str], data: object, n_samples: int, **fields: object) -> None:
    places = np.zeros(len(names), dtype=[("labels", object)])
    places["labels"] = list(names)
    content = {"nbchan": len(names), "srate": 200.0, "trials": 1, "pnts": n_samples, "xmin": 0.0, "xmax": 8.0}
    content |= {"data": data, "epoch": [], "event": [], "chanlocs": places, "icawinv": [], "icaweights": []}
    scipy.io.savemat(path, {"EEG": {**content, **fields}})


def write_brainvision(
    folder: Path, stem: str, signal_uv: np.ndarray, names: Sequence[str] = NAMES, *, header: str = "", unit: str = "µV"
) -> Path:
    lines = ["Brain Vision Data Exchange Header File Version 1.0", "[Common Infos]", f"DataFile={stem}.eeg"]
    lines += ["DataFormat=BINARY", "DataOrientation=MULTIPLEXED", f"NumberOfChannels={len(names)}", header]
    lines += ["SamplingInterval=5000", "[Binary Infos]", "BinaryFormat=INT_16", "[Channel Infos]"]
    lines += [f"Ch{i + 1}={n},,0.1,{unit}" for i, n in enumerate(names)]
    (folder / f"{stem}.vhdr").write_text("\n".join([*lines, ""]), encoding="utf-8")
    (folder / f"{stem}.eeg").write_bytes(np.rint(signal_uv.T * 10).astype("<i2").tobytes())
    return folder / f"{stem}.vhdr"


def gdf_header(
    names: Sequence[str], counts: Sequence[int], n_records: int, *, limits: Sequence[float], kind: int
) -> bytearray:
    """The header of GDF 2.20, one record a second, in microvolt.

    `counts` are the samples of each channel in a record, `limits` the physical and digital minimum and maximum, and
    `kind` is the code of the samples' type.
    """
    n = len(names)
    head = bytearray(256 * (n + 1))
    head[:8] = b"GDF 2.20"
    struct.pack_into("<H", head, 184, n + 1)
    struct.pack_into("<q", head, 236, n_records)
    struct.pack_into("<II", head, 244, 1, 1)
    struct.pack_into("<H", head, 252, n)
    for i, (name, count) in enumerate(zip(names, counts, strict=True)):
        head[256 + 16 * i : 256 + 16 * i + len(name)] = name.encode()
        struct.pack_into("<H", head, 256 + 102 * n + 2 * i, 4275)  # microvolt
        for k, value in enumerate(limits):
            struct.pack_into("<d", head, 256 + 104 * n + 8 * n * k + 8 * i, value)
        struct.pack_into("<I", head, 256 + 216 * n + 4 * i, count)
        struct.pack_into("<I", head, 256 + 220 * n + 4 * i, kind)
    return head


def write_gdf(path: Path, signal_uv: np.ndarray, names: Sequence[str] = NAMES) -> Path:
    """GDF 2.20, one record a second at 200 Hz, float32."""
    n, n_records = len(names), signal_uv.shape[1] // 200
    head = gdf_header(names, [200] * n, n_records, limits=(-3276.8, 3276.7, -3276.8, 3276.7), kind=16)
    records = signal_uv.reshape(n, n_records, 200).transpose(1, 0, 2).astype("<f4")
    path.write_bytes(bytes(head) + records.tobytes())
    return path


def write_persyst(
    folder: Path,
    signal_uv: np.ndarray,
    names: Sequence[str] = NAMES,
    *,
    extra: str = "",
    kind: int = 0,
    skipped: int = 0,
) -> Path:
    """An anonymised header: without birth date, sex and handedness."""
    text = "[FileInfo]\nFile=g.dat\nFileType=Interleaved\nSamplingRate=200\nCalibration=0.1\n"
    text += f"HeaderLength={skipped}\nWaveformCount={len(names)}\nDataType={kind}\n[Patient]\nFirst=CANARYJohnDoe\n"
    text += "[ChannelMap]\n" + "".join(f"{n}-Ref={i + 1}\n" for i, n in enumerate(names)) + extra
    (folder / "g.lay").write_text(text)
    samples = np.rint(signal_uv.T * 10).astype("<i4" if kind == 7 else "<i2").tobytes()
    (folder / "g.dat").write_bytes(b"\x07" * skipped + samples)
    return folder / "g.lay"


def curry_header(names: Sequence[str], n_samples: int, *, n_epochs: int = 1) -> str:
    """The header of a recording in Curry at 200 Hz, in microvolt."""
    fields = {
        "FileVersion": 800, "DataFormat": "FLOAT", "DataByteOrder": "INTEL", "DataSampOrder": "SAMP",
        "NumTrials": n_epochs, "AmplifierInfo": "", "NumSamples": n_samples, "NumChannels": len(names),
        "StartYear": 2020, "StartMonth": 1, "StartDay": 1, "StartHour": 12, "StartMin": 0, "StartSec": 0,
        "StartMillisec": 0, "SampleTimeUsec": 5000, "SampleFreqHz": 200, "TriggerOffsetUsec": 0,
    }  # fmt: skip
    lines = "".join(f"   {name} = {value}\n" for name, value in fields.items())
    return f"DATA_PARAMETERS START\n{lines}DATA_PARAMETERS END\n\nDEVICE_PARAMETERS START\n   DataUnit = uV\n" + (
        f"   NumChanThisGroup = {len(names)}\nDEVICE_PARAMETERS END\n\n"
    )


def curry_labels(names: Sequence[str]) -> str:
    """The lists of names and positions of Curry's channels."""
    rows = "".join(f"{name}\n" for name in names)
    places = "".join(f"{i}\t{-i}\t100\n" for i in range(len(names)))
    text = f"NUMBERS START\nNUMBERS END\n\nLABELS START\nLABELS END\n\nLABELS START_LIST\n{rows}LABELS END_LIST\n"
    return text + f"\nSENSORS START\nSENSORS END\n\nSENSORS START_LIST\n{places}SENSORS END_LIST\n"


#: When recordings in MEF3 begin, in microseconds.
MEF_START_US = 1577836800000000


def write_mef(
    path: Path,
    signal_uv: np.ndarray,
    names: Sequence[str] = NAMES,
    *,
    pauses: Sequence[tuple[int, int]] = (),
    own_pauses: Mapping[str, Sequence[tuple[int, int]]] | None = None,
    segments: bool = False,
    records: Sequence[tuple[str, int, int, str]] = (),
) -> Path:
    """A session of MEF3, 200 Hz, 0.1 µV a step, in blocks of one second.

    `pauses` are (first sample after it, microseconds), `own_pauses` those of single channels; with `segments`, a
    segment begins after each pause. `records` are (type, microseconds after the start, duration, text).
    """
    from pymef.mef_session import MefSession

    n_samples = signal_uv.shape[1]
    session = MefSession(str(path), "", new_session=True)
    section_3 = {
        "recording_time_offset": 0, "DST_start_time": 0, "DST_end_time": 0, "GMT_offset": 0,
        "subject_name_1": CANARY.encode(), "subject_name_2": b"", "subject_ID": b"", "recording_location": b"",
    }  # fmt: skip
    stop = MEF_START_US
    for name, values in zip(names, signal_uv, strict=True):
        numbers = np.rint(values * 10).astype(np.int32)
        parts = [(0, 0), *(own_pauses or {}).get(name, pauses)]
        start = MEF_START_US
        for k, ((first, pause), after) in enumerate(zip(parts, [*(p[0] for p in parts[1:]), n_samples], strict=True)):
            start += pause
            stop = start + (after - first) * 5000
            if k and not segments:
                session.append_mef_ts_segment_data(name, 0, "", "", start, stop, 200, numbers[first:after], pause > 0)
            else:
                section_2 = {
                    "channel_description": b"", "session_description": b"", "recording_duration": stop - MEF_START_US,
                    "reference_description": b"", "acquisition_channel_number": 1, "sampling_frequency": 200.0,
                    "notch_filter_frequency_setting": -1.0, "low_frequency_filter_setting": -1.0,
                    "high_frequency_filter_setting": -1.0, "AC_line_frequency": 50.0, "units_conversion_factor": 0.1,
                    "units_description": b"uV", "maximum_native_sample_value": 0.0,
                    "minimum_native_sample_value": 0.0, "start_sample": first, "number_of_blocks": 0,
                    "maximum_block_bytes": 0, "maximum_block_samples": 0, "maximum_difference_bytes": 0,
                    "block_interval": 0, "number_of_discontinuities": 1, "maximum_contiguous_blocks": 0,
                    "maximum_contiguous_block_bytes": 0, "maximum_contiguous_samples": 0,
                    "number_of_samples": after - first,
                }  # fmt: skip
                session.write_mef_ts_segment_metadata(name, k, "", "", start, stop, section_2, section_3)
                session.write_mef_ts_segment_data(name, k, "", "", 200, numbers[first:after])
            start = stop
    if records:
        listed = [
            {"type": kind, "time": MEF_START_US + at, "text": text} | ({"duration": lasts} if kind == "EDFA" else {})
            for kind, at, lasts, text in records
        ]
        session.write_mef_records("", "", MEF_START_US, stop, 0, listed)
    session.close()
    return path


def xdf_chunk(tag: int, content: bytes) -> bytes:
    return b"\x04" + struct.pack("<IH", len(content) + 2, tag) + content


def write_xdf(path: Path, streams: Sequence[tuple], *, cut: int = 0, unit: str = "µV") -> Path:
    """`streams`: (name, type, labels, signal_uv, times); the last `cut` bytes are omitted."""
    out = b"XDF:" + xdf_chunk(1, b'<?xml version="1.0"?><info><version>1.0</version></info>')
    for i, (name, kind, labels, signal, times) in enumerate(streams, 1):
        channels = "".join(f"<channel><label>{n}</label><unit>{unit}</unit></channel>" for n in labels)
        text = f"<info><name>{name}</name><type>{kind}</type><channel_count>{len(labels)}</channel_count>"
        text += "<nominal_srate>200</nominal_srate><channel_format>float32</channel_format><hostname>CANARYJohnDoe"
        text += f"</hostname><desc><channels>{channels}</channels></desc></info>"
        out += xdf_chunk(2, struct.pack("<I", i) + text.encode())
        for part in np.array_split(np.arange(times.size), 4):
            rows = b"".join(b"\x08" + struct.pack("<d", times[k]) + signal[:, k].astype("<f4").tobytes() for k in part)
            out += xdf_chunk(3, struct.pack("<I", i) + b"\x04" + struct.pack("<I", part.size) + rows)
    path.write_bytes(out[: len(out) - cut])
    return path


def make_manifest(**fields: object) -> Manifest:
    base = {"manifest": 1, "name": "made", "version": "1", "title": "t", "citation": "c", "licence": {"id": "CC0-1.0"}}
    return Manifest.model_validate({**base, "anonymous_subjects": True, **fields})


@pytest.fixture(scope="session")
def made() -> dict[str, Callable]:
    """The builders above by name."""
    return {
        "eeg_uv": eeg_uv,
        "edf": write_edf,
        "ts": write_ts,
        "uci": write_uci,
        "neuroscan": write_neuroscan,
        "eeglab": write_eeglab,
        "brainvision": write_brainvision,
        "gdf": write_gdf,
        "persyst": write_persyst,
        "xdf": write_xdf,
        "manifest": make_manifest,
    }


@pytest.fixture(scope="session")
def canary() -> str:
    return CANARY


@pytest.fixture(scope="session")
def names() -> tuple[str, ...]:
    return NAMES
