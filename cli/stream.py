"""`eegpt stream`: a model on a live signal, one line of JSON for each token."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer


def register(app: typer.Typer) -> None:
    """Add the command to `app`."""
    app.command("stream")(stream)


def stream(
    model: Annotated[str, typer.Argument(help="A run of train or transfer, or hf://owner/name.")],
    lsl: Annotated[str | None, typer.Option("--lsl", help="Name of a Lab Streaming Layer stream, or `EEG`.")] = None,
    file: Annotated[
        Path | None, typer.Option("--file", help="Replay this recording instead (any file that MNE reads).")
    ] = None,
    speed: Annotated[
        float | None, typer.Option(help="Replay speed: 1 is real time (default), 0 as fast as possible.")
    ] = None,
    unit: Annotated[str | None, typer.Option(help="V, mV, uV or nV, if the stream does not state it.")] = None,
    phase: Annotated[
        str, typer.Option(help="Filter phase: minimum (low latency) or linear (seconds later).")
    ] = "minimum",
    recipe: Annotated[str | None, typer.Option(help="Recipe to use instead of the steps in the run's lock.")] = None,
    line_freq_hz: Annotated[
        float | None, typer.Option(help="50 or 60: the line frequency that the notch filter removes.")
    ] = None,
    reference: Annotated[
        str | None, typer.Option(help="What the EEG was measured against, where the channels' names do not say so.")
    ] = None,
    features: Annotated[bool, typer.Option("--features", help="Also print every electrode's features.")] = False,
    seconds: Annotated[float, typer.Option(help="Stop after this many seconds of signal; 0: never.")] = 0.0,
    as_json: Annotated[bool, typer.Option("--json", help="JSON lines (the output is always JSON lines).")] = False,
) -> None:
    """Run a model on a live signal; one line per token, 8 per second by default.

    Example: `eegpt stream model --lsl EEG --line-freq-hz 50`
    """
    from eegprep.errors import UsageError
    from eegprep.files import number_of
    from eegpt.interop.live.model import LiveModel
    from eegpt.interop.live.sources import from_lsl, from_raw

    if (lsl is None) == (file is None):
        raise UsageError("exactly one source is required", expected="--lsl NAME, or --file RECORDING")
    if file is not None and unit is not None:
        raise UsageError("--unit is for --lsl: a recording states its unit", found=unit, todo="leave out --unit")
    if lsl is not None and speed is not None:
        raise UsageError("--speed is for --file: a live stream has its own", found=speed, todo="leave out --speed")
    speed = 1.0 if speed is None else number_of(speed, "--speed", zero=True)
    number_of(seconds, "--seconds", zero=True)
    if file is not None:
        source = from_raw(_read(file), speed=speed)
    elif lsl == "EEG":
        source = from_lsl(kind="EEG", unit=unit)
    else:
        source = from_lsl(name=lsl, unit=unit)
    live = LiveModel(
        model, source.ch_names, source.sfreq_hz, unit=source.unit, recipe=recipe, line_freq_hz=line_freq_hz,
        phase=phase,  # type: ignore[arg-type]  # validated by LiveModel
        reference=reference,
    )  # fmt: skip
    left_out = f", left out: {', '.join(live.left_out)}" if live.left_out else ""
    print(
        f"{len(live.electrodes)} electrodes at {source.sfreq_hz:g} Hz, latency {live.latency_s:.2f} s{left_out}",
        file=sys.stderr,
    )
    n_seen = 0
    for chunk in source.chunks:
        began = time.perf_counter()
        found = live.push(chunk)
        took_ms = 1e3 * (time.perf_counter() - began)
        n_seen += chunk.shape[1]
        for one in found:
            print(json.dumps(_line(one, live.electrodes, features, took_ms / len(found))), flush=True)
        if seconds and n_seen >= seconds * source.sfreq_hz:
            break


def _line(one: Any, electrodes: tuple[str, ...], features: bool, took_ms: float) -> dict[str, Any]:
    line: dict[str, Any] = {"time_s": round(one.time_s, 4), "took_ms": round(took_ms, 2)}
    line |= {name: [round(float(v), 4) for v in values] for name, values in one.outputs.items()}
    if features:
        rows = zip(electrodes, one.features, strict=True)
        line["features"] = {e: [round(float(v), 4) for v in row] for e, row in rows}
    return line


def _read(file: Path) -> Any:
    import mne

    from eegprep.errors import InputError
    from eegprep.files import not_found

    if not file.exists():
        raise not_found("file", file, "a recording")
    try:
        return mne.io.read_raw(file, verbose="ERROR")
    except Exception as error:  # readers raise anything on damaged files
        found = (str(error) or type(error).__name__).splitlines()[0][:300]
        raise InputError(
            f"{file.name} cannot be read", where=file, found=found, todo=f"see why: eegprep inspect {file}"
        ) from None
