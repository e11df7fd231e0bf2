"""Standardise one recording: select channels, filter, resample, reject.

From a `SourceRecording`, a manifest, a recipe and a vocabulary: the signal at 256 Hz in microvolt as a stream of
chunks, and the decisions made. `eegprep.ingest` writes it to a store; `eegpt.interop` passes it to a model, so a new
signal is processed exactly as the training data were.
"""

from eegprep.standardise.apply import apply_recipe, as_signal
from eegprep.standardise.chain import Chain, plan_chain
from eegprep.standardise.decide import Decision, Plan, decide, make_plan
from eegprep.standardise.run import Judged, Nowhere, Sink, run
from eegprep.standardise.signal import standardise, too_short
from eegprep.standardise.timeline import Timeline, lay_out

__all__ = [
    "Chain",
    "Decision",
    "Judged",
    "Nowhere",
    "Plan",
    "Sink",
    "Timeline",
    "apply_recipe",
    "as_signal",
    "decide",
    "lay_out",
    "make_plan",
    "plan_chain",
    "run",
    "standardise",
    "too_short",
]
