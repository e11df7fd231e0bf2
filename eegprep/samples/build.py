"""Cut the shipped excerpts from the published files: `python -m eegprep.samples.build NAME ORIGINALS [OUT]`.

The manifest says which seconds of which file are kept (`source: excerpts`). Whole EDF records are copied, and of each
record every n-th sample, unchanged; the header is written for what remains. Equal originals give equal EDF bytes,
whose SHA-256 the manifest has; gzip's output may differ between versions of zlib.
"""

from __future__ import annotations

import gzip
import hashlib
import sys
from pathlib import Path

import numpy as np

from eegprep.errors import InputError, RefusedError
from eegprep.files import sha256_file, write_atomic
from eegprep.formats.edf.header import read_header
from eegprep.manifest import Manifest, find_manifest
from eegprep.manifest.schema import Excerpt

# Widths of the fields of a signal's header: label, transducer, unit, physical minimum and maximum, digital minimum and
# maximum, prefiltering, samples in a record, reserved.
_WIDTHS = (16, 80, 8, 8, 8, 8, 8, 80, 8, 32)
_COUNT = 8


def cut(excerpt: Excerpt, original: Path) -> bytes:
    """The EDF file of one excerpt: the signals labelled `EEG <electrode>`, without differences of two electrodes.

    Parameters
    ----------
    original : Path
        The published file; records must last one second.

    Raises
    ------
    RefusedError
        The file is not the published one.
    InputError
        The seconds or samples cannot be cut.
    """
    if (found := sha256_file(original)) != excerpt.of_sha256:
        raise RefusedError(
            f"{original.name} is not the published file",
            where=original,
            found=f"sha256 {found}",
            expected=f"sha256 {excerpt.of_sha256}",
        )
    header = read_header(original)
    chosen = [i for i, s in enumerate(header.signals) if s.label.startswith("EEG ") and "-" not in s.label]
    counts = {header.signals[i].samples_per_record for i in chosen}
    if header.record_s != 1 or excerpt.stop_s > header.n_records or len(counts) != 1 or counts.pop() % excerpt.every:
        raise InputError("this excerpt cannot be cut", where=original, expected="whole records of one second")
    data = original.read_bytes()
    records = np.frombuffer(data, "<i2", offset=header.n_header_bytes).reshape(header.n_records, -1)
    parts = [
        records[excerpt.start_s : excerpt.stop_s, s.first : s.first + s.samples_per_record : excerpt.every]
        for s in (header.signals[i] for i in chosen)
    ]
    return _header(data, header.signals[chosen[0]].samples_per_record, chosen, excerpt) + np.hstack(parts).tobytes()


def _header(data: bytes, n_samples: int, chosen: list[int], excerpt: Excerpt) -> bytes:
    """The header of the original with the remaining signals, their number of samples, and where they are from."""
    n_all, at, fields = int(data[252:256]), 256, []
    for width in _WIDTHS:
        column = [data[at + i * width : at + (i + 1) * width].decode("latin-1").rstrip() for i in chosen]
        at += n_all * width
        fields.append(column)
    seconds = excerpt.stop_s - excerpt.start_s
    sampled = f", one sample of {excerpt.every}" if excerpt.every > 1 else ""
    fields[_COUNT] = [str(n_samples // excerpt.every)] * len(chosen)
    main = (
        ("0", 8),
        ("X X X X", 80),
        (f"{excerpt.of}, seconds {excerpt.start_s} to {excerpt.stop_s}{sampled}", 80),
        (data[168:176].decode("ascii"), 8),  # the date and time of the published file, which stand for unknown ones
        (data[176:184].decode("ascii"), 8),
        (str(256 * (len(chosen) + 1)), 8),
        ("", 44),
        (str(seconds), 8),
        ("1", 8),
        (str(len(chosen)), 4),
    )
    columns = [(text, width) for column, width in zip(fields, _WIDTHS, strict=True) for text in column]
    return "".join(f"{text:<{width}}" for text, width in (*main, *columns)).encode("ascii")


def build(manifest: Manifest, originals: Path, out: Path) -> list[Path]:
    """Write all excerpts of a manifest below `out`, verified; return their paths."""
    written = []
    for excerpt in manifest.source.excerpts:
        edf = cut(excerpt, originals / excerpt.of)
        if (found := hashlib.sha256(edf).hexdigest()) != excerpt.sha256:
            raise RefusedError(
                "the excerpt is not the one in the manifest", where=excerpt.path, found=found, expected=excerpt.sha256
            )
        target = out / excerpt.path
        target.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(target, gzip.compress(edf, 9, mtime=0))
        written.append(target)
    return written


if __name__ == "__main__":
    name, source, *rest = sys.argv[1:]
    for path in build(find_manifest(name), Path(source), Path(rest[0]) if rest else Path(__file__).parent / name):
        print(path)
