"""Decide everything about a recording before filtering: channels, filters, stretches.

A `Decision` also describes the channels of a refused recording; otherwise `make_plan` turns it into a `Plan`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from eegprep.electrodes import Vocabulary
from eegprep.electrodes.heads import contradiction
from eegprep.electrodes.montage_check import montage_fit
from eegprep.electrodes.references import AVERAGE, common_reference
from eegprep.errors import InputError
from eegprep.manifest.recipe import Recipe, Reject
from eegprep.manifest.schema import Manifest
from eegprep.recording import (
    LeftOut,
    MontageFit,
    Stretch,
    input_name,
    input_names,
    recording_id,
    seconds_to_samples,
)
from eegprep.sources.base import SourceRecording
from eegprep.standardise.account import Found, gaps
from eegprep.standardise.chain import Chain, plan_chain
from eegprep.standardise.channels import Verdict, judge_names, judge_signal, left_out_channels, usable
from eegprep.standardise.checks import ChannelChecks, check_signal, together
from eegprep.standardise.mains import mains_hz
from eegprep.standardise.rows import Rows, in_memory
from eegprep.standardise.timeline import Timeline, lay_out


@dataclass(frozen=True, kw_only=True)
class Decision:
    """Decisions about the channels of one recording.

    Attributes
    ----------
    verdicts : tuple of Verdict
        One for each channel of the file.
    checked : tuple of int
        The channels whose signal was checked, in the row order of `checks` and `signal`.
    montage : MontageFit or None
        How well the signal matches the positions of the kept electrodes.
    contradiction : str
        Contradictions between the file's positions and names.
    refused : InputError or None
        Why the recording is refused, if it is.
    """

    recording: SourceRecording
    manifest: Manifest
    recipe: Recipe
    verdicts: tuple[Verdict, ...]
    checked: tuple[int, ...] = ()
    checks: ChannelChecks | None = None
    signal: Any = dataclasses.field(default=None, compare=False)
    line_freq_hz: float | None = None
    montage: MontageFit | None = None
    contradiction: str = ""
    refused: InputError | None = None


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The processing of the kept channels.

    `signal` has one row for each of `channels`; its row `i` is row `checked[i]` of `checks`.
    """

    decision: Decision
    channels: tuple[Verdict, ...]
    checks: ChannelChecks
    checked: tuple[int, ...]
    chains: Mapping[str, Chain]
    timeline: Timeline
    line_freq_hz: float | None
    left_out: tuple[LeftOut, ...]
    signal: Any = dataclasses.field(compare=False)

    @property
    def recording(self) -> SourceRecording:
        """The source recording."""
        return self.decision.recording

    @property
    def manifest(self) -> Manifest:
        """The data set's manifest."""
        return self.decision.manifest

    @property
    def chain(self) -> Chain:
        """The processing of the EEG channels; `chains` has those of all kinds."""
        return self.chains["eeg"]

    @property
    def electrodes(self) -> tuple[str, ...]:
        """Vocabulary names, one per row."""
        return tuple(str(c.electrode) for c in self.channels)

    @property
    def references(self) -> tuple[str, ...]:
        """The reference of each row of the result."""
        return tuple(AVERAGE if c.kind == "eeg" and self.chain.average else c.reference for c in self.channels)

    @property
    def inputs(self) -> tuple[str, ...]:
        """A unique name of each row, see `RecordingInfo.inputs`."""
        return input_names(self.electrodes, self.references)

    def rows_of(self, kind: str) -> list[int]:
        """The rows of one kind."""
        return [i for i, c in enumerate(self.channels) if c.kind == kind]


def identity(recording: SourceRecording, manifest: Manifest) -> str:
    """The recording's id: `dataset/subject/session/run`."""
    return recording_id(manifest.name, recording.subject, recording.session, recording.run)


