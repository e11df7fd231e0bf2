"""Training: stage I (`pretrain`) and stage II (`transfer`), checkpoints, logs, several processes.

`config.py` says what can be set, `objective.py` what is minimised, `batches.py` in which order, `pretrain.py`
runs the loop, `checkpoint.py` writes and reads a run's folder.
"""
