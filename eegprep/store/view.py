"""A view of a store in which every EEG electrode is measured against one reference.

Signals are sums of stored derivations (`eegprep.electrodes.references`), computed when they are read. A sample is
usable if it is in all stored rows of the sum. Channels of other kinds stay as they are; electrodes that cannot be
derived are left out with the reason.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from eegprep.electrodes import Vocabulary
from eegprep.electrodes.references import Combination, Derivations, stated_reference
from eegprep.errors import InputError, RefusedError
from eegprep.manifest.schema import Manifest
from eegprep.recording import LeftOut, RecordingInfo, Stretch, input_name, input_names, merge, subtract

# Of a normal distribution: standard deviation over median absolute deviation.
_MAD_TO_SD = 1.4826
#: As in ingest: the deviation is computed from at most this many evenly spread samples.
MAX_SAMPLES = 131072
#: Root mean square of a sum that should be zero, relative to that of its rows, above which derivations contradict.
_MOST_CLOSURE = 0.05


def robust_sd(x: NDArray[np.floating], axis: int | tuple[int, ...] | None = None) -> NDArray[np.floating]:
    """1.4826 x median absolute deviation over `axis`."""
    middle = np.median(x, axis=axis, keepdims=True)
    return np.asarray(_MAD_TO_SD * np.median(np.abs(x - middle), axis=axis))


class _Store(Protocol):
    @property
    def manifest(self) -> Manifest: ...
    def infos(self) -> list[RecordingInfo]: ...
    def electrode_uv(
        self, info: RecordingInfo, electrode: str, stretch: Stretch | None = None
    ) -> NDArray[np.floating[Any]]: ...
    def close(self) -> None: ...


class Rereferenced:
    """A store whose EEG is re-referenced when it is read; it can be sharded like the store itself.

    Parameters
    ----------
    store : Store
    reference : str
        An electrode, a scheme that was recorded (`linked ears`), or `average`.

    Raises
    ------
    UsageError
        The reference is neither an electrode of the store's vocabulary nor a scheme.
    """

    def __init__(self, store: _Store, reference: str) -> None:
        self.store = store
        self.vocabulary: Vocabulary = getattr(store, "vocabulary", None) or Vocabulary.base()
        self.reference = stated_reference(self.vocabulary, reference, allow_unknown=False)
        Derivations((), ()).to(self.reference)  # UsageError for references that channels cannot share
        self._rows: dict[str, tuple[RecordingInfo, dict[str, tuple[tuple[int, float], ...]]]] = {}

    @property
    def manifest(self) -> Manifest:
        """The manifest of the data set."""
        return self.store.manifest

    def infos(self) -> list[RecordingInfo]:
        """All recordings, sorted by id, with the new rows.

        Raises
        ------
        RefusedError
            No electrode of a recording can be measured against the reference, or its derivations contradict each other.
        """
        return [self._view(info) for info in self.store.infos()]

    def electrode_uv(
        self, info: RecordingInfo, electrode: str, stretch: Stretch | None = None
    ) -> NDArray[np.floating[Any]]:
        """The samples of one input (a name of `info.inputs`), (n,) float32 microvolt."""
        if info.id not in self._rows:
            self.infos()
        stored, terms = self._rows[info.id]
        if electrode not in terms:
            raise InputError(f"recording {info.id!r} has no input {electrode!r}", found=", ".join(terms))
        return _total(
            self.store, stored, terms[electrode], stretch or Stretch(start_sample=0, n_samples=info.n_samples)
        )

    def close(self) -> None:
        """Close the store's files."""
        self.store.close()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "store": copy.copy(self.store)}  # workers open files of their own

    def _view(self, info: RecordingInfo) -> RecordingInfo:
        kinds = [self.vocabulary.kind_of(e) for e in info.electrodes]
        eeg = [row for row, kind in enumerate(kinds) if kind == "eeg"]
        derivations = Derivations([info.electrodes[r] for r in eeg], [info.references[r] for r in eeg])
        derived = derivations.to(self.reference)
        if not derived.combinations:
            raise RefusedError(
                f"no electrode of {info.id} can be measured against {self.reference}",
                found="; ".join(f"{name}: {why}" for name, why in derived.missing[:3]) or "no EEG channel",
                expected="derivations that lead to one reference",
                todo="state the recording's `reference:` in the manifest, or choose another reference",
            )
        self._check_cycles(info, derivations, eeg)
        others = [row for row, kind in enumerate(kinds) if kind != "eeg"]
        rows = [_in_store(c, eeg) for c in derived.combinations]
        rows += [
            Combination(electrode=info.electrodes[r], reference=info.references[r], terms=((r, 1.0),)) for r in others
        ]
        names = input_names([c.electrode for c in rows], [c.reference for c in rows])
        terms = {name: c.terms for name, c in zip(names, rows, strict=True)}
        rejected = {
            name: parts
            for name, c in zip(names, rows, strict=True)
            if (parts := merge(s for row, _ in c.terms for s in info.rejected.get(info.inputs[row], ())))
        }
        kept = [subtract(info.stretches, rejected.get(name, ())) for name in names]
        view = dataclasses.replace(
            info,
            electrodes=tuple(c.electrode for c in rows),
            references=tuple(c.reference for c in rows),
            rejected=rejected,
            sigma_uv=tuple(_sigma_uv(self.store, info, c.terms, own) for c, own in zip(rows, kept, strict=True)),
            quality={},
            source_channels=tuple("+".join(info.source_channels[r] for r, _ in c.terms) for c in rows)
            if info.source_channels
            else (),
            steps=(
                *(step for step in info.steps if step["step"] != "reference"),
                {"step": "reference", "to": self.reference},
            ),
            left_out=(
                *(x for x in info.left_out if x.kind != "stretch"),
                *(LeftOut(kind="channel", name=n, code="not_derivable", reason=why) for n, why in derived.missing),
            ),
            montage=None,
        )
        self._rows[info.id] = (info, terms)
        return view

    def _check_cycles(self, info: RecordingInfo, derivations: Derivations, eeg: Sequence[int]) -> None:
        """Refuse derivations that contradict each other: around a cycle they must add up to zero."""
        for terms in derivations.cycles():
            stored = tuple((eeg[row], factor) for row, factor in terms)
            usable = subtract(
                info.stretches, merge(s for r, _ in stored for s in info.rejected.get(info.inputs[r], ()))
            )
            parts = list(usable)[:20]
            if not parts:
                continue
            total = np.concatenate([_total(self.store, info, stored, s) for s in parts])
            rows = [np.concatenate([_total(self.store, info, ((r, 1.0),), s) for s in parts]) for r, _ in stored]
            sizes = [float(np.std(row)) for row in rows]
            if float(np.std(total)) > _MOST_CLOSURE * max(sizes):
                names = [input_name(info.electrodes[r], info.references[r]) for r, _ in stored]
                raise RefusedError(
                    f"derivations of {info.id} contradict each other",
                    found=f"{', '.join(names)}: their sum around the cycle is {np.std(total):.3g} µV, not 0",
                    todo="correct the references in the manifest's `channels:`, or leave one of them out",
                )


