"""The recordings that ship with the package: a folder for each data set, described by its manifest in `manifests/`."""
