"""Messages between parent and worker: one JSON object per line, and recordings as plain data."""

from __future__ import annotations

import dataclasses
import json
from typing import IO, Any

import numpy as np

from eegprep.formats.decoded import SignalLike, SourceChannel, SourceEvent
from eegprep.recording import LeftOut, Stretch
from eegprep.sources.base import PlannedRecording, SourceRecording

# The first message of a worker.
READY = {"ready": True}


def send(stream: IO[bytes], message: dict[str, Any]) -> None:
    """Write one message as one line."""
    stream.write(json.dumps(message, ensure_ascii=True).encode("ascii") + b"\n")
    stream.flush()


def receive(stream: IO[bytes]) -> dict[str, Any] | None:
    """Read one message; None if the other side has exited, even in the middle of a line."""
    line = stream.readline()
    if not line.endswith(b"\n"):
        return None
    message: dict[str, Any] = json.loads(line)
    return message


def planned_to_plain(planned: PlannedRecording) -> dict[str, Any]:
    """A planned recording as plain data."""
    return dataclasses.asdict(planned)


def planned_from_plain(data: dict[str, Any]) -> PlannedRecording:
    """The inverse of `planned_to_plain`."""
    fields: dict[str, Any] = {name: tuple(v) if isinstance(v, list) else v for name, v in data.items()}
    return PlannedRecording(**fields)


def to_plain(recording: SourceRecording) -> dict[str, Any]:
    """Everything but the signal, of which only the shape is kept."""
    fields = {f.name: getattr(recording, f.name) for f in dataclasses.fields(recording) if f.name != "signal"}
    return {
        **{name: _plain(value) for name, value in fields.items()},
        "shape": [int(n) for n in recording.signal.shape],
    }


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    if isinstance(value, tuple):
        return [_plain(v) for v in value]
    if isinstance(value, np.generic):
        return value.item()
    return dict(value) if hasattr(value, "keys") else value


def from_plain(data: dict[str, Any], signal: SignalLike) -> SourceRecording:
    """The inverse of `to_plain`, with the signal given separately."""
    values = {k: v for k, v in data.items() if k != "shape"}
    channels = []
    for entry in values["channels"]:
        position = entry.pop("position_m")
        channels.append(SourceChannel(**entry, position_m=None if position is None else tuple(position)))
    values["channels"] = tuple(channels)
    values["stretches"] = tuple(Stretch(**s) for s in values["stretches"])
    values["events"] = tuple(SourceEvent(**{**e, "channels": tuple(e["channels"])}) for e in values["events"])
    values["files"] = tuple((str(a), str(b)) for a, b in values["files"])
    values["trial_labels"] = tuple((Stretch(**s), str(t)) for s, t in values["trial_labels"])
    values["parts"] = tuple((float(t), Stretch(**s)) for t, s in values["parts"])
    values["origins"] = tuple(values["origins"])
    values["left_out"] = tuple(LeftOut(**x) for x in values["left_out"])
    values["notes"] = tuple(values["notes"])
    return SourceRecording(**values, signal=signal)
