"""A recipe: ordered preprocessing steps as plain data, carried out by `eegprep.standardise`.

Steps run in the order written. Every recording ends at 256 Hz in microvolt; `resample` may be omitted if the data
already have that rate.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from eegprep.errors import InputError, UsageError, nearest

RECIPE_VERSION = 1


class _Step(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class RemoveOffset(_Step):
    """Subtract each channel's median over the recording (`recording`) or over each stretch (`stretch`)."""

    step: Literal["remove_offset"]
    over: Literal["recording", "stretch"] = "recording"


class BandPass(_Step):
    """Zero-phase FIR, MNE's default design (firwin, Hamming); either edge may be left open."""

    step: Literal["band_pass"]
    low_hz: Annotated[float, Field(gt=0, lt=1000)] | None = None
    high_hz: Annotated[float, Field(gt=0, lt=1e5)] | None = None


class Notch(_Step):
    """Zero-phase FIR notch at the line frequency and its harmonics below the high edge."""

    step: Literal["notch"]
    freq_hz: Literal["line"] | Annotated[float, Field(gt=0, lt=1000)] = "line"
    harmonics: bool = True


class Resample(_Step):
    """Fourier resampling to the standard rate."""

    step: Literal["resample"]
    sfreq_hz: Annotated[float, Field(gt=0, le=1e5)] = 256.0


class Reference(_Step):
    """Re-reference: `keep` as recorded, or `average` over the recording's good EEG electrodes.

    Any other reference was derived by `eegprep shard --reference`; recipes cannot be run with it.
    """

    step: Literal["reference"]
    to: Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9 /_\-]{0,40}$")] = "keep"


class Reject(_Step):
    """Turn bad stretches into gaps: flat, clipped, or beyond an absolute amplitude."""

    step: Literal["reject"]
    flat_s: Annotated[float, Field(gt=0, le=3600)] | None = 1.0
    clipped_s: Annotated[float, Field(gt=0, le=3600)] | None = 0.05
    above_uv: Annotated[float, Field(gt=0, le=1e6)] | None = None
    shortest_kept_s: Annotated[float, Field(ge=0, le=3600)] = 1.0


#: Filters and limits by kind: EMG and ECG need other bands than EEG, respiration is slow and its units are arbitrary.
_KEEP: dict[str, dict[str, Any]] = {
    "eog": {"low_hz": 0.3, "high_hz": 35.0, "above_uv": 5000.0},
    "emg": {"low_hz": 10.0, "high_hz": 100.0, "above_uv": 10000.0, "flat_s": 5.0},
    "ecg": {"low_hz": 0.5, "high_hz": 75.0, "above_uv": 20000.0},
    "respiration": {"low_hz": 0.1, "high_hz": 15.0, "notch": False, "flat_s": 60.0},
    "other": {"low_hz": 0.1, "high_hz": 75.0, "flat_s": 60.0},
}


class Keep(_Step):
    """Keep channels of another kind, with a filter and limits of their own instead of those for EEG.

    Omitted fields have the kind's defaults. Offset, resampling and `shortest_kept_s` are as for EEG; the reference
    is never changed.
    """

    step: Literal["keep"]
    kind: Literal["eog", "emg", "ecg", "respiration", "other"]
    low_hz: Annotated[float, Field(gt=0, lt=1000)] | None = None
    high_hz: Annotated[float, Field(gt=0, lt=1e5)] | None = None
    notch: bool = True
    flat_s: Annotated[float, Field(gt=0, le=3600)] | None = 1.0
    clipped_s: Annotated[float, Field(gt=0, le=3600)] | None = 0.05
    above_uv: Annotated[float, Field(gt=0, le=1e9)] | None = None

    @model_validator(mode="before")
    @classmethod
    def _defaults(cls, value: Any) -> Any:
        return {**_KEEP.get(str(value.get("kind")), {}), **value} if isinstance(value, dict) else value


Step = Annotated[
    RemoveOffset | BandPass | Notch | Resample | Reference | Reject | Keep,
    Field(discriminator="step"),
]


