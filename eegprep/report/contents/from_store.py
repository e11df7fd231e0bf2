"""`Contents` of a store: counts from the sidecars, spectra and amplitudes from a sample of the signal."""

from __future__ import annotations

import functools
import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from eegprep.electrodes import Vocabulary
from eegprep.electrodes.montage_check import montage_warning
from eegprep.errors import InputError
from eegprep.manifest.lock import LOCK_NAME
from eegprep.manifest.recipe import describe_steps
from eegprep.manifest.schema import Manifest
from eegprep.recording import RecordingInfo
from eegprep.report.contents.before import spectra_before
from eegprep.report.contents.datasets import dataset_facts, trial_counts
from eegprep.report.contents.facts import (
    Contents,
    ElectrodeFacts,
    Failure,
    RecordingFacts,
)
from eegprep.report.contents.left_out import group_left_out
from eegprep.report.contents.signal import ElectrodeSignal, look_at
from eegprep.store import Store


def contents_of_store(path: Path) -> Contents:
    """Read the store at `path`.

    Raises
    ------
    UsageError, InputError
        If it is not a store, or a sidecar or signal cannot be read.
    """
    store = Store.open(path)
    infos = store.infos()
    manifest = store.manifest
    recordings = tuple(_recording(info) for info in infos)
    after, amplitudes, n_looked_at = look_at([s for info in infos for s in _signals(store, info)])
    spectra = (*after, *spectra_before(infos))
    trials = Counter((i.dataset, t.task, t.label, i.split or "not split") for i in infos for t in i.trials)
    store.close()
    return Contents(
        kind="store",
        name=manifest.name,
        n_bytes=sum(p.stat().st_size for p in sorted(store.path.rglob("*")) if p.is_file()),
        datasets=(dataset_facts(manifest, recordings, {e for i in infos for e in i.electrodes}),) if infos else (),
        recordings=recordings,
        electrodes=_electrodes(infos, store.vocabulary),
        trials=trial_counts(trials, [manifest]),
        left_out=group_left_out(infos),
        failures=_failures(store.quarantine),
        spectra=spectra,
        amplitudes=amplitudes,
        n_looked_at=n_looked_at,
        steps=_common_steps(infos),
        warnings=(low,) if (low := montage_warning([i.montage for i in infos if i.montage is not None])) else (),
        provenance=(*_unfinished(store), *_provenance(manifest, infos)),
    )


def _recording(info: RecordingInfo) -> RecordingFacts:
    per_hour = info.sfreq_hz * 3600
    kept = [info.covered(info.kept(e)) for e in info.inputs]
    whole = info.n_recorded * len(info.electrodes)
    sigmas = np.array(info.sigma_uv, dtype=np.float64)
    low, median, high = np.percentile(sigmas, [0, 50, 100]).tolist() if sigmas.size else (None, None, None)
    figures = {}
    for name, values in sorted(info.quality.items()):
        numbers = [v for v in values if v is not None and np.isfinite(v)]
        if numbers:
            figures[name] = float(max(numbers))
    if info.montage is not None:
        figures["montage"] = info.montage.figure
    return RecordingFacts(
        id=info.id,
        dataset=info.dataset,
        subject=info.subject,
        split=info.split,
        hours=max(kept, default=0) / per_hour,
        n_electrodes=len(info.electrodes),
        n_trials=len(info.trials),
        electrode_hours=sum(kept) / per_hour,
        electrode_hours_lost=(whole - sum(kept)) / per_hour,
        n_channels_left_out=sum(x.kind == "channel" for x in info.left_out),
        sigma_uv_low=low,
        sigma_uv_median=median,
        sigma_uv_high=high,
        figures=figures,
    )


