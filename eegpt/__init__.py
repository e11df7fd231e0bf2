"""Shards in, a pre-trained encoder and a multi-task electrode graph out.

`eegpt` is the model side: the Electrode Temporal Encoder (ETE) and the Task-shared Electrode Graph (TEG)
of Yue et al., arXiv 2410.19779. It reads shard sets and knows no vendor format.
"""

__version__ = "0.1.0"