def _in_store(combination: Combination, rows: Sequence[int]) -> Combination:
    terms = tuple((rows[row], factor) for row, factor in combination.terms)
    return dataclasses.replace(combination, terms=terms)


def _total(
    store: _Store, info: RecordingInfo, terms: Sequence[tuple[int, float]], stretch: Stretch
) -> NDArray[np.float32]:
    if len(terms) == 1 and terms[0][1] == 1.0:
        return np.asarray(store.electrode_uv(info, info.inputs[terms[0][0]], stretch), np.float32)
    total = np.zeros(stretch.n_samples)
    for row, factor in terms:
        total += factor * np.asarray(store.electrode_uv(info, info.inputs[row], stretch), np.float64)
    return total.astype(np.float32)


def _sigma_uv(store: _Store, info: RecordingInfo, terms: Sequence[tuple[int, float]], kept: Sequence[Stretch]) -> float:
    """As in ingest: from every k-th sample of the recording, without its rejected parts."""
    if len(terms) == 1 and len(info.sigma_uv) == len(info.electrodes):
        return info.sigma_uv[terms[0][0]]
    step = -(-info.n_samples // MAX_SAMPLES)
    parts = [_total(store, info, terms, s)[-s.start_sample % step :: step] for s in kept]
    values = np.concatenate(parts) if parts else np.zeros(0, np.float32)
    return float(robust_sd(values.astype(np.float64))) if values.size else 0.0