def _electrodes(infos: Sequence[RecordingInfo], vocabulary: Vocabulary) -> tuple[ElectrodeFacts, ...]:
    hours: dict[str, float] = defaultdict(float)
    n_recordings: Counter[str] = Counter()
    sigmas: dict[str, list[float]] = defaultdict(list)
    for info in infos:
        for row, electrode in enumerate(info.electrodes):
            hours[electrode] += info.covered(info.kept(info.inputs[row])) / info.sfreq_hz / 3600
            n_recordings[electrode] += electrode not in info.electrodes[:row]
            if row < len(info.sigma_uv):
                sigmas[electrode].append(info.sigma_uv[row])
    ids = {name: i for i, name in enumerate(vocabulary.names)}
    names = sorted(hours, key=lambda name: (ids.get(name, len(ids)), name))
    out = []
    for name in names:
        position = vocabulary.position_m(name) if name in vocabulary else None
        out.append(
            ElectrodeFacts(
                name=name,
                position_m=None if position is None else (float(position[0]), float(position[1]), float(position[2])),
                hours=hours[name],
                n_recordings=n_recordings[name],
                sigma_uv=float(np.median(sigmas[name])) if sigmas[name] else None,
            )
        )
    return tuple(out)


def _signals(store: Store, info: RecordingInfo) -> list[ElectrodeSignal]:
    return [
        ElectrodeSignal(
            dataset=info.dataset,
            recording=info.id,
            electrode=electrode,
            sfreq_hz=info.sfreq_hz,
            stretches=info.kept(electrode),
            read=functools.partial(_read, store, info, electrode),
        )
        for electrode in info.inputs
    ]


def _read(store: Store, info: RecordingInfo, electrode: str, start: int, n: int) -> NDArray[np.float32]:
    from eegprep.recording import Stretch

    return store.electrode_uv(info, electrode, Stretch(start_sample=start, n_samples=n))


def _failures(quarantine: Path) -> tuple[Failure, ...]:
    out = []
    for path in sorted(quarantine.glob("*.json")) if quarantine.is_dir() else []:
        try:
            record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise InputError("invalid quarantine record", where=path, found=error) from error
        error_part = record.get("error")
        parts: dict[str, Any] = error_part if isinstance(error_part, dict) else record
        out.append(
            Failure(
                name=str(record.get("id") or record.get("recording") or path.stem),
                what=str(parts.get("what") or parts.get("message") or parts.get("error") or "failed"),
                found=str(parts.get("found") or ""),
                todo=str(parts.get("todo") or ""),
            )
        )
    return tuple(out)


def _common_steps(infos: Sequence[RecordingInfo]) -> tuple[str, ...]:
    """The most common sequence of steps, as text."""
    counts = Counter(
        describe_steps(info.steps, sfreq_hz=info.source_sfreq_hz, line_freq_hz=info.line_freq_hz) for info in infos
    )
    return min(counts, key=lambda steps: (-counts[steps], steps)) if counts else ()


def _unfinished(store: Store) -> tuple[tuple[str, str], ...]:
    whole = (store.path / LOCK_NAME).is_file()
    return () if whole else (("ingest", "stopped or still running: recordings may be missing"),)


def _provenance(manifest: Manifest, infos: Sequence[RecordingInfo]) -> tuple[tuple[str, str], ...]:
    lines = [("manifest", f"{manifest.name}, version {manifest.version}")]
    for what, counts in (
        ("file formats", Counter(i.source_format for i in infos)),
        ("sampling rates of the files", Counter(f"{i.source_sfreq_hz:g} Hz" for i in infos)),
        ("references", Counter(r for i in infos for r in set(i.references))),
        ("evidence for the unit", Counter(i.units_evidence.split(";")[0] for i in infos)),
        ("line frequency", Counter(f"{i.line_freq_hz:g} Hz" if i.line_freq_hz else "not known" for i in infos)),
    ):
        shown = [f"{name} ({n})" for name, n in sorted(counts.items(), key=lambda x: (-x[1], x[0])) if name]
        if shown:
            more = f", and {len(shown) - 6} more" if len(shown) > 6 else ""
            lines.append((what, ", ".join(shown[:6]) + more))
    return tuple(lines)
