"""Encoded trials, computed only once if possible.

Trials are returned as `Encoded` groups, one per task, since trials of a task have about the same length. Keys and
values of a frozen encoder are computed once and cached up to a memory limit; beyond it, or if the encoder is trained,
they are computed for each batch.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import functools
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import asdict
from typing import Literal

import numpy as np
import torch

from eegpt.model.config import ETEConfig
from eegpt.model.heads import compressed
from eegpt.model.views import view_slices, views
from eegpt.model.whitening import whitening
from eegpt.transfer import states
from eegpt.transfer.align import aligned, tangent_pairs
from eegpt.transfer.model import TransferModel
from eegpt.transfer.rows import Encoded, Trials, flatten, join, only, pairs_of, whitened_of
from eegpt.transfer.signals import Signals, normalised_signals
from eegpt.transfer.states import encoder_key, entry_key

_VALUES = ("views_RF", "pairs_NEEF", "whitened_RF")  # what the readouts read
_ROWS_AT_ONCE = 512  # electrodes per encoder pass without gradient
_Group = tuple[str, tuple[int, ...]]  # a subject and the electrodes of a trial


def _halved(encoded: Encoded) -> Encoded:
    """Views and pairs in float16, as they are kept on disk; in float32 if they exceed its range."""

    def half(x: torch.Tensor | None) -> torch.Tensor | None:
        small = None if x is None else x.half()
        return small if x is None or small is None or bool(small.isfinite().all()) else x.float()

    return _each(encoded, half)


def _compressed(encoded: Encoded) -> Encoded:
    return _each(encoded, lambda x: None if x is None else compressed(x))


def _each(encoded: Encoded, function: Callable[[torch.Tensor | None], torch.Tensor | None]) -> Encoded:
    """The trials with a function of all that readouts read."""
    return dataclasses.replace(
        encoded,
        views_RF=function(encoded.views_RF),
        pairs_NEEF=function(encoded.pairs_NEEF),
        whitened_RF=function(encoded.whitened_RF),
    )


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
        Views by task, filled by the bank; models with the same frozen encoder and index may share it. On disk they are
        shared by all runs, see `eegpt.transfer.states`.
    without : iterable of int
        Electrodes (of the encoder's vocabulary) that are not read, where the graph does not run.
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
        views: dict[str, Encoded] | None = None,
        without: Iterable[int] = (),
    ) -> None:
        self.index = index
        self.electrode_of = electrode_of
        self.device = device
        self.budget_bytes = budget_bytes
        self.precision = precision
        self._kept: dict[int, Encoded] = {}
        self._place = np.full(len(index), -1, np.int64)
        self._aligned_tasks = frozenset(aligned_tasks)
        self._views: dict[str, Encoded] = {} if views is None else views
        self._without = torch.tensor(sorted(without), dtype=torch.int64, device=device)

    def autocast(self, *, graph: bool = False) -> AbstractContextManager[object]:
        """The context in which the encoder runs, or a graph whose nodes start from views.

        Each batch of such a graph has other shapes, for which a CPU would prepare its bfloat16 products anew.
        """
        if self.precision == "float32" or (graph and self.device.type == "cpu"):
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
        seen = self.views(model, rows)
        return dataclasses.replace(encoded, **{name: getattr(seen, name) for name in _VALUES})

    def views(self, model: TransferModel, rows: np.ndarray) -> Encoded:
        """All that the model's readouts read of trials of one task, aligned if the task is."""
        task = int(self.index.task[rows[0]])
        everything = np.flatnonzero(self.index.task == task)
        by_subject = task in self._aligned_tasks
        compress = by_subject and model.compress
        reads = (model.reads_states, model.reads_pairs, model.reads_whitened)
        name = f"{task} {reads} {by_subject} {compress} {self._without.tolist()}"
        if name not in self._views:
            whole = self._without_some(self._computed(model, everything))
            if by_subject:
                whole = aligned(self.index, everything, whole)
            if model.reads_pairs:
                pairs_NEEF = self._pairs(model, everything, by_subject=by_subject)
                whole = dataclasses.replace(whole, pairs_NEEF=pairs_NEEF)
            if model.reads_whitened and by_subject:
                whitened_RF = self._whitened(model.ete.config, everything)
                whole = dataclasses.replace(whole, whitened_RF=whitened_RF)
            self._views[name] = _compressed(whole) if compress else whole
        return self._views[name].take(torch.from_numpy(np.searchsorted(everything, rows)).to(self.device))

    def _computed(self, model: TransferModel, rows: np.ndarray) -> Encoded:
        """Views as computed from the signal, from the disk if they are there."""
        trials, common = self._key_parts(model.ete.config, rows)
        compute: Callable[[np.ndarray], Encoded]
        if model.reads_states:
            key = entry_key("states", encoder_key(model.ete), self.precision, *common)
            compute = functools.partial(self._encode, model, train=False, views_only=True)
        else:
            key = entry_key("signal", *common)
            compute = functools.partial(self._without_states, model)
        return self._stored(key, trials, rows, compute)

    def _pairs(self, model: TransferModel, rows: np.ndarray, *, by_subject: bool) -> torch.Tensor | None:
        """Logarithms of covariances, whitened and standardised by subject or not; they need no encoder.

        Both they and what they are computed from are on disk: logarithms of large matrices take longer than reading.
        """
        trials, common = self._key_parts(model.ete.config, rows)
        subjects = [self.index.subject[r] for r in rows] if by_subject else ()
        key = entry_key("tangent", *common, subjects, self._without.tolist())
        held = states.read(key) if trials is not None else None
        if held is not None:
            return held["pairs_NEEF"].to(self.device).float()
        compute = functools.partial(self._measured_pairs, model.ete.config)
        whole = self._without_some(self._stored(entry_key("pairs", *common), trials, rows, compute))
        whole = _halved(aligned(self.index, rows, whole) if by_subject else tangent_pairs(whole))
        assert whole.pairs_NEEF is not None
        if trials is not None:
            states.write(key, {"pairs_NEEF": whole.pairs_NEEF})
        return whole.pairs_NEEF.float()

    def _whitened(self, config: ETEConfig, rows: np.ndarray) -> torch.Tensor | None:
        """Views of signals whitened by the mean covariance of the subject's trials, standardised by subject."""
        trials, common = self._key_parts(config, rows)
        subjects = [self.index.subject[r] for r in rows]
        key = entry_key("whitened", *common, subjects, self._without.tolist())
        weights = functools.cache(lambda: self._whitening(config, rows))

        def compute(part: np.ndarray) -> Encoded:
            signals = self._signals(config, part)
            weight_NEE = torch.zeros(*signals.mask_NE.shape, signals.mask_NE.shape[1], device=self.device)
            for number, (group, at) in enumerate(self._groups(config, part, signals)):
                weight_NEE[number, at.unsqueeze(1), at] = weights()[group].to(weight_NEE)
            return whitened_of(signals, weight_NEE, config)

        whole = aligned(self.index, rows, self._stored(key, trials, rows, compute))
        return whole.whitened_RF

    def _whitening(self, config: ETEConfig, rows: np.ndarray) -> dict[_Group, torch.Tensor]:
        """The whitening weights of each subject's trials of the same electrodes."""
        total: dict[_Group, torch.Tensor] = {}
        count: collections.Counter[_Group] = collections.Counter()
        for part in self._chunks(rows):
            signals = self._signals(config, part)
            covariance_NEE = signals.covariances()
            for number, (group, at) in enumerate(self._groups(config, part, signals)):
                own_EE = covariance_NEE[number][at][:, at]
                total[group] = own_EE + total[group] if group in total else own_EE
                count[group] += 1
        return {group: whitening(sum_EE / count[group]) for group, sum_EE in total.items()}

    def _groups(self, config: ETEConfig, rows: np.ndarray, signals: Signals) -> Iterator[tuple[_Group, torch.Tensor]]:
        """Subject and electrodes of each trial, and the slots of these electrodes."""
        for row, own_E in zip(rows, signals.electrodes(config), strict=True):
            at = own_E.ge(0).nonzero().squeeze(1)
            yield (self.index.subject[row], tuple(own_E[at].tolist())), at

    def _signals(self, config: ETEConfig, rows: np.ndarray) -> Signals:
        """The signals of some trials at the electrodes that are read."""
        signals = normalised_signals(self.index.gather(rows), config, self.electrode_of, self.device)
        if not len(self._without):
            return signals
        return signals.only(~torch.isin(signals.electrodes(config), self._without))

    def key_of_views(self, model: TransferModel, rows: np.ndarray, *, encoder: bool) -> tuple[object, ...] | None:
        """What the views of some trials depend on, with `encoder` also those of states; None if not kept on disk."""
        parts: list[object] = [model.reads_states, (encoder_key(model.ete), self.precision) if encoder else None]
        for task in np.unique(self.index.task[rows]).tolist():
            everything = np.flatnonzero(self.index.task == task)
            trials, common = self._key_parts(model.ete.config, everything)
            if trials is None:
                return None
            # Alignment makes the views of a trial depend on all trials of its subject.
            subjects = [self.index.subject[r] for r in everything] if task in self._aligned_tasks else ()
            parts += [common, subjects, np.flatnonzero(np.isin(everything, rows)).tolist()]
            if subjects and model.compress:
                parts.append("compressed")
        order = np.argsort(np.argsort(rows, kind="stable"), kind="stable")
        return (*parts, order.tolist(), self._without.tolist())

    def _measured_pairs(self, config: ETEConfig, rows: np.ndarray) -> Encoded:
        return pairs_of(self.index.gather(rows), config, self.electrode_of, self.device)

    def _without_some(self, encoded: Encoded) -> Encoded:
        if not len(self._without):
            return encoded
        return only(encoded, encoded.mask_NE & ~torch.isin(encoded.electrodes(), self._without))

    def _key_parts(self, config: ETEConfig, rows: np.ndarray) -> tuple[str | None, tuple[object, ...]]:
        """Hash of the trials, None if they are not kept on disk, and what all their entries depend on."""
        fingerprint = getattr(self.index, "fingerprint", None)
        trials: str | None = fingerprint(rows) if fingerprint is not None else None
        map_bytes = (self.electrode_of.shape, self.electrode_of.tobytes())
        told = ("inputs",) if config.n_references else ()  # entries without `input_R` are those of another format
        return trials, (trials, *map_bytes, self.device.type, asdict(config), *told)

    @torch.no_grad()
    def _stored(
        self, key: str, trials: str | None, rows: np.ndarray, compute: Callable[[np.ndarray], Encoded]
    ) -> Encoded:
        """An entry of the cache of states, computed and written if it is not there."""
        held = states.read(key) if trials is not None else None
        if held is None:
            whole = join([_halved(compute(part)) for part in self._chunks(rows)])
            if trials is not None:
                fields = (*_VALUES, "electrode_R", "input_R", "mask_NE")
                states.write(key, {n: t for n in fields if (t := getattr(whole, n)) is not None})
        else:
            here = {name: tensor.to(self.device) for name, tensor in held.items()}
            whole = Encoded(cache=None, features_RF=None, **here)
        return dataclasses.replace(
            whole, **{n: x.float() for n in ("views_RF", "whitened_RF") if (x := getattr(whole, n)) is not None}
        )

    def _without_states(self, model: TransferModel, rows: np.ndarray) -> Encoded:
        """The views of the signal alone: the encoder does not run, and its states are zero."""
        flat = flatten(self.index.gather(rows), model.ete.config, self.electrode_of, self.device)
        of_encoder = view_slices(model.ete.config)["spectrum"].start
        mean_RD = flat.course_RF.new_zeros(len(flat.course_RF), of_encoder)
        seen = views(mean_RD, flat.tokens_RTC, flat.token_mask_RT, flat.course_RF, flat.sigma_R, model.ete.config)
        c = model.ete.config
        return Encoded(
            cache=None,
            features_RF=None,
            views_RF=seen,
            electrode_R=c.electrode_of(flat.electrode_R),
            input_R=flat.electrode_R if c.n_references else None,
            mask_NE=flat.mask_NE,
        )

    def aligns(self, rows: np.ndarray) -> bool:
        """Whether the views of all these trials are standardised by subject."""
        return self._aligned_tasks.issuperset(self.index.task[rows].tolist())

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
