"""What all tests share."""

import pytest
from hypothesis import settings

pytest.register_assert_rewrite("contracts.instrumentation")

# How long an example takes says something about the neighbours on a shared machine, not about the code.
settings.register_profile("shared-machine", deadline=None)
settings.load_profile("shared-machine")


def pytest_collection_modifyitems(items):
    """What needs real peers comes last: they may still be built while the rest runs."""
    items.sort(key=lambda item: "integration" in item.path.parts)
