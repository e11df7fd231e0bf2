"""The readout of one view: a linear map from all electrodes, or pairs of them, to a task's outputs.

Ridge regression on the classes, each with the same total weight, or on the value, in the space of the trials or of the
features, whichever is smaller, so that wide views cost little. The penalty has the least loss on folds of subjects. A
fitted readout is kept on disk beside the encoded trials (`eegpt.transfer.states`): runs that read other views, other
seeds or with a graph find it there.

Shapes: N trials, V electrodes or pairs, F features, K outputs, L strengths.
"""

from __future__ import annotations

import functools
import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import scipy.linalg
import torch

from eegpt.model.pairs import PAIRS
from eegpt.model.views import view_slices
from eegpt.model.whitening import WHITENED_VIEWS, whitened_slices
from eegpt.transfer import states, weighting
from eegpt.transfer.bank import TrialBank
from eegpt.transfer.model import SIGNAL_VIEWS, TransferModel
from eegpt.transfer.weighting import Member, Problem

_STRENGTHS = (0.01, 0.1, 1.0, 10.0, 100.0)
_DEFAULT_STRENGTH = 1.0
_SMALLEST_SD = 1e-6
_TABLE_BYTES = 64 << 20  # of a part of a view's table


@dataclass(frozen=True, kw_only=True)
class Readout(Member):
    """A member that is a linear map, without its scale: one matrix (F, K) per electrode or pair."""

    places: np.ndarray  # (V,)
    map_VFK: np.ndarray  # float32
    offset_VK: np.ndarray  # float32
    bias_K: np.ndarray

    def write(self, model: TransferModel, head: int, weight: float) -> None:
        """Add the weighted readout to the model's maps."""
        own = model.electrode_heads
        heads = model.pair_heads if self.name == PAIRS else model.whitened_heads if self.name in WHITENED_VIEWS else own
        if heads is None or own is None:
            return
        factor, columns = weight * self.scale, _columns(model, self.name)
        at, K = torch.from_numpy(self.places).to(heads.weight.device), slice(0, len(self.bias_K))
        heads.weight[head, at, columns, K] = torch.from_numpy(factor * self.map_VFK).to(heads.weight)
        heads.offset[head, at, K] += torch.from_numpy(factor * self.offset_VK).to(heads.weight)
        own.bias[head, K] += torch.from_numpy(factor * self.bias_K).to(own.bias)


def fit_readout(model: TransferModel, bank: TrialBank, rows: np.ndarray, name: str, problem: Problem) -> Readout:
    """The readout of one view, fitted to a head's trials, or read from the disk."""
    key = _key(model, bank, rows, name, problem)
    held = None if key is None else states.read(key)
    if held is not None:
        arrays = {n: t.numpy() for n, t in held.items()}
        scale, loss = arrays.pop("scale_loss")
        return Readout(name=name, scale=float(scale), loss=float(loss), **arrays)
    found = RidgeView(model, bank, rows, name).readout(problem)
    if key is not None:
        arrays = {n: getattr(found, n) for n in ("output_NK", "places", "map_VFK", "offset_VK", "bias_K")}
        arrays["scale_loss"] = np.array([found.scale, found.loss])
        states.write(key, {n: torch.from_numpy(np.ascontiguousarray(a)) for n, a in arrays.items()})
    return found


def _key(model: TransferModel, bank: TrialBank, rows: np.ndarray, name: str, problem: Problem) -> str | None:
    """Everything that a readout depends on; None for trials that are not kept on disk."""
    trials = bank.key_of_views(model, rows, encoder=name not in SIGNAL_VIEWS)
    if trials is None:
        return None
    arrays = (problem.y_NK, problem.weight_N, problem.fold_N)
    return states.entry_key("readout", _code(), name, *trials, problem.regression, *(a.tobytes() for a in arrays))


@functools.cache
def _code() -> bytes:
    paths = (Path(__file__), Path(weighting.__file__))
    return hashlib.sha256(b"".join(path.read_bytes() for path in paths)).digest()


@dataclass(frozen=True, kw_only=True)
class _Part:
    """Some electrodes or pairs of a view, standardised over the trials; missing ones are 0, the mean."""

    places: np.ndarray  # (V,)
    x_NVF: np.ndarray
    mean_VF: np.ndarray
    sd_VF: np.ndarray


