"""What the outputs of a transfer run are called."""

from __future__ import annotations

from eegpt.interop.model import Model
from eegpt.model.heads import HeadSpec

__all__ = ["class_names", "head_names"]


def head_names(model: Model) -> dict[str, HeadSpec]:
    """What the outputs of a transfer run's heads are called; a name that stands twice gets its number."""
    heads = model.transfer.heads.tasks if model.transfer is not None else ()
    names = [h.name for h in heads]
    return {
        ("value_" if h.kind == "regression" else "probability_")
        + (h.name if names.count(h.name) == 1 else f"{h.name}_{i}"): h
        for i, h in enumerate(heads)
    }


def class_names(model: Model) -> list[tuple[str, ...]]:
    """Names of each head's classes; numbers where the run does not tell them."""
    heads = model.transfer.heads.tasks if model.transfer is not None else ()
    told = model.config.get("classes")
    lists = told if isinstance(told, list) and len(told) == len(heads) else [()] * len(heads)
    return [
        tuple(map(str, names)) if len(names) == h.n_outputs else tuple(map(str, range(h.n_outputs)))
        for names, h in zip(lists, heads, strict=True)
    ]
