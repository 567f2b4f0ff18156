"""What becomes of an export request, whichever protocol brought it: one place decides, counts and words it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from collector_processor.component import Consumer, Request, Signal
from collector_processor.errors import RefusedError, TooLargeError, UndecodableRequestError
from collector_processor.receivers import decode
from collector_processor.receivers.baselines_in_logs import take_baselines
from collector_processor.receivers.plain_histograms import FoundHistograms, HistogramReader
from collector_processor.self_telemetry import SelfTelemetry
from otel_ml import semconv
from otel_ml.errors import OtelMLError

RETRY_DELAY_S: Final = 1.5
"""When a refused client is asked to come back; Python's SDK gives up early on anything below about a second."""

_EMPTY_RESPONSE: Final = b""


class Verdict(Enum):
    """What a client is told, as its own kind of status in each protocol."""

    TAKEN = "taken"
    UNDECODABLE = "undecodable"
    TOO_LARGE = "too_large"
    UNAUTHENTICATED = "unauthenticated"
    UNSUPPORTED = "unsupported"
    UNREAD = "unread"
    TRY_AGAIN = "try_again"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a request.

    Attributes:
        message: Why it was not taken.
        response: The encoded response of OTLP; meaningful for what was taken.
    """

    verdict: Verdict
    message: str = ""
    response: bytes = _EMPTY_RESPONSE


class RejectedError(OtelMLError):
    """A request that was not read, because of what it is; coming back with the same would not help."""

    def __init__(self, verdict: Verdict, message: str) -> None:
        super().__init__(message)
        self.verdict = verdict


class Exports:
    """Hands encoded requests to one consumer a signal.

    Args:
        consumers: What each signal goes to; a signal without one is not received.
        decodes_snapshots: Someone down the logs pipeline wants them.
        forwards_snapshots: Leave them in the request nevertheless.
        resource_attributes: Keys of what they should know of the resource that they come with.
        histograms: Finds plain histograms in metrics, where someone wants them.
        keep_baselines: Takes contents of baseline files over, says of each that is none why, and raises RefusedError
            where it has kept none and may later.
    """

    def __init__(
        self,
        consumers: Mapping[Signal, Consumer[Request]],
        telemetry: SelfTelemetry,
        *,
        decodes_snapshots: bool = True,
        forwards_snapshots: bool = False,
        resource_attributes: Collection[str] = (),
        histograms: HistogramReader | None = None,
        keep_baselines: Callable[[Sequence[bytes]], Awaitable[Sequence[str]]] | None = None,
    ) -> None:
        self._histograms = histograms
        self._keep_baselines = keep_baselines
        self._consumers = consumers
        self._telemetry = telemetry
        self._forwards_snapshots = forwards_snapshots
        self._resource_attributes = frozenset(resource_attributes)
        self._export: dict[Signal, Callable[[bytes], Awaitable[bytes]]] = {
            signal: self._export_logs if signal is Signal.LOGS and decodes_snapshots else self._exporter(signal)
            for signal in consumers
        }

    @property
    def signals(self) -> Collection[Signal]:
        """The signals that are received."""
        return self._export.keys()

    async def export(self, signal: Signal, body: bytes) -> bytes:
        """Take a request over, and return the encoded response: a partial success where some records were not taken.

        Raises:
            UndecodableRequestError: The bytes are no such request.
            TooLargeError: There will never be room for it.
            RefusedError: There is no room; nothing of it was taken.
        """
        return await self._export[signal](body)

    async def answer(self, signal: Signal, read: Callable[[], Awaitable[bytes]]) -> Outcome:
        """Read a request, take it over, and say what to tell the client; what is not taken is counted, once.

        Args:
            read: Returns the decompressed body; may raise what `export` raises, and RejectedError.
        """
        try:
            return Outcome(Verdict.TAKEN, response=await self.export(signal, await read()))
        except UndecodableRequestError as error:
            outcome, reason = Outcome(Verdict.UNDECODABLE, str(error)), Verdict.UNDECODABLE.value
        except TooLargeError as error:
            outcome, reason = Outcome(Verdict.TOO_LARGE, str(error)), Verdict.TOO_LARGE.value
        except RejectedError as error:
            outcome, reason = Outcome(error.verdict, str(error)), error.verdict.value
        except RefusedError as error:
            outcome, reason = Outcome(Verdict.TRY_AGAIN, str(error)), error.reason
        except Exception as error:
            self._telemetry.failed("receive", error)
            outcome, reason = Outcome(Verdict.TRY_AGAIN, "internal failure; try again"), "failure"
        self._telemetry.count(semconv.PROCESSOR_REFUSED, processor_signal=signal.value, drop_reason=reason)
        return outcome

    def _exporter(self, signal: Signal) -> Callable[[bytes], Awaitable[bytes]]:
        consumer = self._consumers[signal]

        async def export(body: bytes) -> bytes:
            items = decode.count_items(signal, body)
            found = FoundHistograms()
            if signal is Signal.METRICS and self._histograms is not None and self._histograms.is_wanted(body):
                found = self._histograms.read(body)
            if items:
                watched = bool(found.points)
                await consumer.consume(Request(signal, body, items, is_watched=watched, histograms=found.points))
            for reason, number in found.rejected.items():
                self._telemetry.count(semconv.PROCESSOR_HISTOGRAMS, number, processor_outcome=reason)
            return _EMPTY_RESPONSE

        return export

    async def _export_logs(self, body: bytes) -> bytes:
        keep = self._keep_baselines
        contents: Sequence[bytes] = ()
        problems: Sequence[str] = ()
        if keep is not None:
            body, contents = take_baselines(body)
        forwards = self._forwards_snapshots
        logs = decode.read_logs(body, take=not forwards, resource_attributes=self._resource_attributes)
        if keep is not None and contents:
            # Before the log has the rest. Whatever fails from here on, all of the request may come again: a baseline
            # that is kept twice is kept once. A record that is in the log already would be there twice.
            problems = await keep(contents)
        return await self._export_records(logs, len(contents) - len(problems), Counter(problems))

    async def _export_records(self, logs: decode.Logs, kept: int, refused: Mapping[str, int]) -> bytes:
        """Hand on what is no baseline.

        Args:
            kept: Baselines that were taken out and kept.
            refused: Those that never will be, by the reason.
        """
        forwards = self._forwards_snapshots
        if not logs.received and not kept and not refused:
            return _EMPTY_RESPONSE
        rejected = {} if forwards else {f"snapshot_{reason}": number for reason, number in logs.rejected.items()}
        await self._consumers[Signal.LOGS].consume(
            Request(
                Signal.LOGS,
                logs.body,
                logs.remaining,
                logs.snapshots,
                consumed=logs.received - logs.remaining - sum(rejected.values()) + kept,
                taken=logs.taken,
                rejected={**rejected, **({"baseline": sum(refused.values())} if refused else {})},
                is_watched=forwards and bool(logs.snapshots),
            )
        )
        if not logs.rejected and not refused:
            return _EMPTY_RESPONSE
        # Counted once the request is ours: a refused one comes again.
        for reason, number in logs.rejected.items():
            self._telemetry.count(semconv.PROCESSOR_SNAPSHOTS, number, processor_outcome=reason)
        told = [*refused]
        if logs.rejected:
            reasons = ", ".join(f"{number} {reason}" for reason, number in sorted(logs.rejected.items()))
            told.append(f"unreadable snapshots: {reasons}")
        return decode.partial_success(sum(rejected.values()) + sum(refused.values()), "; ".join(told))
