"""Merge manifests into one list, and restrict a manifest to some subjects or tasks."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import BaseModel, ValidationError

from eegprep.errors import UsageError, nearest
from eegprep.files import names_of
from eegprep.manifest.licences import merge_licences
from eegprep.manifest.schema import Expectation, Licence, Manifest


def merge_manifests(manifests: Sequence[Manifest]) -> tuple[list[Manifest], Licence]:
    """Merge data sets, sorted by name without duplicates; the most restrictive licence applies.

    Raises
    ------
    UsageError
        Two different manifests have the same name, or two data sets have a task of the same name.
    """
    by_name: dict[str, Manifest] = {}
    for manifest in manifests:
        other = by_name.setdefault(manifest.name, manifest)
        if other != manifest:
            raise UsageError(
                f"two different manifests are called {manifest.name!r}",
                todo="rename one of them; `eegprep manifest diff` shows the differences",
            )
    merged = [by_name[name] for name in sorted(by_name)]
    owners: dict[str, str] = {}
    for manifest in merged:
        for task in manifest.tasks:
            owner = owners.setdefault(task.name, manifest.name)
            if owner != manifest.name:
                raise UsageError(
                    f"the task {task.name!r} is in both {owner} and {manifest.name}",
                    todo="rename it in one of them: a model has one head per task name",
                )
    return merged, merge_licences([m.licence for m in merged])


def subset_manifest(
    manifest: Manifest, *, name: str | None = None, subjects: Sequence[str] = (), tasks: Sequence[str] = ()
) -> Manifest:
    """Restrict a manifest to some subjects and tasks; `expect` is dropped.

    Raises
    ------
    UsageError
        A task is unknown, a name is empty or not valid, or nothing was selected.
    """
    if not subjects and not tasks:
        raise UsageError("no subset given", expected="subjects or tasks")
    subjects = names_of(subjects, "subjects", separator=None) if subjects else ()
    tasks = names_of(tasks, "tasks", separator=None) if tasks else ()
    known = {t.name: t for t in manifest.tasks}
    for task in tasks:
        if task not in known:
            raise UsageError(f"{manifest.name} has no task {task!r}", todo=nearest(task, known) or ", ".join(known))
    kept = [t for t in manifest.tasks if not tasks or t.name in tasks]
    names = {t.name for t in kept}
    source = manifest.source
    if subjects:
        source = source.model_copy(update={"only_subjects": sorted(set(subjects))})
    expect = Expectation(channels=manifest.expect.channels, sfreq_hz=manifest.expect.sfreq_hz)
    if subjects:
        expect = expect.model_copy(update={"subjects": len(set(subjects))})
    else:
        trials = {t: n for t, n in manifest.expect.trials.items() if t in names}
        expect = manifest.expect.model_copy(update={"trials": trials})
    changed = {
        "name": manifest.name if name is None else name,
        "source": source,
        "tasks": kept,
        "expect": expect,
        "known_results": [k for k in manifest.known_results if k.task in names],
    }
    # Validated again: `update` does not validate the name.
    try:
        return Manifest.model_validate({**manifest.model_dump(), **{k: _plain(v) for k, v in changed.items()}})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise UsageError(
            f"invalid {'.'.join(map(str, first['loc']))}", found=repr(first["input"])[:200], expected=first["msg"]
        ) from None


def _plain(value: object) -> object:
    if isinstance(value, BaseModel):
        return value.model_dump()
    return [_plain(v) for v in value] if isinstance(value, list) else value
