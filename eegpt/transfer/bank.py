"""Encoded trials, computed only once if possible.

Trials are returned as `Encoded` groups, one per task, since trials of a task have about the same length. Keys and
values of a frozen encoder are computed once and cached up to a memory limit; beyond it, or if the encoder is trained,
they are computed for each batch.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from typing import Literal

import numpy as np
import torch

from eegpt.transfer.align import aligned
from eegpt.transfer.model import TransferModel
from eegpt.transfer.rows import Encoded, Trials, flatten, join

_ROWS_AT_ONCE = 512  # electrodes per encoder pass without gradient


def chunk_size(n_electrodes: int, n_samples: int, *, rows: int = _ROWS_AT_ONCE) -> int:
    """Number of trials of this size to run at once; fewer for long trials, which have more tokens."""
    return max(1, int(rows * min(1.0, 2048 / max(1, n_samples))) // max(1, n_electrodes))


class TrialBank:
    """Trials of an index, encoded for the model.

    Parameters
    ----------
    electrode_of : (V,) int array
        From `map_electrodes`.
    budget_bytes : int
        Memory limit of the cache.
    precision : {"float32", "bfloat16"}
        Precision of the encoder and the graph; weights and losses are always float32.
    aligned_tasks : iterable of int
        Tasks whose views are standardised by subject, see `align`.
    views : dict, optional
        Views by task, filled by the bank; models with the same frozen encoder may share it.
    """

    def __init__(
        self,
        index: Trials,
        electrode_of: np.ndarray,
        *,
        device: torch.device,
        budget_bytes: int,
        precision: Literal["float32", "bfloat16"] = "float32",
        aligned_tasks: Iterable[int] = (),
        views: dict[int, Encoded] | None = None,
    ) -> None:
        self.index = index
        self.electrode_of = electrode_of
        self.device = device
        self.budget_bytes = budget_bytes
        self.precision = precision
        self._kept: dict[int, Encoded] = {}
        self._place = np.full(len(index), -1, np.int64)
        self._aligned_tasks = frozenset(aligned_tasks)
        self._views: dict[int, Encoded] = {} if views is None else views
        self._aligned: dict[int, Encoded] = {}

    def autocast(self) -> AbstractContextManager[object]:
        """The context in which the model runs."""
        if self.precision == "float32":
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, torch.bfloat16)

    def keep(self, model: TransferModel, rows: np.ndarray) -> int:
        """Encode and cache trials if the encoder is frozen: as many complete tasks as fit, small ones first.

        Returns the number of trials kept.
        """
        self._kept.clear()
        self._place[:] = -1
        if model.trains_encoder or not len(rows):
            return 0
        if model.readout == "views":
            return len(rows)  # views of all trials are always cached
        held, n_kept = 0, 0
        tasks, counts = np.unique(self.index.task[rows], return_counts=True)
        for task in tasks[np.argsort(counts, kind="stable")]:
            own = rows[self.index.task[rows] == task]
            parts: list[Encoded] = []
            for part in self._chunks(own):
                # Keys are views of one matrix with queries and values: a copy frees the rest.
                parts.append(self._with_views(model, part, self._encode(model, part, train=False).compact()))
                expected = held + sum(p.n_bytes for p in parts) * len(own) / sum(len(p.mask_NE) for p in parts)
                if expected > self.budget_bytes:
                    parts = []
                    break
            if parts:
                held += sum(p.n_bytes for p in parts)
                self._kept[int(task)] = join(parts)
                self._place[own] = np.arange(len(own))
                n_kept += len(own)
        return n_kept

    def groups(
        self, model: TransferModel, rows: np.ndarray, *, electrode_dropout: float = 0.0
    ) -> list[tuple[np.ndarray, Encoded]]:
        """Yield the trials at `rows`, task by task: (row numbers, encoded).

        With `electrode_dropout`, a random share of each trial's electrodes is dropped before encoding, so that the
        augmentation makes training cheaper.
        """
        out = []
        for task in np.unique(self.index.task[rows]):
            own = rows[self.index.task[rows] == task]
            if not model.graph or model.readout == "views":
                encoded = self.views(model, own)
                if electrode_dropout:
                    encoded = encoded.take(self._every(own), electrode_dropout=electrode_dropout)
                out.append((own, encoded))
                continue
            kept = self._kept.get(int(task))
            if kept is not None and (self._place[own] >= 0).all():
                place = torch.from_numpy(self._place[own]).to(self.device)
                encoded = kept.take(place, electrode_dropout=electrode_dropout)
                if encoded.views_RF is None:  # cached before the electrodes' readouts were fitted
                    encoded = self._with_views(model, own, encoded)
            elif model.scale is not None:
                encoded = self._with_views(model, own, self._encode(model, own, train=model.training))
                encoded = encoded.take(self._every(own), electrode_dropout=electrode_dropout)
            else:
                encoded = self._encode(model, own, train=model.training, dropout=electrode_dropout)
                encoded = self._with_views(model, own, encoded)
            out.append((own, encoded))
        return out

    def _with_views(self, model: TransferModel, rows: np.ndarray, encoded: Encoded) -> Encoded:
        """Add the views, if the model uses them."""
        if not model.sees_views:
            return encoded
        return dataclasses.replace(encoded, views_RF=self.views(model, rows).views_RF)

    def views(self, model: TransferModel, rows: np.ndarray) -> Encoded:
        """The views of trials of one task, aligned if the task is."""
        task = int(self.index.task[rows[0]])
        everything = np.flatnonzero(self.index.task == task)
        if task not in self._views:
            parts = [self._encode(model, part, train=False, views_only=True) for part in self._chunks(everything)]
            self._views[task] = join(parts)
        if task in self._aligned_tasks and task not in self._aligned:
            self._aligned[task] = aligned(self.index, everything, self._views[task])
        whole = self._aligned.get(task, self._views[task])
        return whole.take(torch.from_numpy(np.searchsorted(everything, rows)).to(self.device))

    def batches(self, model: TransferModel, rows: np.ndarray) -> Iterator[tuple[np.ndarray, Encoded]]:
        """Yield the trials at `rows` in groups small enough to run at once, for prediction."""
        for task in np.unique(self.index.task[rows]):
            for part in self._chunks(rows[self.index.task[rows] == task]):
                yield from self.groups(model, part)

    def _every(self, rows: np.ndarray) -> torch.Tensor:
        return torch.arange(len(rows), device=self.device)

    def _chunks(self, rows: np.ndarray) -> Iterator[np.ndarray]:
        widest, longest = self.index.n_electrodes[rows].max(initial=1), self.index.n_samples[rows].max(initial=1)
        size = chunk_size(int(widest), int(longest))
        for start in range(0, len(rows), size):
            yield rows[start : start + size]

    def _encode(
        self, model: TransferModel, rows: np.ndarray, *, train: bool, dropout: float = 0.0, views_only: bool = False
    ) -> Encoded:
        flat = flatten(
            self.index.gather(rows), model.ete.config, self.electrode_of, self.device, electrode_dropout=dropout
        )
        with torch.set_grad_enabled(train and torch.is_grad_enabled()), self.autocast():
            return model.encode(flat, views_only=views_only)
