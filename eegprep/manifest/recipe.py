"""A recipe: ordered preprocessing steps as plain data, carried out by `eegprep.standardise`.

Steps run in the order written. Every recording ends at 256 Hz in microvolt; `resample` may be omitted if the data
already have that rate.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from eegprep.errors import InputError

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
    """Re-reference: `keep` as recorded, or `average` over the recording's good electrodes."""

    step: Literal["reference"]
    to: Literal["keep", "average"] = "keep"


class Reject(_Step):
    """Turn bad stretches into gaps: flat, clipped, or beyond an absolute amplitude."""

    step: Literal["reject"]
    flat_s: Annotated[float, Field(gt=0, le=3600)] | None = 1.0
    clipped_s: Annotated[float, Field(gt=0, le=3600)] | None = 0.05
    above_uv: Annotated[float, Field(gt=0, le=1e6)] | None = None
    shortest_kept_s: Annotated[float, Field(ge=0, le=3600)] = 1.0


Step = Annotated[
    RemoveOffset | BandPass | Notch | Resample | Reference | Reject,
    Field(discriminator="step"),
]


class Recipe(BaseModel):
    """Ordered steps under a name."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    recipe: Annotated[Literal[1], BeforeValidator(lambda v: 1 if v == "1" else v)] = 1
    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_\-]{0,62}$")]
    description: Annotated[str, Field(max_length=4000)] = ""
    steps: Annotated[list[Step], Field(max_length=50)]

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
        else:
            text = ", ".join(f"{name}={value:g}" for name, value in step if name != "step" and value is not None)
        lines.append(f"{step.step}: {text}")
    return tuple(lines)
