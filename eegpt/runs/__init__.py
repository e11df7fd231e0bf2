"""A run's folder (settings, lock, checkpoints, log) and its device, for pre-training and transfer."""
