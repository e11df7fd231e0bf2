"""One recording made standard: which channels, which filters, which stretches, what is rejected.

What enters: a `SourceRecording`, a manifest, a recipe, a vocabulary. What leaves: the signal at 256 Hz in microvolt as
a stream of chunks, and what was decided on the way. `eegprep.ingest` writes it into a store; `eegpt.interop` passes it
to a model. Both run this code, so a new signal is processed exactly as the training data were.
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
