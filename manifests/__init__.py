"""The shipped manifests and recipes, as package data: data sets in `datasets/`, ordered steps in `recipes/`."""
