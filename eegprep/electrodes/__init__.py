"""Electrodes: the vocabulary, what channel names mean, and how two labs' vocabularies become one."""

from eegprep.electrodes.resolve import Resolution, resolve, resolve_all
from eegprep.electrodes.vocabulary import Electrode, Vocabulary

__all__ = ["Electrode", "Resolution", "Vocabulary", "resolve", "resolve_all"]
