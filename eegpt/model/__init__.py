"""The model: tokens, the Electrode Temporal Encoder (ETE), the Task-shared Electrode Graph (TEG), task heads, sizes.

Read in this order: `tokens.py`, `ete_config.py`, `layers.py`, `ete.py`, `teg.py`, `heads.py`, `sizes.py`.
Nothing here reads a file.
"""
