"""What all tests share."""

import pytest
from hypothesis import settings

pytest.register_assert_rewrite("contracts.instrumentation")

# How long an example takes says something about the neighbours on a shared machine, not about the code.
settings.register_profile("shared-machine", deadline=None)
settings.load_profile("shared-machine")
