"""A recipe: ordered preprocessing steps as plain data. What they do is in `eegprep.steps`.

Steps run in the order written. Every recording ends at 256 Hz in microvolt; `resample` may be left out
where the data already have that rate.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

__all__ = ["RECIPE_VERSION", "Recipe", "Step", "RemoveOffset", "BandPass", "Notch", "Resample", "Reference", "Reject"]

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
