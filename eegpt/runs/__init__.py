"""A run's folder: settings, lock, checkpoints, log; and where a run computes. For pre-training and transfer."""
