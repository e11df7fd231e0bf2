"""Read the header of an EDF or BDF file strictly, without the fields that identify people.

Patient and recording identification, start date, transducer and prefilter texts are skipped, never decoded.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from pathlib import Path

from eegprep.errors import InputError
from eegprep.formats.unit_names import unit_of

_SCANNED = 1 << 22


@dataclass(frozen=True, kw_only=True)
class EDFSignal:
    """The header fields of one signal; `first` is its offset in a record, in samples."""

    label: str
    unit: str
    unit_text: str
    physical_min: float
    physical_max: float
    digital_min: float
    digital_max: float
    samples_per_record: int
    first: int

    @property
    def is_annotations(self) -> bool:
        """Whether the signal contains annotations instead of samples."""
        return self.label.casefold() in ("edf annotations", "bdf annotations")


@dataclass(frozen=True, kw_only=True)
class EDFHeader:
    """The header fields needed to find and scale every sample."""

    sample_bytes: int
    n_header_bytes: int
    n_records: int
    record_s: float
    discontinuous: bool
    signals: tuple[EDFSignal, ...]
    notes: tuple[str, ...] = ()

    @property
    def samples_per_record(self) -> int:
        """Total over all signals."""
        return sum(s.samples_per_record for s in self.signals)


def _bad(path: Path, what: str, found: object, expected: object, todo: str = "copy the file again") -> InputError:
    return InputError(f"{path.name}: {what}", where=path, found=found, expected=expected, todo=todo)


class _Fields:
    """The consecutive fixed-width text fields."""

    def __init__(self, data: bytes, path: Path) -> None:
        self.data, self.path, self.at = data, path, 0

    def skip(self, n: int) -> None:
        self.at += n

    def text(self, n: int) -> str:
        field = self.data[self.at : self.at + n]
        self.at += n
        try:
            text = field.decode("utf-8")  # ASCII by the standard; files have a micro sign in either encoding
        except UnicodeDecodeError:
            text = field.decode("latin-1")
        return text.replace("\0", " ").strip()

    def number(self, n: int, name: str) -> float:
        start = self.at
        text = self.text(n)
        try:
            value = float(text.replace(",", "."))
            if not math.isfinite(value):
                raise ValueError(text)
            return value
        except ValueError:
            raise _bad(
                self.path, "the header is damaged", f"no number in the field `{name}` at byte {start}", "a number"
            ) from None

    def whole(self, n: int, name: str) -> int:
        start = self.at
        value = self.number(n, name)
        if value != int(value):
            found = f"no whole number in the field `{name}` at byte {start}"
            raise _bad(self.path, "the header is damaged", found, "a whole number")
        return int(value)


def read_header(path: Path, *, annotations_only: bool = False) -> EDFHeader:
    """Read and check a header against the file's size and bytes; `annotations_only` allows files without signal.

    Raises
    ------
    InputError
        Damaged header, truncated file, or binary file with converted line endings.
    """
    n_file = path.stat().st_size
    with path.open("rb") as handle:
        head = handle.read(256)
        if len(head) < 256:
            raise _bad(path, "the header is truncated", f"{n_file} bytes", "at least 256")
        bdf = head[0] == 0xFF
        main = _Fields(head, path)
        main.skip(8 + 80 + 80 + 8 + 8)
        n_header = main.whole(8, "bytes in header")
        kind = main.text(44)
        n_records = main.whole(8, "number of records")
        record_s = main.number(8, "duration of a record")
        n_signals = main.whole(4, "number of signals")
        if n_signals < 1 or n_header != 256 * (n_signals + 1):
            raise _bad(
                path, "the header is damaged", f"{n_header} bytes for {n_signals} signals", 256 * (n_signals + 1)
            )
        body = handle.read(n_header - 256)
        scanned = handle.read(_SCANNED)
    if len(body) < n_header - 256:
        raise _bad(path, "the header is truncated", f"{n_file} bytes", f"{n_header} bytes of header")
    signals = _signals(body, n_signals, path)
    if not annotations_only and all(s.is_annotations for s in signals):
        raise _bad(
            path, "it contains only annotations, no signal", f"{n_signals} signal(s), all annotations", "EEG channels",
            "use it as an event file of the recording that it belongs to",
        )  # fmt: skip
    if not (record_s > 0 or annotations_only):
        raise _bad(path, "records have no duration", f"{record_s:g} s", "a positive duration")
    _refuse_turned_line_ends(scanned, path)
    sample_bytes = 3 if bdf else 2
    n_record_bytes = sample_bytes * sum(s.samples_per_record for s in signals)
    n_present = (n_file - n_header) // n_record_bytes
    notes: list[str] = []
    if bdf and not signals[-1].label:
        # BioSemi's last signal is always Status, though some files lack its name
        signals = (*signals[:-1], dataclasses.replace(signals[-1], label="Status"))
        notes.append("the last signal has no name and is treated as Status")
    if n_records < 0:
        n_records = n_present
        notes.append("the header does not state the number of records; it was computed from the file size")
        if rest := (n_file - n_header) % n_record_bytes:
            notes.append(f"the last record is incomplete: {rest} bytes at the end are left out")
    elif n_present < n_records:
        raise _bad(
            path, "the file is truncated", f"{n_file} bytes, {n_present} complete records",
            f"{n_header + n_records * n_record_bytes} bytes, {n_records} records",
        )  # fmt: skip
    elif n_file > n_header + n_records * n_record_bytes:
        notes.append(f"{n_file - n_header - n_records * n_record_bytes} bytes after the last record are left out")
    if n_records < 1:
        raise _bad(path, "it contains no records", f"{n_records} records", "at least one")
    return EDFHeader(
        sample_bytes=sample_bytes,
        n_header_bytes=n_header,
        n_records=n_records,
        record_s=record_s,
        discontinuous=kind[:5] in ("EDF+D", "BDF+D"),
        signals=signals,
        notes=tuple(notes),
    )


def _refuse_turned_line_ends(scanned: bytes, path: Path) -> None:
    """In binary data one line feed in 256 follows a carriage return by chance, but never all of them."""
    n_feeds = scanned.count(b"\n")
    if n_feeds >= 50 and scanned.count(b"\r\n") == n_feeds:
        raise _bad(
            path, "line endings were converted in a binary file, so all samples after the first are shifted",
            f"{n_feeds} line feeds, all after a carriage return", "1 in 256 line feeds after a carriage return",
            "copy the file again in binary mode (no text conversion, `* -text` in .gitattributes)",
        )  # fmt: skip


def _signals(body: bytes, n: int, path: Path) -> tuple[EDFSignal, ...]:
    fields = _Fields(body, path)
    labels = [fields.text(16) for _ in range(n)]
    fields.skip(80 * n)
    units = [fields.text(8) for _ in range(n)]
    ranges = {
        name: [fields.number(8, name) for _ in range(n)]
        for name in ("physical minimum", "physical maximum", "digital minimum", "digital maximum")
    }
    fields.skip(80 * n)
    counts = [fields.whole(8, "samples in a record") for _ in range(n)]
    if min(counts) < 0 or sum(counts) == 0:
        raise _bad(path, "the header is damaged", f"{min(counts)} samples in a record", "at least 1")
    out: list[EDFSignal] = []
    first = 0
    for i in range(n):
        out.append(
            EDFSignal(
                label=labels[i],
                unit=unit_of(units[i]),
                unit_text=units[i],
                physical_min=ranges["physical minimum"][i],
                physical_max=ranges["physical maximum"][i],
                digital_min=ranges["digital minimum"][i],
                digital_max=ranges["digital maximum"][i],
                samples_per_record=counts[i],
                first=first,
            )
        )
        first += counts[i]
    return tuple(out)
