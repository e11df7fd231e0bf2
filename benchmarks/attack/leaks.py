"""Canaries in the headers of every format that a library writes, and altered copies against the leakage guard."""

from __future__ import annotations

import contextlib
import datetime
import io
import shutil
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from examples import TESTS
from pool import Fault

CANARY = "CANARYQZX"


def _raw() -> Any:
    import mne
    from support import recordings

    x = recordings.eeg_uv(6, 200 * 40)
    return mne.io.RawArray(x * 1e-6, mne.create_info(list(recordings.NAMES), 200.0, "eeg"), verbose="ERROR")


def _fif(**fields: Any) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        raw = _raw()
        with raw.info._unlock():
            for name, value in fields.items():
                raw.info[name] = value
        raw.save(folder / "a_raw.fif", verbose="ERROR")

    return write


def _annotated(ending: str) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        import mne

        raw = _raw()
        raw.set_annotations(mne.Annotations([2.0, 5.0], [1.0, 0.0], [CANARY, f"{CANARY} 2"]))
        path = folder / f"a{ending}"
        if ending == "_raw.fif":
            raw.save(path, verbose="ERROR")
        else:
            mne.export.export_raw(
                path, raw, physical_range=(-500, 500) if ending == ".edf" else "auto", verbose="ERROR"
            )

    return write


def _named(ending: str) -> Callable[[Path], None]:
    """A channel that is no electrode has a person's name."""

    def write(folder: Path) -> None:
        import mne

        raw = _raw()
        raw.rename_channels({"Fp2": CANARY})
        path = folder / f"a{ending}"
        if ending == "_raw.fif":
            raw.save(path, verbose="ERROR")
        else:
            mne.export.export_raw(
                path, raw, physical_range=(-500, 500) if ending == ".edf" else "auto", verbose="ERROR"
            )

    return write


def _edf(**fields: Any) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        import edfio
        from support import recordings

        own = {
            k: v for k, v in fields.items() if k in ("label", "transducer_type", "prefiltering", "physical_dimension")
        }
        x = recordings.eeg_uv(6, 200 * 40)
        signals = []
        for k, (name, row) in enumerate(zip(recordings.NAMES, x, strict=True)):
            more = {"label": name, "physical_dimension": "uV", **(own if k == 1 else {})}
            signals.append(edfio.EdfSignal(row, 200, physical_range=(-500, 500), **more))
        whole = {k: v for k, v in fields.items() if k not in own}
        edfio.Edf(signals, **whole).write(folder / "a.edf")

    return write


def _pybv(**fields: Any) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        import pybv
        from support import recordings

        pybv.write_brainvision(
            data=recordings.eeg_uv(6, 200 * 40) * 1e-6, sfreq=200, ch_names=list(recordings.NAMES), fname_base="a",
            folder_out=str(folder), **fields,
        )  # fmt: skip

    return write


def _matlab(**fields: Any) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        from support import recordings

        recordings.write_eeglab(folder / "a.set", recordings.NAMES, recordings.eeg_uv(6, 8000), 8000, **fields)

    return write


def _written(name: str) -> Callable[[Path], None]:
    """A file of the tests' own writers, whose headers have canaries already."""

    def write(folder: Path) -> None:
        from examples import recordings as write_all

        made = folder.with_name("formats")
        if not made.exists():
            write_all(made)
        if not (made / name).exists():
            raise ModuleNotFoundError(name)
        shutil.copytree(made / name, folder, dirs_exist_ok=True)

    return write


def places() -> dict[str, Callable[[Path], None]]:
    """Writers by format and header field."""
    import edfio

    person = {"id": 1, "his_id": CANARY, "last_name": CANARY, "first_name": CANARY, "middle_name": CANARY}
    out: dict[str, Callable[[Path], None]] = {
        "fif subject": _fif(subject_info=person),
        "fif description": _fif(description=CANARY),
        "fif experimenter": _fif(experimenter=CANARY),
        "fif project": _fif(proj_name=CANARY, proj_id=1),
        "fif device": _fif(device_info={"type": CANARY, "model": CANARY, "serial": CANARY, "site": CANARY}),
        "fif helium": _fif(helium_info={
            "he_level_raw": 1.0, "helium_level": 1.0, "orig_file_guid": CANARY,
            "meas_date": datetime.datetime(2001, 2, 3, tzinfo=datetime.UTC),
        }),
        "fif xplotter": _fif(xplotter_layout=CANARY),
        "edf patient": _edf(patient=edfio.Patient(code=CANARY, name=CANARY, additional=(CANARY,))),
        "edf recording": _edf(recording=edfio.Recording(
            hospital_administration_code=CANARY, investigator_technician_code=CANARY, equipment_code=CANARY,
            additional=(CANARY,),
        )),
        "edf transducer": _edf(transducer_type=CANARY),
        "edf prefiltering": _edf(prefiltering=CANARY),
        "edf label": _edf(label=CANARY),
        "edf dimension": _edf(physical_dimension="CANARYQZ"),
        "edf annotations": _edf(annotations=[edfio.EdfAnnotation(1.0, 1.0, CANARY)]),
        "brainvision events": _pybv(events=[
            {"onset": 100, "duration": 1, "description": CANARY, "type": "Comment", "channels": "all"},
        ]),
        "brainvision label": _pybv(ref_ch_names=CANARY),
    }  # fmt: skip
    out |= {f"annotations {e}": _annotated(e) for e in ("_raw.fif", ".edf", ".vhdr", ".set")}
    out |= {f"channel {e}": _named(e) for e in ("_raw.fif", ".edf", ".vhdr", ".set")}
    texts = ("setname", "filename", "filepath", "subject", "group", "condition", "comments", "history", "ref")
    out |= {f"eeglab {field}": _matlab(**{field: CANARY}) for field in texts}
    out["eeglab event"] = _matlab(event=np.array([(CANARY, 100.0)], dtype=[("type", object), ("latency", float)]))
    out["eeglab etc"] = _matlab(etc={"who": CANARY, "more": {"deep": CANARY}})
    formats = ("edf", "bdf", "persyst", "neuroscan", "xdf", "bci2000", "mef", "edf_plus", "brainvision", "gdf", "bids")
    out |= {f"writer {name}": _written(name) for name in formats}
    return out


