"""Small models as their commands leave them, and recordings with the spectrum of EEG."""

from support.small_models import encoder, recorded, toy  # noqa: F401  fixtures
