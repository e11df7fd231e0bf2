"""`Contents` as sections of a page: what was included, what was left out and why, and the signal.

Each section is None if there is nothing to show. Used by the quality report and the page of a training run.
"""

from __future__ import annotations

from collections import Counter

from markupsafe import Markup, escape

from eegprep.report.contents.facts import Contents, DatasetFacts
from eegprep.report.figures import (
    Bar,
    Column,
    Drawing,
    Note,
    Row,
    Section,
    Table,
    Tile,
    bar_chart,
    format_bytes,
    format_duration,
    format_number,
    format_percent,
    head,
)


def tiles(contents: Contents) -> list[Tile]:
    """The figures at the top of the page."""
    lost = sum(r.electrode_hours_lost for r in contents.recordings)
    whole = lost + sum(r.electrode_hours for r in contents.recordings)
    share = lost / whole if whole else 0.0
    out = [
        Tile(
            label="Recordings",
            value=format_number(len(contents.recordings)),
            note=f"{format_number(contents.n_subjects)} subject{'s' if contents.n_subjects != 1 else ''}",
        ),
        Tile(
            label="Signal",
            value=format_duration(contents.hours * 3600),
            note=f"{format_number(contents.electrode_hours)} electrode-hours",
        ),
        Tile(label="Electrodes", value=format_number(len(contents.electrodes)), note="on the scalp"),
        Tile(label="Trials", value=format_number(sum(t.count for t in contents.trials)), note=_task_words(contents)),
        Tile(
            label="Time left out",
            value=format_percent(share),
            note="of the recorded electrode-hours",
            tone="warn" if share > 0.05 else "good",
        ),
        Tile(label="On disk", value=format_bytes(contents.n_bytes), note=f"as a {contents.kind}"),
    ]
    if contents.kind == "store":
        n = len(contents.failures)
        note = "in quarantine" if n else "every file was read"
        out.insert(5, Tile(label="Failed", value=format_number(n), note=note, tone="bad" if n else "good"))
    return out


def _task_words(contents: Contents) -> str:
    n = len({(t.dataset, t.task) for t in contents.trials})
    return f"{n} task{'s' if n != 1 else ''}"


def datasets(contents: Contents) -> Section:
    """The data sets with their authors, licences and amounts."""
    columns = [
        Column(label="data set"),
        Column(label="subjects", numeric=True),
        Column(label="recordings", numeric=True),
        Column(label="electrodes", numeric=True),
        Column(label="hours", numeric=True),
        Column(label="trials", numeric=True),
        Column(label="split"),
        Column(label="licence"),
    ]
    rows = [
        [
            Markup("{}<br><small>{}</small>").format(d.title, f"{d.name}, version {d.version}"),
            d.n_subjects,
            d.n_recordings,
            d.n_electrodes,
            d.hours,
            d.n_trials,
            "within subject" if d.within_subject else "by subject",
            d.licence,
        ]
        for d in contents.datasets
    ]
    sources = Table(
        caption="Authors and citation",
        columns=[Column(label="data set"), Column(label="citation"), Column(label="measured with")],
        rows=[
            [d.name, _citation(d), f"{d.device or 'device not stated'}; reference: {d.reference}"]
            for d in contents.datasets
        ],
    )
    return Section(
        anchor="data",
        heading="Contents",
        opening="Counts exclude everything that was left out.",
        parts=[Table(caption="Data sets", columns=columns, rows=rows), sources],
    )


def _citation(dataset: DatasetFacts) -> Markup:
    # The address is plain text: a page without links is safe to open.
    parts = [escape(dataset.citation)]
    if dataset.address and dataset.address not in dataset.citation:
        parts.append(Markup("<br><small>{}</small>").format(dataset.address))
    return Markup("").join(parts)


