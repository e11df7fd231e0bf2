"""Scores of transfer runs and of baselines on the same trials."""
