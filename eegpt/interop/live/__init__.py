"""A model on a live signal."""
