"""Sending to a backend that is slow, down, or does not know us: again and again, but not in a crowd."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from typing import Final

from collector_processor.errors import PermanentError, RetryableError, UnauthorizedError
from collector_processor.exporters.accounting import Accounting
from collector_processor.exporters.batches import Batch
from collector_processor.exporters.settings import RetrySettings
from collector_processor.exporters.transport import Transport
from collector_processor.self_telemetry import SelfTelemetry

_log = logging.getLogger(__name__)

# No backend may silence us for longer by asking for it.
_LONGEST_DELAY_S: Final = 300.0
_ATTEMPTS_AFTER_FAILURE: Final = 3
_TIMEOUTS_OF_A_BATCH: Final = 3


class GaveUpError(Exception):
    """A batch is not tried any more, for the reason that is counted."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class TooSlowError(Exception):
    """A batch was not answered in time again and again: smaller ones may be."""


class Patience:
    """Sends a batch until it is taken or for good refused.

    The wait doubles, with jitter. While nothing gets through, one attempt is made at a time, whatever the number of
    batches that wait; once something does, those that wait come soon.
    """

    def __init__(
        self, name: str, settings: RetrySettings, transport: Transport, accounting: Accounting, telemetry: SelfTelemetry
    ) -> None:
        self._name = name
        self._settings = settings
        self._transport = transport
        self._accounting = accounting
        self._telemetry = telemetry
        self._is_down = False
        self._recovered = asyncio.Event()
        self._probe = asyncio.Lock()
        self.is_blocked = False
        """Whether the backend did not let us in when it was last asked."""
        self.waiting = 0
        """Batches that wait to be sent again."""

    async def send(self, batch: Batch, begin_s: float) -> int:
        """Send, and return how many items the backend rejected although it took the batch.

        Args:
            begin_s: When it was tried for the first time, perhaps as a part of a larger one; `time.monotonic`.

        Raises:
            PermanentError: The backend will never take it.
            GaveUpError: Patience ended, or the failure was our own.
            TooSlowError: It should be tried in parts.
        """
        interval_s, failures, timeouts = self._settings.initial_interval, 0, 0
        while True:
            try:
                return await self._attempt(batch)
            except RetryableError as error:
                asked_s = min(error.delay_s or 0.0, _LONGEST_DELAY_S)
                # The backend's own wish is a minimum; jitter comes on top, or all replicas return at one moment.
                wait_s = asked_s + _jittered(interval_s) / 10 if asked_s else _jittered(interval_s)
                message, is_asked = str(error), bool(asked_s)
                interval_s = min(interval_s * 2, self._settings.max_interval)
                timeouts += error.is_timeout
            except UnauthorizedError as error:
                wait_s, message, is_asked = _jittered(self._settings.max_interval), str(error), False
            except PermanentError:
                raise
            except Exception as error:
                self._telemetry.failed("export", error)
                failures += 1
                if failures > _ATTEMPTS_AFTER_FAILURE:
                    raise GaveUpError("failure", f"{type(error).__name__}: {error}") from error
                wait_s, message, is_asked = _jittered(interval_s), f"{type(error).__name__}: {error}", False
            limit_s = self._settings.max_elapsed_time
            if not self._settings.enabled or (limit_s and time.monotonic() - begin_s + wait_s > limit_s):
                raise GaveUpError("retries_exhausted", message)
            self._accounting.retried(batch.signal)
            self._telemetry.say_once(
                f"{self._name}:retry", "exporters::%s: %s; sending again until it is taken", self._name, message
            )
            if timeouts >= _TIMEOUTS_OF_A_BATCH and len(batch) > 1:
                raise TooSlowError(message)
            self.waiting += 1
            try:
                await self._pause(wait_s, is_asked=is_asked)
            finally:
                self.waiting -= 1

    async def _attempt(self, batch: Batch) -> int:
        if self._is_down:
            async with self._probe:
                if self._is_down:
                    return await self._send(batch)
        return await self._send(batch)

    async def _send(self, batch: Batch) -> int:
        try:
            rejected = await self._transport.send(batch.signal, batch.body)
        except UnauthorizedError as error:
            self._goes_down()
            if not self.is_blocked:
                self.is_blocked = True
                _log.warning(
                    "exporters::%s: %s; nothing is lost while the log has room, but somebody must act (headers, tls)",
                    self._name,
                    error,
                )
            raise
        except PermanentError:
            self._comes_up()
            raise
        except Exception:
            self._goes_down()
            raise
        self._comes_up()
        return rejected

    def _goes_down(self) -> None:
        if not self._is_down:
            self._is_down = True
            self._recovered = asyncio.Event()

    def _comes_up(self) -> None:
        if self._is_down:
            self._is_down = False
            self._recovered.set()
        if self.is_blocked:
            self.is_blocked = False
            _log.info("exporters::%s: the backend lets us in again", self._name)

    async def _pause(self, wait_s: float, *, is_asked: bool) -> None:
        """Wait, but not much longer once others get through, unless the backend asked for it."""
        if is_asked:
            await asyncio.sleep(wait_s)
            return
        deadline = time.monotonic() + wait_s
        try:
            await asyncio.wait_for(self._recovered.wait(), wait_s)
        except (TimeoutError, asyncio.TimeoutError):
            return
        # Not at once: a batch that alone is refused would be sent again with every other that is taken.
        soon_s = _jittered(self._settings.initial_interval)
        await asyncio.sleep(max(0.0, min(deadline - time.monotonic(), soon_s)))


def _jittered(interval_s: float) -> float:
    return random.uniform(0.5, 1.0) * interval_s  # noqa: S311 - not a secret
