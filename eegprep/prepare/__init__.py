"""One recording made standard: which channels, which filters, which stretches, what is rejected, how large it is.

What enters: a `SourceRecording`, a manifest, a recipe, a vocabulary. What leaves: the signal at 256 Hz in microvolt
as a stream of chunks, and what was decided on the way. `eegprep.ingest` writes it into a store; `eegpt.interop` hands
it to a model. Both run this code, so that a new signal gets what the training data got.
"""

from eegprep.prepare.decide import Decision, Plan, decide, make_plan
from eegprep.prepare.stream import Judged, Nowhere, Sink, run

__all__ = ["Decision", "Plan", "decide", "make_plan", "run", "Judged", "Sink", "Nowhere"]
