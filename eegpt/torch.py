"""The model as one `torch.nn.Module`, in the convention of braindecode: any montage, any rate, (batch, channel, time).

`EEGPT` fits plain PyTorch loops, skorch (also braindecode's `EEGClassifier`), Lightning and Accelerate, and depends on
none of them. Inside, channels become electrodes by name, signals are resampled to 256 Hz and scaled as in pre-training,
the encoder reads every electrode, and the electrode graph and a linear head give the outputs.

Shapes: B batch, N channels of the input, E electrodes used, S samples at 256 Hz, R electrodes of all trials as rows,
D width, K outputs.
"""

from __future__ import annotations

import copy
import math
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from eegprep.electrodes import Vocabulary
from eegprep.electrodes.resolve import EEG_ALONE
from eegprep.electrodes.vocabulary import KINDS
from eegprep.errors import InputError, UsageError
from eegprep.files import names_of, one_of, path_of, write_atomic
from eegprep.manifest.croissant import markdown_text
from eegprep.splits import SEEN_FILE
from eegpt.interop.arrays import ArrayError, check_amplitude, factor_of
from eegpt.interop.model import Model, check_size, open_model
from eegpt.interop.signals import Unknown
from eegpt.interop.torch_input import FIFF_OF, Resample, channels_of, inputs_of, median, rate_of, robust_sd
from eegpt.model.config import ETEConfig
from eegpt.model.ete import ETE
from eegpt.model.heads import HeadSpec, TaskHeads
from eegpt.model.lora import merge_lora
from eegpt.model.sizes import ete_config
from eegpt.model.tokens import normalised, unfold_tokens
from eegpt.runs.checkpoint import load_tensors, save_tensors
from eegpt.runs.folder import CONFIG, LOCK, VOCABULARY, WEIGHTS, read_config, read_json, read_lock, write_config
from eegpt.runs.settings import changed, from_mapping
from eegpt.runs.weights import find
from eegpt.transfer.config import TransferConfig
from eegpt.transfer.fit import build_model, graph_config
from eegpt.transfer.inputs import derivation_rows, extended
from eegpt.transfer.rows import Rows, encode

Mode = Literal["frozen", "lora", "full"]

_KIND = "module"