class RidgeView:
    """A head's trials in one view, and the ridge regression on them.

    With fewer features than trials the regression is solved for the features, else for the trials with their kernel
    (products of all pairs of trials); both give the same map.
    """

    def __init__(self, model: TransferModel, bank: TrialBank, rows: np.ndarray, name: str) -> None:
        self.name = name
        columns = _columns(model, name)
        self._trial_R, self._place_R, self._x_RF = _rows_of(model, bank, rows, name, columns)
        self._places, self._n = np.unique(self._place_R), len(rows)
        self._n_features = max(1, len(self._places) * self._x_RF.shape[1])
        self.primal = self._n_features <= len(rows)
        if self.primal:
            tables = [part.x_NVF.reshape(len(rows), -1) for part in self._parts()]
            self.input_NR = np.concatenate(tables, axis=1).astype(np.float64) if tables else np.zeros((len(rows), 0))
            self.input_NR /= math.sqrt(self._n_features)
        else:
            kernel_NN = np.zeros((len(rows), len(rows)), np.float32)
            for part in self._parts():
                x_NG = part.x_NVF.reshape(len(rows), -1)
                kernel_NN += x_NG @ x_NG.T
            self.input_NR = kernel_NN.astype(np.float64) / self._n_features

    def _parts(self) -> Iterator[_Part]:
        n_F = self._x_RF.shape[1]
        at_once = max(1, _TABLE_BYTES // (4 * n_F * max(1, self._n)))
        for start in range(0, len(self._places), at_once):
            places = self._places[start : start + at_once]
            own_R = np.flatnonzero((self._place_R >= places[0]) & (self._place_R <= places[-1]))
            slot_R, x_RF = np.searchsorted(places, self._place_R[own_R]), self._x_RF[own_R].astype(np.float32)
            trial_R = self._trial_R[own_R]
            x_NVF = np.full((self._n, len(places), n_F), np.nan, np.float32)
            x_NVF[trial_R, slot_R] = x_RF
            count_V1 = np.bincount(slot_R, minlength=len(places))[:, None]
            mean_VF = np.nansum(x_NVF, axis=0, dtype=np.float64) / count_V1
            x_NVF -= mean_VF.astype(np.float32)
            sd_VF = np.sqrt(np.nansum(np.square(x_NVF), axis=0, dtype=np.float64) / count_V1)
            sd_VF = np.maximum(sd_VF, _SMALLEST_SD)
            x_NVF /= sd_VF.astype(np.float32)
            yield _Part(places=places, x_NVF=np.nan_to_num(x_NVF, copy=False), mean_VF=mean_VF, sd_VF=sd_VF)

    def readout(self, problem: Problem) -> Readout:
        """The readout with the best penalty, and its outputs for trials in other folds than those it was fitted to."""
        every, folds = np.arange(self._n), np.unique(problem.fold_N)
        output_LNK = np.zeros((len(_STRENGTHS), *problem.y_NK.shape))
        if len(folds) > 1:
            for fold in folds:
                learned, held = np.flatnonzero(problem.fold_N != fold), np.flatnonzero(problem.fold_N == fold)
                for number, (map_RK, bias_K) in enumerate(self.solved(problem, learned, _STRENGTHS)):
                    output_LNK[number, held] = self._input(held, learned) @ map_RK + bias_K
            scaled = [problem.scaled(output_NK) for output_NK in output_LNK]
            best = int(np.argmin([loss for _, loss in scaled]))
            strength, (scale, loss) = _STRENGTHS[best], scaled[best]
        else:
            best, strength, scale, loss = 0, _DEFAULT_STRENGTH, 1.0, 1.0
        ((map_RK, bias_K),) = self.solved(problem, every, (strength,))
        map_VFK, offset_VK = self.unfolded(map_RK)
        return Readout(
            name=self.name,
            output_NK=scale * output_LNK[best],
            scale=scale,
            loss=loss,
            places=self._places,
            map_VFK=map_VFK,
            offset_VK=offset_VK,
            bias_K=bias_K,
        )

    def unfolded(self, map_RK: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Matrix and offset of each electrode or pair, which act on values that are not standardised."""
        maps, offsets, first = [], [], 0
        for part in self._parts():
            N, V, n_F = part.x_NVF.shape
            if self.primal:
                map_GK = map_RK[first : first + V * n_F] / math.sqrt(self._n_features)
                first += V * n_F
            else:
                map_GK = part.x_NVF.reshape(N, -1).T @ map_RK / self._n_features
            map_VFK = map_GK.reshape(V, n_F, -1) / part.sd_VF[:, :, None]
            maps.append(map_VFK.astype(np.float32))
            offsets.append(-np.einsum("vfk,vf->vk", map_VFK, part.mean_VF).astype(np.float32))
        n_F, K = self._x_RF.shape[1], map_RK.shape[1]
        none = np.zeros((0, n_F, K), np.float32)
        return np.concatenate([none, *maps]), np.concatenate([none[:, 0], *offsets])

    def _input(self, rows: np.ndarray, learned: np.ndarray) -> np.ndarray:
        return self.input_NR[rows] if self.primal else self.input_NR[np.ix_(rows, learned)]

    def solved(
        self, problem: Problem, rows: np.ndarray, strengths: Sequence[float]
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Map (R, K) and bias (K,) of each strength, fitted to the trials `rows`."""
        weight_N = problem.weight_N[rows]
        weight_N = weight_N * (len(rows) / weight_N.sum())
        share_N, root_N1 = weight_N / len(rows), np.sqrt(weight_N)[:, None]
        y_NK, x_NR = problem.y_NK[rows], self._input(rows, rows)
        y_K, x_R = share_N @ y_NK, share_N @ x_NR
        y_NK = y_NK - y_K
        if self.primal:
            z_NR = (x_NR - x_R) * root_N1
            square_RR, right_RK = z_NR.T @ z_NR, z_NR.T @ (root_N1 * y_NK)
            for strength in strengths:
                map_RK = _solve(square_RR, strength, right_RK)
                yield map_RK, y_K - x_R @ map_RK
        else:
            centred_NN = x_NR - x_R - x_R[:, None] + x_R @ share_N
            square_NN = root_N1 * centred_NN * root_N1.T
            for strength in strengths:
                dual_NK = root_N1 * _solve(square_NN, strength, root_N1 * y_NK)
                map_NK = dual_NK - share_N[:, None] * dual_NK.sum(axis=0)  # on kernel rows that are not centred
                yield map_NK, y_K - x_R @ map_NK


def _solve(square: np.ndarray, strength: float, right: np.ndarray) -> np.ndarray:
    """(square + strength * I)^-1 right, of a positive semi-definite matrix."""
    regular = square + strength * np.eye(len(square))
    solved: np.ndarray = scipy.linalg.cho_solve(
        scipy.linalg.cho_factor(regular, lower=True, overwrite_a=True, check_finite=False), right, check_finite=False
    )
    return solved


def _columns(model: TransferModel, view: str) -> slice:
    """The columns of a view in the rows that it is read from."""
    return (view_slices(model.ete.config) | whitened_slices(model.ete.config)).get(view, slice(None))


def _rows_of(
    model: TransferModel, bank: TrialBank, rows: np.ndarray, view: str, columns: slice
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Trial (position in `rows`), electrode or pair, and features of all rows of a view, ordered by trial."""
    order = np.argsort(rows, kind="stable")
    trial, place, x = [], [], []
    for task in np.unique(bank.index.task[rows]):
        own = order[bank.index.task[rows[order]] == task]
        encoded = bank.views(model, rows[own])
        if view == PAIRS:
            x_PF, pair_P, mask_NP = encoded.pair_rows()
        else:
            x_RF = encoded.whitened_RF if view in WHITENED_VIEWS else encoded.views_RF
            if x_RF is None:
                raise ValueError(f"the bank contains no view {view!r} of these trials")
            x_PF, pair_P, mask_NP = x_RF[:, columns], encoded.electrode_R, encoded.mask_NE
        trial.append(own[mask_NP.nonzero()[:, 0].cpu().numpy()])
        place.append(pair_P.cpu().numpy())
        x.append(x_PF.cpu().numpy())
    return np.concatenate(trial), np.concatenate(place), np.concatenate(x)
