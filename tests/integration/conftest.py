"""Real peers for a test, and what they logged when it fails."""

import pytest
from peers.running import Peers


@pytest.fixture
def peers(tmp_path):
    """Starts programs of others beside the processor; all of them have ended when the test has."""
    found = Peers(tmp_path)
    yield found
    found.close()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    found = getattr(item, "funcargs", {}).get("peers")
    if report.failed and found is not None:
        for one in found.started:
            report.sections.append((f"log of {one.name} ({one.log.name})", one.tail()))
