"""`eegprep manifest ...`: check, compare and combine manifests."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Machine-readable output.")]


def register(app: typer.Typer) -> None:
    """Add the group `manifest` to the app."""
    group = typer.Typer(name="manifest", help="Check, compare and share manifests.", no_args_is_help=True)
    group.command()(validate)
    group.command()(diff)
    app.add_typer(group)


def validate(
    paths: Annotated[list[Path], typer.Argument(help="Manifests (.yaml); a shard set's list of them works, too.")],
    json_output: Json = False,
) -> None:
    """Check manifests; every mistake is told with its file and line. Exit code 2 where there is one.

    Example: `eegprep manifest validate my_lab.yaml`
    """
    import json
    import sys

    from eegprep.errors import EEGPTError
    from eegprep.manifest.load import load_manifests, recipe_of

    results: list[dict[str, object]] = []
    failed = 0
    for path in paths:
        try:
            found = load_manifests(path)
            for manifest in found:
                recipe_of(manifest)
            results.append({"path": str(path), "valid": True, "names": [m.name for m in found]})
        except EEGPTError as error:
            failed += 1
            results.append({"path": str(path), "valid": False, **error.as_dict()})
            if not json_output:
                print(f"{path}: {error}", file=sys.stderr)
    if json_output:
        print(json.dumps(results, indent=1, ensure_ascii=False))
    else:
        for result in results:
            if result["valid"]:
                print(f"{result['path']}: valid ({', '.join(map(str, result['names']))})")  # type: ignore[call-overload]
    if failed:
        raise typer.Exit(2)


def diff(
    first: Annotated[str, typer.Argument(help="A manifest's path, or a name of the catalogue.")],
    second: Annotated[str, typer.Argument(help="The one to compare with.")],
    json_output: Json = False,
) -> None:
    """Tell in words what differs between two manifests. Exit code 1 where something does.

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