def coverage(contents: Contents) -> Section | None:
    """Hours per electrode, on a head and as bars."""
    if not contents.electrodes:
        return None
    places = {e.name: e.position_m for e in contents.electrodes if e.position_m is not None}
    hours = {e.name: e.hours for e in contents.electrodes}
    notes = {e.name: f"{format_number(e.hours)} h in {e.n_recordings} recordings" for e in contents.electrodes}
    drawn = Drawing(
        heading="Hours by position",
        svg=head(
            hours,
            places,
            every=montage(),
            label=f"Hours of signal of {len(hours)} electrodes, on a head",
            unit="hours",
            notes=notes,
        ),
        caption="Seen from above, nose up. Pale dots are the vocabulary's other electrodes.",
    )
    most = sorted(contents.electrodes, key=lambda e: (-e.hours, e.name))
    n_columns = 1 if len(most) <= 24 else 2 if len(most) <= 48 else 4
    bars = Drawing(
        heading="Hours per electrode",
        svg=bar_chart(
            [Bar(label=e.name, value=e.hours, note=f"{e.name}: {notes[e.name]}") for e in most],
            label="Hours of signal per electrode, most first",
            columns=n_columns,
            width=470.0 if n_columns <= 2 else 1020.0,
            row=20.0 if len(most) <= 24 else 18.0,
        ),
        caption="Hours of kept signal, most first.",
        data=Table(
            caption="As a table",
            columns=[
                Column(label="electrode"),
                Column(label="hours", numeric=True),
                Column(label="recordings", numeric=True),
                Column(label="robust SD, µV", numeric=True),
            ],
            rows=[[e.name, e.hours, e.n_recordings, e.sigma_uv] for e in most],
            folded=True,
        ),
    )
    return Section(
        anchor="coverage",
        heading="Coverage",
        opening="Hours of signal per electrode, over all recordings.",
        parts=[Row(parts=[drawn, bars])] if n_columns <= 2 else [drawn, bars],
    )


def montage() -> dict[str, tuple[float, ...]]:
    """Every electrode of the shipped vocabulary that has a position, to draw pale in the background."""
    from eegprep.electrodes import Vocabulary

    return {e.name: e.position_m for e in Vocabulary.base() if e.position_m is not None}


def failures(contents: Contents) -> Section | None:
    """The files that failed, with their errors; None if there are none."""
    if not contents.failures:
        return None
    columns = [Column(label=x) for x in ("file or recording", "what went wrong", "found", "what to do")]
    return Section(
        anchor="failed",
        heading="What failed",
        opening="These are in the store's quarantine; running the same ingest again retries them.",
        parts=[
            Table(
                caption="Failed files",
                columns=columns,
                rows=[[f.name, f.what, f.found, f.todo] for f in contents.failures],
            )
        ],
    )


def trials(contents: Contents) -> Section | None:
    """Trials by task, class and split."""
    if not contents.trials:
        return None
    splits = sorted({t.split for t in contents.trials}, key=lambda s: (_ORDER.get(s, len(_ORDER)), s))
    counts: Counter[tuple[str, str, str, str]] = Counter()
    for t in contents.trials:
        counts[t.dataset, t.task, t.label, t.split] += t.count
    rows: list[list[str | int]] = [
        [d, task, label, *(counts[d, task, label, s] for s in splits), sum(counts[d, task, label, s] for s in splits)]
        for d, task, label in sorted({(t.dataset, t.task, t.label) for t in contents.trials})
    ]
    return Section(
        anchor="trials",
        heading="Trials",
        opening="Windows with a label, by task, class and split.",
        parts=[
            Table(
                caption="Trials by class",
                columns=[
                    *(Column(label=x) for x in ("data set", "task", "class")),
                    *(Column(label=s, numeric=True) for s in splits),
                    Column(label="all", numeric=True),
                ],
                rows=rows,
            )
        ],
    )


_ORDER = {"train": 0, "validation": 1, "test": 2}


def provenance(contents: Contents) -> Section:
    """The processing of the signal, and the origin of the data."""
    parts: list[Drawing | Table | Note | Row] = []
    if contents.steps:
        parts.append(
            Table(
                caption="Steps, in order",
                columns=[Column(label="no."), Column(label="step")],
                rows=[[i + 1, step] for i, step in enumerate(contents.steps)],
            )
        )
    if contents.provenance:
        parts.append(
            Table(
                caption="Made from",
                columns=[Column(label="what"), Column(label="value")],
                rows=[list(line) for line in contents.provenance],
            )
        )
    return Section(anchor="provenance", heading="Processing", parts=parts)
