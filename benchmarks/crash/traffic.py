"""A load of which every grain is known: snapshots of many producers, and records that pass through.

Time in it is its own: so many snapshots are one window, however long they took to be sent. Requests leave out of order,
some are sent twice, and some hold snapshots of several producers with records of applications in between.
"""

from __future__ import annotations

import random
import zlib
from collections import deque
from typing import Final, NamedTuple

import numpy as np
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord

from benchmarks.crash.truth import Truth
from benchmarks.processor.bodies import SECOND, layout, request, summary, write_log, write_snapshot
from otel_ml.sketch import codec
from otel_ml.sketch.categories import CategoryCounts
from otel_ml.sketch.feature import Counters, FeatureKey, FeatureRole, ModelKey
from otel_ml.sketch.snapshot import Snapshot
from otel_ml.sketch.summary import CategoricalSummary, FeatureSummary

WINDOW_S: Final = 10
LATENESS_S: Final = 300
MODELS: Final = ("churn", "fraud", "prices")
_PRODUCERS: Final = 20
_FEATURES: Final = 4
_SNAPSHOTS_A_WINDOW: Final = 60
# Of what was made and is not sent yet, so many requests wait to be sent in any order.
_SHUFFLED: Final = 30
# Of what was sent, so many may be sent again.
_REMEMBERED: Final = 200
_DUPLICATED: Final = 0.2
_BEGIN: Final = 1_760_000_000 * SECOND


class Delivery(NamedTuple):
    """One request to be sent until it is acknowledged."""

    method: str
    body: bytes


_LOGS: Final = "/opentelemetry.proto.collector.logs.v1.LogsService/Export"
_TRACES: Final = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"


class Traffic:
    """Makes requests, and keeps the truth about them.

    Args:
        seed: The same gives the same requests in the same order.
    """

    def __init__(self, seed: int) -> None:
        self.truth = Truth(WINDOW_S * SECOND)
        self._chance = random.Random(seed)
        self._numbers = np.random.default_rng(seed)
        self._layout = layout()
        self._producers = [
            (ModelKey(model, "1"), self._numbers.bytes(16)) for model in MODELS for _ in range(_PRODUCERS)
        ]
        self._sequences = dict.fromkeys((producer for _, producer in self._producers), 0)
        self._waiting: list[Delivery] = []
        self._sent: deque[Delivery] = deque(maxlen=_REMEMBERED)

    def next(self) -> Delivery:
        """The request that is to be sent next; there is no end to them."""
        while len(self._waiting) < _SHUFFLED:
            delivery, is_repeatable = self._made()
            self._waiting.append(delivery)
            if is_repeatable:
                self._sent.append(delivery)
                if self._chance.random() < _DUPLICATED:
                    # The same bytes twice, close together or far apart.
                    self._waiting.append(self._chance.choice([delivery, *self._sent]))
        return self._waiting.pop(self._chance.randrange(len(self._waiting)))

    def rest(self) -> list[Delivery]:
        """What was made and not given yet."""
        rest, self._waiting = self._waiting, []
        return rest

    def closing(self) -> list[Delivery]:
        """For each model a snapshot of so late a time that all windows before it close."""
        end = self._now + (LATENESS_S + 3 * WINDOW_S) * SECOND
        made = []
        for model in MODELS:
            one = Snapshot(self._numbers.bytes(16), 1, ModelKey(model, "1"), end - SECOND, end, 0, 0, ())
            message = request()
            _add_snapshot(message, one)
            made.append(Delivery(_LOGS, message.SerializeToString()))
        return made

    @property
    def _now(self) -> int:
        return _BEGIN + self.truth.snapshots * WINDOW_S * SECOND // _SNAPSHOTS_A_WINDOW

    def _made(self) -> tuple[Delivery, bool]:
        """A request, and whether sending it twice would leave no more than one trace."""
        kind = self._chance.random()
        if kind < 0.1:
            return Delivery(_TRACES, self._spans(self._chance.randint(1, 10))), False
        if kind < 0.25:
            message = request("checkout")
            self._add_records(message, self._chance.randint(1, 20))
            return Delivery(_LOGS, message.SerializeToString()), False
        message = request()
        snapshots = self._chance.choice((1, 1, 1, 2, 4))
        for _ in range(snapshots):
            _add_snapshot(message, self._snapshot())
        if kind < 0.4:
            self._add_records(message, self._chance.randint(1, 5))
            # In any order, and so never all snapshots first.
            records = message.resource_logs[0].scope_logs[0].log_records
            mixed = [LogRecord.FromString(record.SerializeToString()) for record in records]
            self._chance.shuffle(mixed)
            del records[:]
            records.extend(mixed)
        return Delivery(_LOGS, message.SerializeToString()), kind >= 0.4

    def _snapshot(self) -> Snapshot:
        model, producer = self._chance.choice(self._producers)
        self._sequences[producer] += 1
        rows = self._chance.randint(1, 40)
        features: list[FeatureSummary] = [
            summary(f"feature_{index}", self._numbers.normal(size=rows), self._layout) for index in range(_FEATURES)
        ]
        features.append(_category_summary(self._numbers.choice(("a", "b", "c"), size=rows).tolist()))
        start = self._now
        made = Snapshot(producer, self._sequences[producer], model, start, start + SECOND, rows, 0, features)
        self.truth.add(made)
        return made

    def _add_records(self, message: ExportLogsServiceRequest, number: int) -> None:
        for _ in range(number):
            write_log(message.resource_logs[0].scope_logs[0].log_records.add(), self._identity())

    def _spans(self, number: int) -> bytes:
        made = ExportTraceServiceRequest()
        scope = made.resource_spans.add().scope_spans.add()
        for _ in range(number):
            scope.spans.add(name=self._identity(), trace_id=b"0123456789abcdef", span_id=b"01234567")
        return made.SerializeToString()

    def _identity(self) -> str:
        number = self.truth.identities
        self.truth.identities += 1
        return f"identity-{number:012d}"


def _add_snapshot(message: ExportLogsServiceRequest, snapshot: Snapshot) -> None:
    payload = codec.encode(snapshot)
    record = message.resource_logs[0].scope_logs[0].log_records.add()
    write_snapshot(record, payload, snapshot.end_time_unix_nano, snapshot.model.name, zlib.crc32(payload))


def _category_summary(values: list[str]) -> FeatureSummary:
    categories = CategoryCounts()
    categories.update({name: values.count(name) for name in set(values)})
    content = CategoricalSummary(categories)
    content.cardinality.update(set(values))
    return FeatureSummary(FeatureKey(FeatureRole.FEATURE, "category"), content, Counters(rows=len(values)))
