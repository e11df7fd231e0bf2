"""The quality report of a store or a shard set: numbers (`contents`), text (`sections`), drawings (`figures`)."""

from eegprep.lazy import make_callable

make_callable(__name__, "eegprep.api", "report")
