"""What two electrodes share: covariances in frequency bands, keyed by electrode pair, for any montage.

States of single electrodes cannot hold how electrodes move together, which covariance methods (CSP, tangent space) use.
`band_pairs` measures it in every trial, as log power on the diagonal and correlation off it; `log_covariances` turns it
into the logarithm of the covariance matrix, whitened by a reference (the subject's mean), in which distances are those
of Riemannian methods and a linear map is a tangent space classifier (Barachant et al. 2012; Zanini et al. 2018).

Shapes: N trials, E electrodes (padded), S samples, F bands.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable

import torch
from torch import Tensor

PAIRS = "pairs"  # the name of this view
_EDGES_HZ = (1.0, 3.0, 5.0, 7.0, 9.0, 11.0, 13.0, 16.0, 20.0, 25.0, 30.0, 37.0, 45.0)
PAIR_BANDS_HZ = tuple(itertools.pairwise(_EDGES_HZ))
N_PAIR_FEATURES = len(PAIR_BANDS_HZ)
SHRINKAGE = 0.1  # towards the mean of the variances: bands of one trial have few degrees of freedom
_SMALLEST = 1e-6


def n_pairs(n_electrodes: int) -> int:
    """Number of unordered pairs of electrodes, including each electrode with itself."""
    return n_electrodes * (n_electrodes + 1) // 2


def pair_ids(electrode_NE: Tensor) -> Tensor:
    """Number (N, E, E) of each unordered pair of electrodes, independent of their order."""
    low = torch.minimum(electrode_NE.unsqueeze(2), electrode_NE.unsqueeze(1))
    high = torch.maximum(electrode_NE.unsqueeze(2), electrode_NE.unsqueeze(1))
    return high * (high + 1) // 2 + low


def band_pairs(x_NES: Tensor, n_samples_N: Tensor, sfreq_hz: float) -> Tensor:
    """Log power (diagonal) and correlation (off it) of electrodes in each band, (N, E, E, F); zero where masked.

    Spectra of half overlapping Hann windows of 1 s (or the trial), averaged over a trial's own samples.
    """
    N, E, S = x_NES.shape
    length = min(S, int(sfreq_hz))
    step = max(1, length // 2)
    window = torch.hann_window(length, device=x_NES.device)
    part_NEWL = x_NES.float().unfold(2, length, step)
    part_NEWL = part_NEWL - part_NEWL.mean(dim=3, keepdim=True)
    spectrum_NEWB = torch.fft.rfft(part_NEWL * window)
    start_W = torch.arange(part_NEWL.shape[2], device=x_NES.device) * step
    inside_NW = (start_W + length <= n_samples_N.unsqueeze(1)) | (start_W == 0)
    spectrum_NEWB = spectrum_NEWB * inside_NW[:, None, :, None]
    frequency_B = torch.fft.rfftfreq(length, 1.0 / sfreq_hz).to(x_NES.device)
    out = x_NES.new_zeros((N, E, E, N_PAIR_FEATURES), dtype=torch.float32)
    for band, (low, high) in enumerate(PAIR_BANDS_HZ):
        inside = (frequency_B >= low) & (frequency_B < high)
        if not bool(inside.any()):  # short trials do not resolve the lowest bands: use the nearest bin
            inside = torch.arange(len(frequency_B), device=inside.device) == (frequency_B - low).abs().argmin()
        own = torch.view_as_real(spectrum_NEWB[..., inside]).flatten(2)
        covariance_NEE = own @ own.mT / (inside_NW.sum(dim=1) * inside.sum())[:, None, None]
        power_NE = covariance_NEE.diagonal(dim1=1, dim2=2).clamp_min(0.0)
        sd_NE = power_NE.sqrt().clamp_min(_SMALLEST)
        out[..., band] = covariance_NEE / sd_NE.unsqueeze(2) / sd_NE.unsqueeze(1)
        out[..., band].diagonal(dim1=1, dim2=2).copy_((power_NE + _SMALLEST).log())
    return out


def covariances(pairs_NEEF: Tensor) -> Tensor:
    """Shrunk covariance matrices (N, F, E, E), float64, from `band_pairs`."""
    c_NFEE = pairs_NEEF.double().permute(0, 3, 1, 2).clone()
    power_NFE = c_NFEE.diagonal(dim1=2, dim2=3).exp()
    c_NFEE.diagonal(dim1=2, dim2=3).fill_(1.0)
    sd_NFE = power_NFE.sqrt()
    return shrunk(c_NFEE * sd_NFE.unsqueeze(2) * sd_NFE.unsqueeze(3))


def shrunk(covariance: Tensor) -> Tensor:
    """Covariance matrices (..., E, E), shrunk by a tenth towards their mean variance."""
    mean = covariance.diagonal(dim1=-2, dim2=-1).mean(dim=-1, keepdim=True)
    out = (1 - SHRINKAGE) * covariance
    out.diagonal(dim1=-2, dim2=-1).add_(SHRINKAGE * mean)
    return out


def log_covariances(c_NFEE: Tensor, reference_FEE: Tensor | None = None) -> Tensor:
    """Logarithm of the matrices (N, E, E, F), float32, after whitening by a reference."""
    if reference_FEE is not None:
        whiten_FEE = of_eigenvalues(reference_FEE, torch.rsqrt)
        c_NFEE = whiten_FEE @ c_NFEE @ whiten_FEE
    return of_eigenvalues(c_NFEE, torch.log).permute(0, 2, 3, 1).float()


def of_eigenvalues(matrix: Tensor, function: Callable[[Tensor], Tensor]) -> Tensor:
    """A function of symmetric matrices, applied to their eigenvalues."""
    value, vector = torch.linalg.eigh((matrix + matrix.mT) / 2)
    top = value[..., -1:].clamp_min(_SMALLEST)
    value = torch.maximum(value, 1e-4 * top)
    return (vector * function(value).unsqueeze(-2)) @ vector.mT
