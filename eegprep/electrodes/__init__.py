"""Electrodes: the vocabulary, what channel names mean, and how two labs' vocabularies become one."""

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