class EEGPT(nn.Module):
    """EEGPT (Yue et al., arXiv 2410.19779) for decoding, as a module.

    Parameters
    ----------
    n_outputs : int
        Number of classes, or of values of a regression.
    n_chans : int, optional
        Number of channels of the input; by default those of `chs_info`.
    chs_info : list of dict, or of str
        The channels in the order of the input: `info["chs"]` of MNE, or their names.
    n_times : int, optional
        Number of samples of a trial, for information: any length is accepted.
    input_window_seconds : float, optional
        Used instead of `n_times`.
    sfreq : float
        Sampling rate of the input in Hz. Other rates than 256 Hz are resampled inside.
    pretrained : Model, str or Path, optional
        The packaged weights `base` or `small`, a run of `eegpt train` or `eegpt transfer` (of which the encoder is
        taken), or `hf://owner/name`. None: random weights of the size `base`, all of them trained.
    mode : {"frozen", "lora", "full"}, optional
        What is trained besides graph and head: nothing, low-rank additions to the encoder's attention, or the whole
        encoder. By default `frozen`, or `full` without `pretrained`.
    unit : {"uV", "V", "mV", "nV"}
        Unit of the input. An amplitude that cannot be EEG in this unit is refused in the first forward pass.
    unknown : {"leave_out", "nearest", "refuse"}
        What to do with EEG channels that are not electrodes of the model: leave them out with a warning; map each to
        the nearest free electrode by its position; or refuse.
    sigma_uv : (n_chans,) array, optional
        Robust SD of each channel in microvolt, by which the input is divided, such as from the training recordings
        (`set_sigma`). By default that of each trial.
    bads : sequence of str
        Channels to leave out (`info["bads"]`).
    reference : str, optional
        What the EEG channels were measured against, for encoders that are told it: an electrode, `average`, `linked
        ears`, ... Names such as `Fp1-F7` say so themselves; unknown otherwise.
    kinds : sequence of str
        Kinds of channels to use, of those that the model knows (`eeg`, `eog`, `emg`, `ecg`, ...).
    teg_layers, drop_prob
        Layers of the graph (by default those of the size), and dropout in the graph and before the head.

    Attributes
    ----------
    electrodes, references : tuple of str
        The electrodes used, in the order of their channels (`Fp1-F7` where one has several derivations), and what each
        was measured against.
    left_out : dict of str to str
        Channels that are not used, with the reason.

    Notes
    -----
    A channel that is NaN or constant in a trial is left out of that trial.
    """

    def __init__(
        self,
        n_outputs: int,
        n_chans: int | None = None,
        chs_info: Sequence[Any] | None = None,
        n_times: int | None = None,
        input_window_seconds: float | None = None,
        sfreq: float | None = None,
        *,
        pretrained: Model | str | Path | None = None,
        mode: Mode | None = None,
        unit: Literal["uV", "V", "mV", "nV"] = "uV",
        unknown: Unknown = "leave_out",
        sigma_uv: Sequence[float] | np.ndarray | None = None,
        bads: Sequence[str] = (),
        reference: str | None = None,
        kinds: Sequence[str] = EEG_ALONE,
        teg_layers: int | None = None,
        drop_prob: float = 0.2,
    ) -> None:
        super().__init__()
        source = pretrained if pretrained is None or isinstance(pretrained, Model) else open_model(pretrained)
        vocabulary = Vocabulary.base() if source is None else source.vocabulary
        mode = mode or ("full" if source is None else "frozen")
        if source is None and mode != "full":
            raise UsageError(
                f"mode {mode!r} needs a pre-trained encoder", todo="pass pretrained='base', or mode='full'"
            )
        base = ete_config("base", n_electrodes=len(vocabulary), objective="new")
        self._build(
            n_outputs,
            n_chans,
            chs_info,
            n_times,
            input_window_seconds,
            sfreq,
            encoder=base if source is None else source.ete.config,
            weights=None if source is None else source.ete.state_dict(),
            vocabulary=vocabulary,
            folder=None if source is None else source.folder,
            mode=mode,
            unit=unit,
            unknown=unknown,
            sigma_uv=sigma_uv,
            bads=bads,
            reference=reference,
            kinds=kinds,
            teg_layers=teg_layers,
            drop_prob=drop_prob,
        )

    def _build(
        self,
        n_outputs: int,
        n_chans: int | None,
        chs_info: Any,
        n_times: int | None,
        input_window_seconds: float | None,
        sfreq: float | None,
        *,
        encoder: ETEConfig,
        weights: Mapping[str, Tensor] | None,
        vocabulary: Vocabulary,
        folder: Path | None,
        mode: str,
        unit: str,
        unknown: Unknown,
        sigma_uv: Any,
        bads: Sequence[str],
        teg_layers: int | None,
        drop_prob: float,
        reference: str | None = None,
        kinds: Sequence[str] = EEG_ALONE,
        fixed: bool = False,
    ) -> None:
        one_of(mode, "mode", ("frozen", "lora", "full"))
        kinds = names_of(kinds, "kinds")
        for kind in kinds:
            one_of(kind, "kind of channel", KINDS)
        bads = (bads,) if isinstance(bads, str) else bads
        if not isinstance(n_outputs, (int, np.integer)) or n_outputs < 1:
            raise ArrayError("n_outputs must be 1 or more", found=repr(n_outputs))
        self._channels = channels_of(chs_info, n_chans, bads)
        self.n_outputs, self.n_chans, self.sfreq = int(n_outputs), len(self._channels), rate_of(sfreq)
        if n_times is None and input_window_seconds is not None:
            n_times = round(input_window_seconds * self.sfreq)
        self.n_times, self._folder = n_times, folder
        self.mode, self.unit, self._factor, self._unknown = mode, unit, factor_of(unit), unknown
        self._reference, self._kinds = reference, tuple(kinds)
        inputs, self.left_out = inputs_of(self._channels, vocabulary, unknown, reference, kinds)
        self.electrodes, self.references, columns = inputs.names, inputs.references, inputs.columns
        if not fixed:  # several derivations of one electrode get rows of their own
            rows = derivation_rows(vocabulary, inputs.electrodes, inputs.references)
            encoder, vocabulary, weights = extended(encoder, vocabulary, weights, rows)
        self.vocabulary = vocabulary
        settings = {"mode": mode, "model.readout": "special+states", "model.views": [], "model.dropout": drop_prob}
        config = changed(TransferConfig(), {**settings, "model.teg_layers": teg_layers})
        ete = ETE(encoder)
        if weights is not None:
            ete.load_state_dict(dict(weights))
        self.net = build_model(ete, graph_config(config, encoder), (self._head(),), config)
        self._columns: Tensor
        self._ids: Tensor
        self._sigma_uv: Tensor
        self.register_buffer("_columns", torch.tensor(columns), persistent=False)
        self.register_buffer("_ids", torch.from_numpy(inputs.ids(encoder, vocabulary)), persistent=False)
        self.register_buffer("_sigma_uv", torch.full((len(columns),), float("nan")))
        if sigma_uv is not None:
            self._put_sigma(torch.as_tensor(np.asarray(sigma_uv), dtype=torch.float32))
        self._resample = Resample(self.sfreq)
        self._judged = False

    def _head(self) -> HeadSpec:
        return HeadSpec(name="y", n_outputs=self.n_outputs)

    # -- use

    def forward(self, x: Tensor, return_features: bool = False) -> Tensor | dict[str, Tensor]:
        """Outputs (B, K) of trials (B, N, n_times); with `return_features` the features instead.

        Returns
        -------
        Tensor or dict of str to Tensor
            Logits or values; or `features` (B, E, 2 D), mean and last state of the encoder for every electrode (0 where
            a trial lacks one), and `cls_token` (B, D), the graph's vector.

        Raises
        ------
        ArrayError
            The shape is wrong, a trial has no usable channel, or the amplitude is impossible in the stated unit.
        """
        rows = self._rows(x)
        with torch.set_grad_enabled(torch.is_grad_enabled() and (self.net.trains_encoder or x.requires_grad)):
            encoded = encode(self.net.ete, rows, special=True, states=True)
        task_B = torch.zeros(len(x), dtype=torch.int64, device=x.device)
        if return_features:
            assert encoded.features_RF is not None  # states=True makes them
            features = encoded.features_RF.new_zeros(*rows.mask_NE.shape, encoded.features_RF.shape[1])
            features[rows.mask_NE] = encoded.features_RF
            return {"features": features, "cls_token": self.net.pool([encoded], task_B)}
        return self.net.graph_logits([encoded], task_B)

    def _rows(self, x: Tensor) -> Rows:
        if x.ndim != 3 or x.shape[1] != self.n_chans:
            raise ArrayError(
                "an input of the wrong shape", found=tuple(x.shape), expected=f"(batch, {self.n_chans}, n_times)"
            )
        x_BES = x[:, self._columns].float() * self._factor
        self._judge(x_BES)
        finite_BE = torch.isfinite(x_BES).all(dim=2)
        alive_BE = finite_BE & (x_BES.amax(dim=2) > x_BES.amin(dim=2))
        if not alive_BE.any(dim=1).all():
            raise ArrayError(
                "a trial has no usable channel",
                found=f"trial {int((~alive_BE.any(dim=1)).nonzero()[0])} of the batch: NaN or constant everywhere",
                todo="leave the trial out",
            )
        x_BES = torch.where(alive_BE.unsqueeze(2), x_BES, torch.zeros_like(x_BES))
        x_BES = self._resample(x_BES - median(x_BES))
        sigma_BE = torch.where(torch.isfinite(self._sigma_uv), self._sigma_uv, robust_sd(x_BES))
        c = self.net.ete.config
        x_RS, sigma_R = x_BES[alive_BE], sigma_BE[alive_BE]
        x_RS = normalised(
            x_RS, torch.ones_like(sigma_R), sigma_R, normalise=c.normalise, fixed_uv=c.fixed_uv, clip=c.clip
        )
        if x_RS.shape[1] < c.token_samples:
            x_RS = F.pad(x_RS, (0, c.token_samples - x_RS.shape[1]))
        return Rows(
            tokens_RTC=unfold_tokens(x_RS, token_samples=c.token_samples, token_stride=c.token_stride),
            token_mask_RT=None,
            electrode_R=self._ids.expand(len(x), -1)[alive_BE],
            mask_NE=alive_BE,
            course_RF=x_RS.new_zeros(len(x_RS), 0),
            sigma_R=sigma_R,
        )

    def _judge(self, x_uv: Tensor) -> None:
        """Check the amplitude of the first batch."""
        if self._judged or x_uv.is_meta:
            return
        plain = torch.nan_to_num(x_uv.detach()).cpu().numpy()
        check_amplitude(plain, self.sfreq, stated=self.unit)
        self._judged = True

    def reset_head(self, n_outputs: int) -> None:
        """Replace the head by a new one with random weights; encoder and graph stay as they are."""
        self.n_outputs = int(n_outputs)
        weight = self.net.heads.weight
        self.net.heads = TaskHeads(self.net.ete.config.width, (self._head(),)).to(weight.device, weight.dtype)

    @torch.no_grad()
    def set_sigma(self, x: Tensor | np.ndarray) -> None:
        """Divide inputs by the robust SD of these trials (B, N, n_times) from now on, instead of each trial's own.

        In pre-training each recording is divided by its own SD: pass the trials of a subject, or all training trials.
        """
        x_BES = torch.as_tensor(x, dtype=torch.float32, device=self._ids.device)[:, self._columns] * self._factor
        x_BES = self._resample(x_BES - median(x_BES))
        self._sigma_uv.copy_(robust_sd(x_BES.transpose(0, 1).flatten(1)))

    def _put_sigma(self, sigma_uv: Tensor) -> None:
        if sigma_uv.shape != (self.n_chans,) or not bool((sigma_uv[self._columns] > 0).all()):
            raise ArrayError(
                "sigma_uv must have one number above 0 for each channel",
                found=tuple(sigma_uv.shape),
                expected=f"({self.n_chans},)",
            )
        self._sigma_uv.copy_(sigma_uv[self._columns])

    # -- files

    @classmethod
    def from_pretrained(
        cls, model: Model | str | Path = "base", *, n_outputs: int | None = None, **options: Any
    ) -> EEGPT:
        """A module with pre-trained weights.

        Parameters
        ----------
        model : Model, str or Path
            What `save_pretrained` or `push_to_hub` wrote: everything is restored, except that another `n_outputs` gives
            a new head, and other channels or another rate can be passed. Or the packaged weights `base` or `small`, or
            a run, as `pretrained` of `EEGPT`: the encoder, with a new graph and head.
        n_outputs, **options
            Parameters of `EEGPT`.
        """
        folder = None if isinstance(model, Model) else _folder(model)
        if folder is None or not (folder / CONFIG).is_file() or read_json(folder / CONFIG).get("kind") != _KIND:
            if n_outputs is None:
                raise UsageError("a new head needs its number of outputs", todo="pass n_outputs=")
            return cls(n_outputs, pretrained=folder or model, **options)
        plain, where = read_config(folder, kind=_KIND), folder / CONFIG
        check_size(plain, folder / WEIGHTS, where)
        tensors = load_tensors(folder / WEIGHTS)
        if surplus := options.keys() - {*plain.get("module", {}), "n_chans", "chs_info"}:
            raise TypeError(f"unexpected parameters: {', '.join(sorted(surplus))}")
        module = cls.__new__(cls)
        nn.Module.__init__(module)
        try:
            known = {**plain["module"], **options}
            if "chs_info" in options:
                known |= {"n_chans": options.get("n_chans"), "sigma_uv": options.get("sigma_uv")}
            module._build(
                **known,
                input_window_seconds=None,
                encoder=from_mapping(ETEConfig, plain["encoder"], where=f"{where}: encoder"),
                weights=None,
                vocabulary=Vocabulary.from_parquet(folder / VOCABULARY),
                folder=folder,
                fixed=True,
            )
        except (KeyError, TypeError) as error:
            raise InputError("config.json lacks a part of a module", where=where, found=repr(error)) from None
        lora = {k: v for k, v in module.net.state_dict().items() if k.endswith((".a", ".b")) and ".attention." in k}
        plain_names = {k.replace(".base.", "."): k for k in module.net.state_dict() if k not in lora}
        for name in ("teg.reference", "teg.kind"):  # modules that were saved without them
            if name in plain_names:
                tensors.setdefault(name, torch.zeros_like(module.net.state_dict()[name]))
        _check_names(tensors, {k: module.net.state_dict()[own] for k, own in plain_names.items()}, folder / WEIGHTS)
        module.net.load_state_dict({own: tensors[k] for k, own in plain_names.items()} | lora)
        if n_outputs is not None and n_outputs != module.n_outputs:
            module.reset_head(n_outputs)
        return module

    def save_pretrained(self, folder: str | Path) -> None:
        """Write the module as safetensors and JSON, with the record of what its encoder has learned from.

        LoRA is merged into the weights: loaded again with `mode="lora"`, new additions are learned.
        """
        folder = path_of(folder, "the folder")
        folder.mkdir(parents=True, exist_ok=True)
        net = copy.deepcopy(self.net)
        merge_lora(net.ete)
        save_tensors(folder / WEIGHTS, net.state_dict())
        self.vocabulary.to_parquet(folder / VOCABULARY)
        for name in (LOCK, SEEN_FILE):
            if self._folder is not None and (self._folder / name).is_file() and self._folder != folder:
                shutil.copyfile(self._folder / name, folder / name)
        sigma = torch.full((self.n_chans,), float("nan"))
        sigma[self._columns.cpu()] = self._sigma_uv.cpu()
        about = {
            "n_outputs": self.n_outputs,
            "n_chans": self.n_chans,
            "chs_info": [
                {"ch_name": c.name, "loc": list(c.position_m or ()), "kind": FIFF_OF.get(c.kind, 0)}
                for c in self._channels
            ],
            "n_times": self.n_times,
            "sfreq": self.sfreq,
            "mode": self.mode,
            "unit": self.unit,
            "unknown": self._unknown,
            "sigma_uv": [None if math.isnan(v) else v for v in sigma.tolist()] if sigma.isfinite().any() else None,
            "bads": [c.name for c in self._channels if c.status == "bad"],
            "reference": self._reference,
            "kinds": list(self._kinds),
            "teg_layers": self.net.teg.config.n_layers,
            "drop_prob": self.net.dropout,
        }
        head = {"name": "y", "n_outputs": self.n_outputs, "kind": "classification"}
        write_config(folder, _KIND, module=about, encoder=self.net.ete.config, graph=self.net.teg.config, heads=[head])
        write_atomic(folder / "README.md", self._card())

    def push_to_hub(self, repo_id: str, *, private: bool = False, endpoint: str | None = None) -> str:
        """Upload what `save_pretrained` writes as `owner/name`; returns the address of the commit.

        Raises
        ------
        RefusedError
            A licence of the encoder's data forbids sharing it. Of the data that the module was trained on here nothing
            is known: their licence is up to you.
        """
        from eegpt.interop.card import refuse_passing_on
        from eegpt.interop.hub import upload

        if self._folder is not None:
            refuse_passing_on(SimpleNamespace(folder=self._folder, lock=read_lock(self._folder), run=None))
        with tempfile.TemporaryDirectory() as folder:
            self.save_pretrained(folder)
            return upload(Path(folder), repo_id, message="eegpt module", private=private, endpoint=endpoint)

    def _card(self) -> str:
        data = [] if self._folder is None else read_lock(self._folder).all_data()
        lines = [
            "---", "library_name: eegpt", "tags: [eeg, electroencephalography]", "---", "", "# EEGPT for decoding", "",
            f"{self.n_outputs} outputs from {len(self.electrodes)} electrodes at {self.sfreq:g} Hz.", "",
            "```python", "import eegpt.torch", 'module = eegpt.torch.EEGPT.from_pretrained("hf://OWNER/NAME")', "```",
            "", "The encoder was pre-trained on:" if data else "The encoder was not pre-trained.", "",
        ]  # fmt: skip
        lines += [f"- {markdown_text(d.title or d.name)} ({markdown_text(d.licence.id)})" for d in data]
        return "\n".join(lines) + "\n"


def _folder(model: str | Path) -> Path:
    if str(model).startswith(("hf://", "hf:/")):
        from eegpt.interop.repository import fetch

        return fetch(str(model))
    return find(model)


def _check_names(found: Mapping[str, Tensor], expected: Mapping[str, Tensor], where: Path) -> None:
    shapes = {k: tuple(v.shape) for k, v in found.items()}, {k: tuple(v.shape) for k, v in expected.items()}
    if shapes[0] != shapes[1]:
        first = min(k for k in {*found, *expected} if shapes[0].get(k) != shapes[1].get(k))
        raise InputError(
            "the weights do not match the module",
            where=where,
            found=f"{first}: {shapes[0].get(first, 'absent')}",
            expected=f"{first}: {shapes[1].get(first, 'absent')}",
        )
