"""`eegprep manifest ...`: check, compare and combine manifests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .frame import Commands
from .tables import console

if TYPE_CHECKING:
    from eegprep.manifest import Manifest
    from eegprep.remote.share import Shared

Json = Annotated[bool, typer.Option("--json", help="Machine-readable output.")]


def register(app: typer.Typer) -> None:
    """Add the group `manifest` to the app."""
    group = typer.Typer(
        name="manifest", cls=Commands, help="Draft, check, compare and share manifests.", no_args_is_help=True
    )
    group.command()(new)
    group.command()(validate)
    group.command()(diff)
    group.command()(lock)
    group.command()(merge)
    group.command()(subset)
    group.command(name="export-croissant")(export_croissant)
    group.command()(push)
    group.command()(pull)
    app.add_typer(group)


def new(
    folder: Annotated[str, typer.Argument(help="A folder of recordings, a BIDS tree, openneuro:ID or an address.")],
    out: Annotated[Path | None, typer.Option(help="Output file; default: print the manifest.")] = None,
    name: Annotated[str | None, typer.Option(help="The data set's name; default: the folder's.")] = None,
    workers: Annotated[
        int, typer.Option(min=0, help="Number of worker processes; 0 runs everything in this process.")
    ] = 1,
) -> None:
    """Draft a manifest for a folder, with questions for what its files do not say.

    Of a data set at an address, only names and tables are read.

    Example: `eegprep manifest new recordings --out ours.yaml`
    """
    import sys

    from eegprep.api import draft_manifest
    from eegprep.errors import printable

    from .progress import bar

    with bar("inspect") as report:
        text, found = draft_manifest(folder, out=out, name=name, workers=workers, progress=report)
    from .entries import refused_lines

    for line in refused_lines(found.left_out) if found is not None else ():
        print(printable(line), file=sys.stderr)
    if out is None:
        print(text, end="")
    else:
        print(f"{out}: {text.count(chr(10) + '#?')} questions to answer (lines with #?)", file=sys.stderr)
    if found is not None and found.exit_code:
        raise typer.Exit(found.exit_code)


def validate(
    paths: Annotated[list[Path], typer.Argument(help="Manifests (.yaml), or a shard set's list of manifests.")],
    source: Annotated[
        Path | None, typer.Option(help="Folder of the data set's files to check the manifest against.")
    ] = None,
    partial: Annotated[
        bool, typer.Option("--partial", help="The folder intentionally contains only part of the data set.")
    ] = False,
    workers: Annotated[
        int, typer.Option(min=0, help="Number of worker processes with --source; 0 runs everything in this process.")
    ] = 1,
    json_output: Json = False,
) -> None:
    """Check manifests; errors are listed with file and line. Exit code 2 if there are any.

    With --source, the manifest is also checked against the files: `expect`, the names in `split`, and whether every
    task, class and label matches something. Exit code 1 if the manifest is valid but a file cannot be read.

    Example: `eegprep manifest validate my_lab.yaml --source recordings`
    """
    import json
    import sys

    from eegprep.errors import EEGPTError, UsageError
    from eegprep.manifest.load import load_manifests, recipe_of

    results: list[dict[str, object]] = []
    codes = {0}
    for path in paths:
        try:
            found = load_manifests(path)
            for manifest in found:
                recipe_of(manifest)
            result: dict[str, object] = {"path": str(path), "valid": True, "names": [m.name for m in found]}
            if source is not None:
                if len(found) > 1 or len(paths) > 1:
                    raise UsageError("--source requires one manifest of one data set", found=f"{len(found)} data sets")
                result |= _held_against(found[0], source, partial=partial, workers=workers)
        except EEGPTError as error:
            result = {"path": str(path), "valid": False, "errors": [str(error)], **error.as_dict()}
        results.append(result)
        codes.add(2 if not result["valid"] else 1 if result.get("failed") else 0)
        if json_output:
            continue
        for word in ("errors", "failed", "notes"):
            for text in result.get(word, ()):  # type: ignore[attr-defined]
                print(f"{path}: {text}", file=sys.stderr)
        if result["valid"]:
            print(f"{path}: valid ({', '.join(map(str, result['names']))})")  # type: ignore[call-overload]
    if json_output:
        print(json.dumps(results, indent=1, ensure_ascii=False))
    if code := max(codes):
        raise typer.Exit(code)


def _held_against(manifest: Manifest, source: Path, *, partial: bool, workers: int) -> dict[str, object]:
    """Check a manifest in a dry run over the files: errors of the manifest, failed files, and notes."""
    from eegprep.ingest import inspect

    from .progress import bar

    with bar("inspect") as report:
        found = inspect(manifest, source, partial=partial, workers=workers, progress=report)
    errors = []
    if found.refused is not None:
        parts = (("where", "where"), ("found", "found"), ("expected", "expected"), ("todo", "to do"))
        told = [f"{word}: {found.refused[part]}" for part, word in parts if found.refused.get(part)]
        errors.append("; ".join([str(found.refused["what"]), *told]))
    errors += [f"`expect` does not match: {text}" for text in found.unmet]
    tasks = [(m.fails, f"{m}{m.hint}") for m in found.unmatched]
    errors += [text for fails, text in tasks if fails]
    return {
        "valid": not errors,
        "errors": errors,
        "failed": [f"{r.file}: {r.error['what']}" for r in found.recordings if r.error is not None],
        "notes": [text for fails, text in tasks if not fails],
    }


def diff(
    first: Annotated[str, typer.Argument(help="Path of a manifest, or name of a catalogue data set.")],
    second: Annotated[str, typer.Argument(help="The manifest to compare with.")],
    json_output: Json = False,
) -> None:
    """Show the differences between two manifests. Exit code 1 if there are any.

    Example: `eegprep manifest diff eegmat ours.yaml`
    """
    import json

    from eegprep.manifest import find_manifest
    from eegprep.manifest.diff import differences

    found = differences(find_manifest(first), find_manifest(second))
    if json_output:
        print(json.dumps({"equal": not found, "differences": found}, indent=1, ensure_ascii=False))
    else:
        print("\n".join(found) if found else "equal")
    if found:
        raise typer.Exit(1)


def lock(
    first: Annotated[Path, typer.Argument(help="A lock, a store or a shard set.")],
    second: Annotated[
        Path | None, typer.Argument(help="Another lab's lock, store or shard set, to compare with.")
    ] = None,
    json_output: Json = False,
) -> None:
    """Summarise a lock, or find where the work of two labs first differs. Exit code 1 if it differs.

    Example: `eegprep manifest lock stores/eegmat theirs/lock.yaml`
    """
    import json

    from eegprep.manifest.lock import first_difference
    from eegprep.shards.verify.lock_of_set import lock_of

    ours = lock_of(first)
    if second is None:
        stages = [
            {"stage": s.stage, "inputs": len(s.inputs), "outputs": len(s.outputs), **s.counts} for s in ours.stages
        ]
        if json_output:
            print(json.dumps({"versions": ours.versions, "stages": stages}, indent=1))
            return
        print("versions: " + ", ".join(f"{k} {v}" for k, v in sorted(ours.versions.items())))
        for stage in stages:
            print(", ".join(f"{k} {v}" for k, v in stage.items()))
        return
    found = first_difference(ours, lock_of(second))
    if json_output:
        print(json.dumps({"equal": found is None, "first_difference": found}, ensure_ascii=False))
    else:
        print(found or "equal")
    if found is not None:
        raise typer.Exit(1)


def merge(
    manifests: Annotated[list[str], typer.Argument(help="Catalogue names or paths of manifests (or lists of them).")],
    out: Annotated[Path, typer.Option(help="Output file.")],
    json_output: Json = False,
) -> None:
    """Merge manifests into one list; the most restrictive licence applies to the whole.

    Example: `eegprep manifest merge eegmat ours.yaml --out both.yaml`
    """
    import json

    from eegprep.files import write_atomic
    from eegprep.manifest.combine import merge_manifests
    from eegprep.manifest.load import dump_manifests, find_manifest, load_manifests

    found = [m for n in manifests for m in (load_manifests(n) if Path(n).is_file() else [find_manifest(n)])]
    merged, licence = merge_manifests(found)
    write_atomic(out, dump_manifests(merged))
    if json_output:
        names = [m.name for m in merged]
        print(json.dumps({"names": names, "licence": licence.model_dump(mode="json"), "written": str(out)}, indent=1))
        return
    share = "may be shared" if licence.share_shards and not licence.signed else "may not be shared"
    print(f"{len(merged)} data sets; licence of the whole: {licence.id}; shards {share}")


def subset(
    manifest: Annotated[str, typer.Argument(help="Name of a catalogue data set, or path of a manifest.")],
    out: Annotated[Path, typer.Option(help="Output file.")],
    subject: Annotated[list[str] | None, typer.Option(help="Keep this subject; may be repeated.")] = None,
    task: Annotated[list[str] | None, typer.Option(help="Keep this task; may be repeated.")] = None,
    name: Annotated[str | None, typer.Option(help="Name of the new data set.")] = None,
) -> None:
    """Restrict a manifest to some subjects or tasks.

    Example: `eegprep manifest subset eegmat --subject Subject00 --subject Subject01 --name eegmat-two --out two.yaml`
    """
    from eegprep.files import write_atomic
    from eegprep.manifest.combine import subset_manifest
    from eegprep.manifest.load import dump_manifest, find_manifest

    smaller = subset_manifest(find_manifest(manifest), name=name, subjects=subject or (), tasks=task or ())
    write_atomic(out, dump_manifest(smaller))
    print(out)


def export_croissant(
    shards: Annotated[Path, typer.Argument(help="A complete shard set.")],
    out: Annotated[Path | None, typer.Option(help="Output file; default: print the metadata.")] = None,
) -> None:
    """Write a shard set's Croissant metadata (JSON-LD), for data set search engines.

    Example: `eegprep manifest export-croissant shards --out croissant.json`
    """
    from eegprep.files import canonical_json, write_atomic
    from eegprep.manifest.croissant import croissant
    from eegprep.manifest.load import load_manifests
    from eegprep.shards.sums import read_sums

    sums = read_sums(shards)
    text = canonical_json(croissant(load_manifests(shards / "manifest.yaml"), sums))
    if out is None:
        print(text, end="")
    else:
        write_atomic(out, text)
        print(out)


def push(
    source: Annotated[Path, typer.Argument(help="A shard set, a store (manifest and lock only), or a manifest.")],
    target: Annotated[str, typer.Argument(help="A folder, s3://bucket/folder, or hf://datasets/user/name.")],
    manifest_only: Annotated[
        bool, typer.Option("--manifest-only", help="Push only manifest and lock, which every licence permits.")
    ] = False,
    json_output: Json = False,
) -> None:
    """Upload a shard set, or a manifest with its lock: resumable and verified.

    Exit code 3 if a licence forbids sharing the shards.

    Example: `eegprep manifest push shards s3://lab/eegmat`
    """
    from eegprep.remote.share import push as send

    _told(_with_progress(lambda show: send(source, target, manifest_only=manifest_only, progress=show)), json_output)


def pull(
    source: Annotated[str, typer.Argument(help="The target of a `push`.")],
    out: Annotated[Path, typer.Option(help="Output folder.")],
    json_output: Json = False,
) -> None:
    """Download what another lab pushed and verify every byte: resumable.

    Example: `eegprep manifest pull s3://lab/eegmat --out shards`
    """
    from eegprep.remote.share import pull as bring

    _told(_with_progress(lambda show: bring(source, out, progress=show)), json_output)


def _with_progress(work: Callable[[Callable[[str, int, int], None]], Shared]) -> Shared:
    import sys

    from rich.progress import Progress

    with Progress(console=console(stderr=True), disable=not sys.stderr.isatty()) as bar:
        row = bar.add_task("files")
        return work(lambda name, done, total: bar.update(row, description=name, completed=done, total=total))


def _told(shared: Shared, json_output: bool) -> None:
    import dataclasses
    import json

    if json_output:
        print(json.dumps(dataclasses.asdict(shared)))
    else:
        print(f"{shared.target}: {shared.n_files} files, {shared.n_moved} transferred ({shared.n_bytes} bytes)")
