"""Stage II: one electrode graph for all tasks on a pre-trained encoder.

In the order in which trials pass: `config`, `setup` (data sets, electrodes, leakage), `folds`, `rows`, `bank` and
`align` (encoded trials), `model`, `loop` and `readouts` (what learns), `fit` (one fit), `checkpoint` and `run` (a
run's folder).
"""
