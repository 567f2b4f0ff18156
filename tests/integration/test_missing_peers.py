"""What becomes of a test whose peer is not there."""

import pytest
from peers.build import PEERS, Peer
from peers.running import REQUIRED, WAIT_S, program


@pytest.fixture
def nobody(tmp_path, monkeypatch):
    """The name of a peer that nobody has obtained."""
    monkeypatch.setitem(PEERS, "nobody", Peer("nobody", (tmp_path / "nobody",), lambda: None, "1.0", ("--version",)))
    monkeypatch.delenv(WAIT_S, raising=False)
    return "nobody"


def test_it_is_skipped_with_the_command_that_helps(nobody, monkeypatch):
    """A contributor without Go still has a green run, and knows what it left out."""
    monkeypatch.delenv(REQUIRED, raising=False)

    with pytest.raises(pytest.skip.Exception, match=r"python tests/peers/build\.py nobody obtains it"):
        program(nobody)


def test_it_fails_where_peers_are_required(nobody, monkeypatch):
    """Continuous integration would otherwise be green for having tested nothing: 1 means all, names mean these."""
    for required in ("1", "collector nobody"):
        monkeypatch.setenv(REQUIRED, required)

        with pytest.raises(pytest.fail.Exception, match="nobody is not here"):
            program(nobody)


def test_it_is_skipped_where_others_are_required(nobody, monkeypatch):
    """Some peers take too long to build for every run."""
    monkeypatch.setenv(REQUIRED, "collector victoriametrics")

    with pytest.raises(pytest.skip.Exception):
        program(nobody)
