"""Pre-training of the encoder on single electrodes: `pretrain`, its settings, and the errors on held-out windows."""
