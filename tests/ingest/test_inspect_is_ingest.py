"""What `inspect` tells is what `ingest` then does, channel by channel; and every second is accounted for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from eegprep.errors import InputError
from eegprep.ingest import Inspection, ingest, inspect
from eegprep.ingest.inspection import Inspected
from eegprep.manifest import find_manifest, load_recipe
from eegprep.manifest.recipe import Recipe
from eegprep.manifest.schema import Manifest
from eegprep.recording import RecordingInfo
from eegprep.sources.implicit import manifest_for_path
from eegprep.store import Store

SETS = ("eegmat", "eegmmidb", "guinea_bissau", "ssvep_exo", "uci_alcohol", "formats", "malformed")
LIMIT_UV = 99999.0


@dataclass(frozen=True)
class Both:
    told: Inspection
    infos: dict[str, RecordingInfo]
    failed: dict[str, dict[str, str | None]]
    duplicates: dict[str, str]
    name: str
    recorded_h: float = 0.0
    """Kept and left out, as the summary adds them up."""


def run_both(
    manifest: Manifest, folder: Path, out: Path, *, recipe: Recipe | None = None, workers: int = 0, partial: bool = True
) -> Both:
    told = inspect(manifest, folder, recipe=recipe, workers=workers, partial=partial)
    failed: dict[str, dict[str, str | None]] = {}
    if any(r.usable for r in told.recordings):
        summary = ingest(manifest, folder, out, recipe=recipe, workers=workers, partial=partial)
        assert (summary.exit_code, summary.unmet) == (told.exit_code, told.unmet)
        infos = {i.id: i for i in Store(out).infos()}
        failed = {k: dict(v) for k, v in summary.failed.items()}
        recorded_h = summary.electrode_hours + sum(summary.electrode_hours_left_out.values())
        return Both(told, infos, failed, dict(summary.duplicates), manifest.name, recorded_h)
    # Nothing can be stored: one error speaks for all.
    with pytest.raises(InputError) as refused:
        ingest(manifest, folder, out, recipe=recipe, workers=workers, partial=partial)
    assert not out.exists()
    for r in told.recordings:
        assert r.error is not None
        assert str(r.error["what"]) in refused.value.what
        failed[f"{manifest.name}/{r.key}"] = dict(r.error)
    return Both(told, {}, failed, {}, manifest.name)


def check_told(both: Both) -> None:
    by_id = {f"{both.name}/{r.key}": r for r in both.told.recordings}
    assert {i for i, r in by_id.items() if r.error} == set(both.failed)
    assert {i: f"{both.name}/{r.duplicate_of}" for i, r in by_id.items() if r.duplicate_of} == both.duplicates
    assert {i for i, r in by_id.items() if r.usable} == set(both.infos)
    for identity, error in both.failed.items():
        told = by_id[identity].error
        assert told is not None
        for part in ("error", "what", "found", "expected", "todo"):
            assert told[part] == error[part], (identity, part)
    for identity, info in both.infos.items():
        check_recording(by_id[identity], info)


def check_recording(told: Inspected, info: RecordingInfo) -> None:
    silent = {x.name for x in info.left_out if x.kind == "channel" and x.code == "silent"}
    kept = [(c.name, c.electrode) for c in told.channels if c.electrode is not None]
    assert kept == [x for x in zip(info.source_channels, info.electrodes, strict=True) if x[0] not in silent], info.id
    own = {x.stored_as for x in told.channels}
    left_out = Counter((x.name, x.code) for x in info.left_out if x.kind == "channel" and x.name in own)
    assert Counter((c.stored_as, c.code) for c in told.channels if c.electrode is None) == left_out
    reasons = {(x.name, x.code): x.reason for x in info.left_out if x.kind == "channel"}
    for channel in told.channels:
        if channel.electrode is None and channel.stored_as == channel.name:
            assert channel.reason == reasons[channel.name, channel.code]
    assert [dict(x) for x in told.left_out] == [vars(x) for x in info.left_out]
    assert told.signal_hash == info.signal_sha256
    assert told.units_evidence == info.units_evidence
    assert told.steps == info.steps
    assert told.line_freq_hz == info.line_freq_hz
    assert told.trials == Counter(t.task for t in info.trials)
    rows = {name: row for row, name in enumerate(info.source_channels)}
    for channel in told.channels:
        assert channel.hours_kept + channel.hours_left_out == pytest.approx(info.n_samples / 256 / 3600)
        if channel.electrode is not None:
            row = rows[channel.name]
            assert 3600 * channel.hours_kept == pytest.approx(info.quality["kept_s"][row])
            assert channel.line_noise_ratio == info.quality["line_noise_ratio"][row]
            assert channel.amplitude_uv == info.quality["amplitude_uv"][row]
            if info.references[row] != "average":
                assert channel.reference == info.references[row]
        assert sum(channel.left_out_s.values()) == pytest.approx(3600 * channel.hours_left_out)


def check_account(info: RecordingInfo) -> None:
    """Recorded = kept + left out, sample by sample, for every electrode; no sample is left out twice."""
    silent = {x.name for x in info.left_out if x.kind == "channel" and x.code == "silent"}
    for name, electrode in zip(info.source_channels, info.electrodes, strict=True):
        kept = sum(s.n_samples for s in info.kept(electrode))
        if name in silent:
            assert kept == 0
            continue
        out = [x for x in info.left_out if x.kind == "stretch" and x.name in (name, "all")]
        assert all(x.reason and x.code and x.n_samples for x in out)
        assert kept + sum(x.n_samples or 0 for x in out) == info.n_samples, (info.id, name)
        covered = np.zeros(info.n_samples, np.int8)
        for s in info.kept(electrode):
            covered[s.start_sample : s.stop_sample] += 1
        for x in out:
            if x.start_sample is not None and x.n_samples is not None:
                covered[x.start_sample : x.start_sample + x.n_samples] += 1
        assert covered.max() <= 1
        rounded = sum(x.n_samples or 0 for x in out if x.start_sample is None)
        assert int((covered == 0).sum()) == rounded


@pytest.fixture(scope="module", params=SETS)
def real(request: pytest.FixtureRequest, data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Both:
    folder = data_dir / request.param
    if not folder.is_dir():
        pytest.skip(f"needs {folder}")
    plain = request.param in ("formats", "malformed")
    manifest = manifest_for_path(folder) if plain else find_manifest(request.param)
    recipe = load_recipe("epochs") if plain else None
    # Some readers of strange formats crash: those run in a process of their own.
    out = tmp_path_factory.mktemp("both") / "store"
    return run_both(manifest, folder, out, recipe=recipe, workers=1 if plain else 0)


def test_inspect_equals_ingest_on_real_files(real: Both) -> None:
    """`inspect` tells of real recordings what ingest does."""
    assert real.told.recordings
    check_told(real)


def test_every_real_second_is_accounted_for(real: Both) -> None:
    """Every second of real recordings is kept or left out for one reason."""
    for info in real.infos.values():
        check_account(info)
    assert real.recorded_h == pytest.approx(
        sum(i.n_samples * len(i.electrodes) for i in real.infos.values()) / 256 / 3600
    )


def damaged(base: np.ndarray, kind: str, rng: np.random.Generator) -> np.ndarray:
    signal, n = base.copy(), base.shape[1]
    row = int(rng.integers(0, 3))
    at, length = sorted(rng.integers(0, n - 1, 2))
    part = slice(at, max(length, at + 400))
    if kind == "flat":
        signal[row, part] = signal[row, at]
    elif kind == "clipped":
        signal[row] = np.clip(signal[row], -15, 15)
    elif kind == "dead":
        signal[row] = 0.0
    elif kind == "all dead":
        signal[:] = 0.0
    elif kind == "large":
        signal[row, part] += np.where(np.arange(n)[part] % 80 < 40, 1.0, -1.0) * 3000
    elif kind == "loud":
        signal[row] *= 60
    elif kind == "millivolt":
        signal *= 1000
    elif kind == "mains":
        signal[row] += 400 * np.sin(np.arange(n) * 2 * np.pi * 50 / 200)
    elif kind == "noise":
        signal = rng.normal(0, 2000, signal.shape)
    return np.clip(signal, -LIMIT_UV, LIMIT_UV)


KINDS = (
    "",
    "flat",
    "clipped",
    "dead",
    "all dead",
    "large",
    "loud",
    "millivolt",
    "mains",
    "noise",
    "cut",
    "bytes",
    "crlf",
)


def test_inspect_equals_ingest_on_damaged(
    manifest: Manifest,
    tmp_path: Path,
    eeg_signal: Callable[[int], np.ndarray],
    write_edf: Callable[..., None],
) -> None:
    """`inspect` tells of damaged recordings what ingest does."""
    folder = tmp_path / "data"
    for seed in range(3 * len(KINDS)):
        kind, rng = KINDS[seed % len(KINDS)], np.random.default_rng(seed)
        path = folder / f"s{seed:02d}_{1 + seed % 2}.edf"
        write_edf(path, damaged(eeg_signal(seed), kind, rng), physical_uv=LIMIT_UV)
        raw = path.read_bytes()
        if kind == "cut":
            path.write_bytes(raw[: int(rng.integers(100, len(raw)))])
        elif kind == "bytes":
            wrong = bytearray(raw)
            for place in rng.integers(0, 1800, 3):
                wrong[place] = int(rng.integers(32, 127))
            path.write_bytes(bytes(wrong))
        elif kind == "crlf":
            path.write_bytes(raw.replace(b"\n", b"\r\n"))
    (folder / "people.csv").write_text("id,Group\n" + "".join(f"s{i:02d},a\n" for i in range(99)), encoding="utf-8")
    both = run_both(manifest, folder, tmp_path / "store")
    check_told(both)
    assert len(both.infos) > 15
    assert len(both.failed) > 8
    codes = Counter(x.code for i in both.infos.values() for x in i.left_out)
    assert set(codes) >= {"ecg", "manifest_left_out", "flat", "clipped", "too_large", "disconnected"}
    for info in both.infos.values():
        check_account(info)
