"""The differences between two manifests as text: one line per difference, with the path of its key."""

from __future__ import annotations

from typing import Any

from eegprep.manifest.schema import Manifest

_LONGEST = 100


def differences(ours: Manifest, theirs: Manifest) -> list[str]:
    """Describe the differences in the schema's order; empty if the manifests are equal.

    Lists of named entries (tasks, files, channels) are compared by name, so one addition is one difference.
    """
    a, b = ours.model_dump(mode="json"), theirs.model_dump(mode="json")
    return _mapping("", a, b)


def _mapping(path: str, a: dict[str, Any], b: dict[str, Any]) -> list[str]:
    out: list[str] = []
    for key in dict.fromkeys((*a, *b)):
        at = f"{path}.{key}" if path else key
        if key not in b:
            out.append(f"{at}: only in the first ({_shown(a[key])})")
        elif key not in a:
            out.append(f"{at}: only in the second ({_shown(b[key])})")
        else:
            out += _value(at, a[key], b[key])
    return out


def _value(path: str, a: Any, b: Any) -> list[str]:
    if a == b:
        return []
    if isinstance(a, dict) and isinstance(b, dict):
        return _mapping(path, a, b)
    if isinstance(a, list) and isinstance(b, list):
        key = next((k for k in ("name", "path", "step") if all(isinstance(x, dict) and k in x for x in (*a, *b))), None)
        if key is not None and all(len({x[key] for x in side}) == len(side) for side in (a, b)):
            by_name = [{str(x[key]): x for x in side} for side in (a, b)]
            found = _mapping(path, *by_name)
            return found or [f"{path}: the same entries in another order"]
        if all(not isinstance(x, dict | list) for x in (*a, *b)):
            gone, new = [x for x in a if x not in b], [x for x in b if x not in a]
            parts = [f"only in the first {_shown(gone)}"] * bool(gone) + [f"only in the second {_shown(new)}"] * bool(
                new
            )
            return [f"{path}: " + (", ".join(parts) or "the same entries in another order")]
    return [f"{path}: {_shown(a)} in the first, {_shown(b)} in the second"]


def _shown(value: Any) -> str:
    text = "nothing" if value is None else str(value)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