def decide(recording: SourceRecording, *, manifest: Manifest, recipe: Recipe, vocabulary: Vocabulary) -> Decision:
    """Decide about every channel, without filtering. Errors are not raised but returned as `refused`."""
    decision = Decision(
        recording=recording,
        manifest=manifest,
        recipe=recipe,
        verdicts=judge_names(recording, manifest, vocabulary, recipe),
    )
    decision = dataclasses.replace(decision, contradiction=_contradiction(decision, vocabulary))
    rows = tuple(v.row for v in decision.verdicts if v.electrode is not None)
    refused = usable(decision.verdicts, recording) or _unexpected(recording, manifest, decision.verdicts)
    if not rows:
        return dataclasses.replace(decision, refused=refused)
    signal = in_memory(recording.signal, rows)
    stated = manifest.line_freq_hz or recording.line_freq_hz or mains_hz(manifest.country)
    line_freq_hz = None if stated is None else float(stated)
    parts: list[tuple[list[int], ChannelChecks]] = []
    for kind in recipe.kinds:
        places = [i for i, row in enumerate(rows) if decision.verdicts[row].kind == kind]
        if not places:
            continue
        reject = _reject(recipe.for_kind(kind))
        limits = {k: v for k in ("flat_s", "clipped_s") if reject is not None and (v := getattr(reject, k)) is not None}
        own = check_signal(
            signal if len(places) == len(rows) else Rows(signal, places),
            recording.sfreq_hz,
            recording.stretches,
            line_freq_hz=parts[0][1].line_freq_hz if parts else line_freq_hz,
            comparable=kind == "eeg",
            **limits,
        )
        parts.append((places, own))
    checks = together(parts)
    verdicts = judge_signal(decision.verdicts, recording, checks)
    eeg_rows = [row for row in rows if decision.verdicts[row].kind == "eeg"]
    return dataclasses.replace(
        decision,
        verdicts=verdicts,
        checked=rows,
        checks=checks,
        signal=signal,
        line_freq_hz=float(stated) if stated is not None else checks.line_freq_hz,
        montage=_montage(verdicts, eeg_rows, parts[0][1], vocabulary) if eeg_rows else None,
        refused=refused or usable(verdicts, recording),
    )


def _contradiction(decision: Decision, vocabulary: Vocabulary) -> str:
    """How the positions of the kept channels contradict their names, or an empty string."""
    named = [
        v.electrode if v.kind == "eeg" and v.code in ("matched", "alias", "derivation") else None
        for v in decision.verdicts
    ]
    return contradiction(vocabulary, named, [c.position_m for c in decision.recording.channels]) or ""


def _montage(
    verdicts: Sequence[Verdict], rows: Sequence[int], checks: ChannelChecks, vocabulary: Vocabulary
) -> MontageFit | None:
    """The montage check of the kept channels."""
    if checks.covariance is None:
        return None
    kept = [(place, v.electrode, v.reference) for place, v in enumerate(verdicts[r] for r in rows) if v.electrode]
    places = [place for place, _, _ in kept]
    covariance = checks.covariance[:, places][:, :, places]
    return montage_fit(covariance, [e for _, e, _ in kept], [r for _, _, r in kept], vocabulary)


def make_plan(decision: Decision) -> Plan:
    """Filters and stretches for the kept channels.

    Raises
    ------
    InputError
        The decision's own error, or no stretch is long enough.
    """
    recording, checks = decision.recording, decision.checks
    if decision.refused is not None or checks is None:
        raise decision.refused or InputError(f"{identity(recording, decision.manifest)} was not checked")
    channels = tuple(v for v in decision.verdicts if v.electrode is not None)
    places = {row: place for place, row in enumerate(decision.checked)}
    checked = tuple(places[c.row] for c in channels)
    chains = {
        kind: plan_chain(
            decision.recipe.for_kind(kind), sfreq_hz=recording.sfreq_hz, line_freq_hz=decision.line_freq_hz
        )
        for kind in ("eeg", *dict.fromkeys(c.kind for c in channels if c.kind != "eeg"))
    }
    chain = chains["eeg"]
    if chain.average:
        _check_common(channels, identity(recording, decision.manifest))
    slowest = max((chains[kind] for kind in {c.kind for c in channels}), key=lambda one: one.longest_filter)
    shortest = _shortest(slowest, recording.sfreq_hz)
    stretches = [s for s in recording.stretches if s.n_samples >= shortest]
    if not stretches:
        longest = max((s.n_samples for s in recording.stretches), default=0)
        raise InputError(
            f"{identity(recording, decision.manifest)} has no stretch that is long enough",
            found=f"{len(recording.stretches)} stretches, the longest {longest / recording.sfreq_hz:.2f} s",
            expected=f"{shortest / recording.sfreq_hz:.2f} s or more (longest filter: {slowest.longest_filter} "
            "samples)",
            todo="use a recipe without high-pass and notch for short trials, e.g. --recipe epochs",
        )
    timeline = lay_out(stretches, recording.n_samples, chain.ratio)
    short = [s for s in recording.stretches if s.n_samples < shortest]
    return Plan(
        decision=decision,
        channels=channels,
        checks=checks,
        checked=checked,
        chains=chains,
        timeline=timeline,
        line_freq_hz=decision.line_freq_hz,
        left_out=(
            *left_out_channels(decision.verdicts),
            *(x for x in recording.left_out if x.kind != "stretch"),
            *gaps(
                timeline, recording.n_samples, [*_short(short, shortest, slowest), *marked(recording.left_out, "all")]
            ),
        ),
        signal=decision.signal if len(checked) == len(decision.checked) else Rows(decision.signal, checked),
    )


