"""The server that the clients ask, started once."""

import sys
from pathlib import Path
from typing import NamedTuple

import pytest
from server_process import PORT, ServerProcess, free_port


class Peer(NamedTuple):
    """Where the server listens."""

    http: str
    grpc: str


@pytest.fixture(scope="session")
def peer():
    """A KServe server, not instrumented: the client is what is tested."""
    grpc_port = free_port()
    command = [sys.executable, Path(__file__).with_name("kserve_peer.py"), PORT, grpc_port]
    with ServerProcess(command, ready="/v2/health/ready", instrumented=False) as server:
        yield Peer(f"127.0.0.1:{server.port}", f"127.0.0.1:{grpc_port}")
