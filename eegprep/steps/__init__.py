"""Preprocessing: one step a file, each a pure function on an xarray.DataArray (electrode, time) in microvolt.

`standardise` runs a whole recipe over a recording of any length, fused and in float32; the single steps are the
same mathematics in float64, for people and for new signals that a checkpoint is applied to.
"""

from eegprep.steps.apply import apply_recipe
from eegprep.steps.arrays import as_signal
from eegprep.steps.band_pass import band_pass
from eegprep.steps.chain import Chain, plan_chain
from eegprep.steps.notch import notch
from eegprep.steps.reference import reference
from eegprep.steps.reject import reject_amplitude
from eegprep.steps.remove_offset import remove_offset
from eegprep.steps.resample import resample
from eegprep.steps.standardise import standardise, too_short
from eegprep.steps.timeline import Timeline, lay_out

__all__ = [
    "apply_recipe",
    "as_signal",
    "remove_offset",
    "band_pass",
    "notch",
    "resample",
    "reference",
    "reject_amplitude",
    "Chain",
    "plan_chain",
    "standardise",
    "too_short",
    "Timeline",
    "lay_out",
]
