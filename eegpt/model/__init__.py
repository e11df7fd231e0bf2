"""The model: tokens and layers, the Electrode Temporal Encoder (`ete`), the Task-shared Electrode Graph (`teg`), heads.

Nothing here reads a file.
"""
