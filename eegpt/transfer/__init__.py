"""Stage II: one electrode graph for all tasks on a pre-trained encoder.

In processing order: `config`, `setup` (data sets, electrodes, leakage), `folds`, `rows`, `bank` and
`align` (encoded trials), `model`, `loop` and `readouts` (training), `fit` (one fit), `checkpoint` and `run` (a
run's folder).
"""

from eegprep.lazy import make_callable

make_callable(__name__, "eegpt.api", "transfer")