class Canaries:
    """Ingest, shards, report, and everything printed: no canary anywhere."""

    def __init__(self, folder: Path, originals: Path, seed: int) -> None:
        warnings.simplefilter("ignore")
        sys.path.insert(0, str(TESTS))
        self.folder = folder
        self.places = list(places().items())

    def run(self, number: int) -> str:
        from eegprep.errors import EEGPTError
        from eegprep.ingest import ingest
        from eegprep.report.page import write_report
        from eegprep.shards import build_shard_set
        from eegprep.sources import manifest_for_path

        what, write = self.places[number % len(self.places)]
        place = self.folder / f"p{number}"
        raw, out = place / "raw", place / "out"
        raw.mkdir(parents=True)
        out.mkdir()
        write(raw)
        printed = io.StringIO()
        result = "equal"
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            try:
                print(ingest(manifest_for_path(raw), raw, out / "store", workers=0).failed)
                write_report(out / "store", out / "store.html")
                build_shard_set([out / "store"], out / "set", sync=False)
                write_report(out / "set", out / "set.html")
            except EEGPTError as error:
                print(error)
                result = "refused"
        texts = {str(p.relative_to(out)): p.read_bytes() for p in out.rglob("*") if p.is_file()}
        texts |= {"printed": printed.getvalue().encode()} | {f"name {n}": n.encode() for n in texts}
        found = [n for n, data in texts.items() if b"CANARY" in data or "CANARY".encode("utf-16-le") in data]
        shutil.rmtree(place)
        if found:
            raise Fault(f"{what}: a canary is in {found[:5]}")
        return result


class Copies:
    """Altered copies of a recording against the leakage guard, and different recordings against each other."""

    def __init__(self, folder: Path, originals: Path, seed: int) -> None:
        sys.path.insert(0, str(TESTS.parent / "benchmarks"))
        import copies

        self.copies, self.names = copies, ["Fp1", "Fp2", "C3", "C4", "O1", "O2", "Fz", "Cz", "Pz", "Oz"]
        self.seed = seed

    def signal(self, number: int) -> np.ndarray:
        """Three minutes of noise with the spectrum of EEG, partly shared by all electrodes, and an alpha rhythm."""
        n, rng = 256 * 180, np.random.default_rng([self.seed, number])
        # power as 1/f^2; where it falls as 1/f, low-passed copies are missed (docs/results/attacks.md)
        falling = np.maximum(np.fft.rfftfreq(n, 1 / 256), 0.5)
        noise = np.fft.irfft(np.fft.rfft(rng.normal(size=(len(self.names) + 1, n)), axis=1) / falling, n, axis=1)
        noise *= 10 / noise.std(axis=1, keepdims=True)
        alpha = 5 * np.sin(2 * np.pi * (10 * np.arange(n) / 256 + rng.uniform()))
        return np.asarray(noise[:-1] + 0.7 * noise[-1] + alpha)

    def run(self, number: int) -> str:
        from eegprep.splits import Seen, SeenRecording, find_leaks

        group = number // 17
        x = self.signal(group)
        altered = {**self.copies.altered(self.names, x), "another recording": (self.names, self.signal(group + 500))}
        what, (names, copy) = list(altered.items())[number % len(altered)]
        seen = SeenRecording(id="a/1/-/1", fingerprint=str(self.copies.print_of(self.names, x)))
        test = SeenRecording(id="b/2/-/1", fingerprint=str(self.copies.print_of(names, copy)))
        caught = bool(find_leaks(Seen.of([seen]), [test]))
        if caught == (what == "another recording"):
            raise Fault(f"{what}: {'taken for a copy' if caught else 'not found'}")
        return "refused" if caught else "equal"


KINDS: dict[str, Callable[..., Any]] = {"canaries": Canaries, "altered copies": Copies}
