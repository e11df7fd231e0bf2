"""The source kind `table`: CSV, TSV and text described by the manifest; also one file per electrode.

Values are kept as in the table; the manifest's `unit` gives their unit. A pattern with `{channel}` groups one file per
electrode.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from eegprep.errors import InputError, UsageError
from eegprep.formats.decoded import Decoded, SourceChannel, whole
from eegprep.formats.segments import break_at
from eegprep.formats.tables.text import TextTable, column_events, is_number, read_table
from eegprep.formats.tables.time_column import time_clock
from eegprep.manifest.schema import Manifest
from eegprep.manifest.tasks import named_events
from eegprep.recording import LeftOut


def _rate(manifest: Manifest) -> float:
    if manifest.source.sfreq_hz is None:
        raise UsageError(
            f"the manifest {manifest.name} must state the sampling rate of its tables", expected="`source: sfreq_hz:`"
        )
    return manifest.source.sfreq_hz


def read_described_table(path: Path, manifest: Manifest) -> Decoded:
    """One table of all channels. Raises InputError on damage, UsageError if the manifest says too little."""
    spec, sfreq_hz = manifest.source, _rate(manifest)
    rows_are_channels = spec.orientation == "row_per_channel"
    table = read_table(
        path,
        separator=spec.separator,
        skip_rows=spec.skip_rows,
        encoding=spec.encoding,
        names=None if rows_are_channels else spec.channels or None,
        rows_are_channels=rows_are_channels,
        as_text=[] if spec.event_column is None else [spec.event_column],
    )
    if rows_are_channels:
        return _transposed(table, manifest, sfreq_hz)
    beside = {spec.time_column, spec.event_column}
    listed = list(spec.channels) or [n for n in table.names if n not in beside and n.strip()]
    # without a header line all columns must be named, including a clock's
    clocks = [n for n in listed if table.is_clock(n)]
    names = [n for n in listed if n not in clocks]
    if not names:
        raise InputError(f"{path.name} has no column of numbers", where=path, expected="one column a channel")
    signal = np.stack([table.numbers(n) for n in names])
    notes: list[str] = []
    breaks: list[int] = []
    clock = None
    if spec.time_column is not None:
        breaks, notes, clock = time_clock(table.times(spec.time_column), sfreq_hz, path)
    events = []
    if spec.event_column is not None:
        named = named_events(manifest.tasks)
        events = column_events(table.texts(spec.event_column), named=named, shortest_state=round(sfreq_hz))
    return Decoded(
        format="table",
        sfreq_hz=sfreq_hz,
        channels=tuple(SourceChannel(name=n) for n in names),
        signal=signal,
        stretches=break_at(whole(signal.shape[1]), breaks),
        events=tuple(events),
        reference=manifest.reference,
        left_out=tuple(
            LeftOut(kind="channel", name=n, code="clock", reason="its column holds times of day, not numbers")
            for n in clocks
        ),
        notes=tuple(notes),
        clock=clock,
    )


def _transposed(table: TextTable, manifest: Manifest, sfreq_hz: float) -> Decoded:
    """One row per channel; channel names are in a first column of text, else in the manifest."""
    first = table.texts(table.names[0])
    named = any(not is_number(t) for t in first)
    columns = table.names[1:] if named else table.names
    signal = np.stack([table.numbers(n) for n in columns], axis=1)
    names = first if named else list(manifest.source.channels)
    if len(names) != signal.shape[0]:
        raise InputError(
            f"{table.where.name} has {signal.shape[0]} rows for {len(names)} channels",
            where=table.where,
            expected="one row per channel, named in the first column or in `source: channels:`",
        )
    return Decoded(
        format="table",
        sfreq_hz=sfreq_hz,
        channels=tuple(SourceChannel(name=n) for n in names),
        signal=signal,
        stretches=whole(signal.shape[1]),
        reference=manifest.reference,
    )


def read_electrode_files(paths: Sequence[Path], channels: Sequence[str], manifest: Manifest) -> Decoded:
    """One file per electrode, one value per line (or in the first column)."""
    spec, sfreq_hz = manifest.source, _rate(manifest)
    rows: list[np.ndarray] = []
    for path in paths:
        table = read_table(path, separator=spec.separator, skip_rows=spec.skip_rows, encoding=spec.encoding)
        rows.append(table.numbers(table.names[0]))
    lengths = sorted({r.size for r in rows})
    if len(lengths) > 1:
        raise InputError(
            "the files of the electrodes differ in length",
            where=paths[0].parent,
            found=f"{lengths[0]} to {lengths[-1]} samples",
            expected="the same number of samples in each",
        )
    return Decoded(
        format="table",
        sfreq_hz=sfreq_hz,
        channels=tuple(SourceChannel(name=n) for n in channels),
        signal=np.stack(rows),
        stretches=whole(lengths[0]),
        reference=manifest.reference,
    )