class Recipe(BaseModel):
    """Ordered steps under a name."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    recipe: Annotated[Literal[1], BeforeValidator(lambda v: 1 if v == "1" else v)] = 1
    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_\-]{0,62}$")]
    description: Annotated[str, Field(max_length=4000)] = ""
    steps: Annotated[list[Step], Field(max_length=50)]

    @model_validator(mode="after")
    def _kinds_once(self) -> Recipe:
        kinds = self.kinds
        if len(set(kinds)) != len(kinds):
            raise ValueError("a kind is kept twice")
        return self

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of channels that are kept: `eeg`, and those of the `keep` steps."""
        return ("eeg", *(step.kind for step in self.steps if isinstance(step, Keep)))

    def with_kinds(self, kinds: Iterable[str]) -> Recipe:
        """This recipe with the given kinds kept, with its own filters or the defaults; `eeg` is always kept.

        Raises
        ------
        UsageError
            A kind is unknown.
        """
        wanted = list(dict.fromkeys(kinds))
        known = ("eeg", *_KEEP)
        if unknown := [k for k in wanted if k not in known]:
            raise UsageError(
                f"unknown kind of channel {unknown[0]!r}",
                expected=", ".join(known),
                todo=nearest(unknown[0], known) or None,
            )
        if "eeg" not in wanted:
            raise UsageError("EEG channels are always kept", found=",".join(wanted), expected="eeg and other kinds")
        own = [s for s in self.steps if not isinstance(s, Keep) or s.kind in wanted]
        # A recipe without filters, for short trials, has none for other kinds either.
        bare = {} if any(isinstance(s, BandPass) for s in own) else {"low_hz": None, "high_hz": None, "notch": False}
        new = [Keep.model_validate({"step": "keep", "kind": k, **bare}) for k in wanted if k not in self.kinds]
        return self.model_copy(update={"steps": [*own, *new]})

    def for_kind(self, kind: str) -> Recipe:
        """The recipe of one kind's channels, without `keep` steps."""
        own = next((s for s in self.steps if isinstance(s, Keep) and s.kind == kind), None)
        steps: list[Any] = []
        for step in self.steps:
            if isinstance(step, Keep):
                continue
            if (
                own is None
                or not isinstance(step, (BandPass, Notch, Reference, Reject))
                or (isinstance(step, Notch) and own.notch)
            ):
                steps.append(step)
            elif isinstance(step, Reject):
                limits = {"flat_s": own.flat_s, "clipped_s": own.clipped_s, "above_uv": own.above_uv}
                steps.append(step.model_copy(update=limits))
        if own is not None and (own.low_hz is not None or own.high_hz is not None):
            at = next((i for i, s in enumerate(steps) if not isinstance(s, (RemoveOffset, Reject))), len(steps))
            steps.insert(at, BandPass(step="band_pass", low_hz=own.low_hz, high_hz=own.high_hz))
        return self.model_copy(update={"steps": steps})

    def lowest_hz(self, kind: str) -> float:
        """Where the band of another kind begins: the low edge of its filter; without a filter, of its default."""
        own = next((s for s in self.steps if isinstance(s, Keep) and s.kind == kind), None)
        filtered = own is not None and (own.low_hz, own.high_hz) != (None, None)
        low_hz = own.low_hz if own is not None and filtered else _KEEP.get(kind, {}).get("low_hz")
        return low_hz or 0.0

    def steps_json(self) -> tuple[dict[str, Any], ...]:
        """The steps as plain data, as kept in stores and shard sets."""
        return tuple(step.model_dump(mode="json") for step in self.steps)


def recipe_of_steps(steps: Iterable[Mapping[str, Any]], *, name: str = "from_steps") -> Recipe:
    """The inverse of `Recipe.steps_json`.

    Raises
    ------
    InputError
        If a step is unknown or has invalid parameters.
    """
    try:
        return Recipe.model_validate({"name": name, "steps": list(steps)})
    except (ValidationError, TypeError) as error:
        raise InputError(
            "the preprocessing steps are invalid",
            found=str(error),
            todo="choose a recipe with recipe= or --recipe",
        ) from None


def describe_steps(
    steps: Iterable[Mapping[str, Any]], *, sfreq_hz: float, line_freq_hz: float | None
) -> tuple[str, ...]:
    """One line of text per step: its parameters at this rate and line frequency, or why it has no effect."""
    lines = []
    for step in recipe_of_steps(steps).steps:
        if isinstance(step, RemoveOffset):
            text = f"median over each {step.over}"
        elif isinstance(step, BandPass):
            beyond = step.high_hz is not None and step.high_hz >= sfreq_hz / 2
            high = "open" if step.high_hz is None or beyond else f"{step.high_hz:g}"
            text = f"{'open' if step.low_hz is None else f'{step.low_hz:g}'} to {high} Hz"
            text += f" ({step.high_hz:g} Hz is above the Nyquist frequency)" if beyond else ""
        elif isinstance(step, Notch):
            freq_hz = line_freq_hz if step.freq_hz == "line" else step.freq_hz
            text = "none (the line frequency is unknown)" if freq_hz is None else f"{freq_hz:g} Hz"
            text += " and its harmonics" if freq_hz is not None and step.harmonics else ""
        elif isinstance(step, Resample):
            text = f"{sfreq_hz:g} to {step.sfreq_hz:g} Hz"
        elif isinstance(step, Reference):
            text = step.to
        elif isinstance(step, Keep):
            edges = [f"{'open' if edge is None else f'{edge:g}'}" for edge in (step.low_hz, step.high_hz)]
            text = f"{step.kind}, {edges[0]} to {edges[1]} Hz"
        else:
            text = ", ".join(f"{name}={value:g}" for name, value in step if name != "step" and value is not None)
        lines.append(f"{step.step}: {text}")
    return tuple(lines)
