"""Pre-train an encoder on EEG shards, and transfer it with a multi-task electrode graph.

`eegpt` is the model side: the Electrode Temporal Encoder (ETE) and the Task-shared Electrode Graph (TEG) of Yue et
al., arXiv 2410.19779. It reads shard sets only, no recording formats.
"""

from eegpt.version import __version__ as __version__


def __getattr__(name: str) -> object:
    # Loaded when it is asked for: importing eegpt alone must cost nothing and needs no torch.
    if name == "embed":
        from eegpt.interop.embedding import embed

        return embed
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
