"""The electrode vocabulary, the resolution of channel names, and merging the vocabularies of two labs."""

from eegprep.electrodes.load import dump_vocabulary, load_vocabulary, parse_vocabulary
from eegprep.electrodes.resolve import Resolution, resolve
from eegprep.electrodes.together import resolve_all
from eegprep.electrodes.vocabulary import Electrode, Vocabulary

__all__ = [
    "Electrode",
    "Resolution",
    "Vocabulary",
    "dump_vocabulary",
    "load_vocabulary",
    "parse_vocabulary",
    "resolve",
    "resolve_all",
]
