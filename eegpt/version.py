"""The version of eegpt, as in pyproject.toml."""

__version__ = "0.1.0"