def _check_common(channels: Sequence[Verdict], name: str) -> None:
    """Refuse the average of channels without a common reference: it would be the mean of unlike differences."""
    eeg = [c for c in channels if c.kind == "eeg"]
    if common_reference([c.reference for c in eeg]) is None:
        raise InputError(
            f"{name} cannot be re-referenced to the average: its channels have different references",
            found=", ".join(input_name(str(c.electrode), c.reference) for c in eeg[:8]),
            expected="one reference common to all EEG channels",
            todo="use a recipe with `reference: keep`; `eegprep shard --reference average` re-references derivations "
            "where they are connected",
        )


def _reject(recipe: Recipe) -> Reject | None:
    return next((s for s in recipe.steps if isinstance(s, Reject)), None)


def _shortest(chain: Chain, sfreq_hz: float) -> int:
    """Minimum samples of a stretch: the longest filter and the shortest rest that the recipe keeps."""
    least = 0 if chain.reject is None else seconds_to_samples(chain.reject.shortest_kept_s, sfreq_hz)
    return max(chain.longest_filter, least)


def _short(stretches: Sequence[Stretch], shortest: int, chain: Chain) -> list[Found]:
    limit_s = shortest / chain.sfreq_hz
    reason = f"shorter than {limit_s:.2f} s, the longest filter or the minimum length"
    return [("short", reason, s) for s in stretches]


def marked(left_out: Sequence[LeftOut], name: str) -> list[Found]:
    """The stretches that the reader left out of one channel, or of `all`, at the source's rate."""
    return [
        (x.code, x.reason, Stretch(start_sample=x.start_sample, n_samples=x.n_samples))
        for x in left_out
        if x.kind == "stretch" and x.name == name and x.start_sample is not None and x.n_samples is not None
    ]


def _unexpected(recording: SourceRecording, manifest: Manifest, verdicts: Sequence[Verdict]) -> InputError | None:
    """The error for a recording that contradicts the manifest's `expect`, else None."""
    expect, name = manifest.expect, identity(recording, manifest)
    if expect.sfreq_hz is not None and abs(expect.sfreq_hz - recording.sfreq_hz) > 0.01:
        return InputError(
            f"the sampling rate of {name} does not match `expect:`",
            found=f"{recording.sfreq_hz:g} Hz",
            expected=f"{expect.sfreq_hz:g} Hz",
            todo="correct `expect: sfreq_hz:`, or leave the recording out",
        )
    electrodes = [v.electrode for v in verdicts if v.electrode is not None and v.kind == "eeg"]
    if expect.channels is not None and len(electrodes) != expect.channels:
        return InputError(
            f"the number of electrodes of {name} does not match `expect:`",
            found=f"{len(electrodes)}: {', '.join(electrodes[:40])}",
            expected=str(expect.channels),
            todo="correct `expect: channels:`, or select the electrodes under `channels:`",
        )
    return None
