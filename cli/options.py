"""Options that several commands have, so that they read the same everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

# `eegprep ingest` and `eegprep inspect`
Recipe = Annotated[
    str | None, typer.Option(help="Recipe (name or .yaml path) to use instead of the manifest's.", show_default=False)
]
Vocabulary = Annotated[
    Path | None,
    typer.Option(
        help="extended (the whole 10-05 system), additional electrodes and aliases (.tsv, .csv), or a complete "
        "vocabulary (.parquet).",
        show_default=False,
    ),
]
Kinds = Annotated[
    str | None, typer.Option(help="Kinds of channels to keep, e.g. eeg,eog,emg,ecg,respiration.", show_default=False)
]
Partial = Annotated[
    bool, typer.Option("--partial", help="The folder intentionally contains only part of the data set.")
]
Subjects = Annotated[list[str] | None, typer.Option(help="Only these subjects; may be repeated.", show_default=False)]
Tasks = Annotated[
    list[str] | None, typer.Option(help="Only these BIDS tasks (task-NAME); may be repeated.", show_default=False)
]
LimitHours = Annotated[
    float | None, typer.Option(min=0, help="Stop at this many hours of recordings.", show_default=False)
]

# `eegpt embed` and `eegpt predict`
Files = Annotated[list[Path], typer.Argument(metavar="FILE...", help="Recordings of any format, or folders.")]
Window = Annotated[float | None, typer.Option(help="Window length; default: as in training.")]
Stride = Annotated[float | None, typer.Option(help="Distance between windows; default: back to back.")]
RecipeOfRun = Annotated[str | None, typer.Option(help="Recipe to use instead of the steps in the run's lock.")]
UnknownElectrodes = Annotated[str, typer.Option(help="leave_out, nearest or refuse.")]
LineFreq = Annotated[float | None, typer.Option(help="50 or 60; default: from the file or its spectrum.")]
Reference = Annotated[
    str | None, typer.Option(help="What the EEG was measured against, where neither file nor names say so.")
]
