"""One way of sending to a backend."""

from __future__ import annotations

from typing import Protocol

from collector_processor.component import Signal


class Transport(Protocol):
    """Sends encoded requests to one backend."""

    async def send(self, signal: Signal, body: bytes) -> int:
        """Send once, and return how many items the backend rejected although it took the request.

        Raises:
            RetryableError: Not taken, but a later attempt may be.
            UnauthorizedError: Not taken, nor will any other be before somebody acts.
            PermanentError: Never to be taken.
        """
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...
