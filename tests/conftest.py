"""What all tests share."""

from hypothesis import settings

# How long an example takes says something about the neighbours on a shared machine, not about the code.
settings.register_profile("shared-machine", deadline=None)
settings.load_profile("shared-machine")
