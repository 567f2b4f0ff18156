"""What the processor is told of the weeks before: so that whoever opens the console finds a story, not an empty page.

The flights are of the months that the model learned from, dealt at random to as many windows as there were, and their
summaries are sent as snapshots of windows that have passed, the way a server would have sent them. One incident is
among them, long repaired.
"""

from __future__ import annotations

import time
import uuid
import zlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from otel_ml import semconv
from otel_ml.demo.errors import DemoError
from otel_ml.demo.flights import FEATURES
from otel_ml.demo.training import MODEL
from otel_ml.sketch import codec
from otel_ml.sketch.snapshot import ENCODING, Snapshot

if TYPE_CHECKING:
    import pandas as pd

    from otel_ml.baseline import Baseline
    from otel_ml.demo.scenario import Scenario
    from otel_ml.demo.training import TrainedModel

WINDOWS: Final = 20
"""How many there were: as many as can still be open beside those of the story."""
BROKEN_FEATURE: Final = "scheduled_minutes"
STORY: Final = "scheduled_minutes arrived in hours for three windows, and was repaired"

_BROKEN: Final = range(7, 10)
_FLIGHTS: Final = 5000
_TIMEOUT_S: Final = 10.0


def snapshots(
    scenario: Scenario, learned: pd.DataFrame, model: TrainedModel, baseline: Baseline, ends_unix_nano: int
) -> Iterator[Snapshot]:
    """One snapshot for each of the windows before a moment, at which one begins, oldest first."""
    from otel_ml.comparing.current import Reading, summarised

    random = np.random.default_rng(scenario.seed)
    producer, length = uuid.uuid4().bytes, round(scenario.week_s * 1e9)
    for number in range(WINDOWS):
        dealt = learned.iloc[random.choice(len(learned), min(_FLIGHTS, len(learned)), replace=False)]
        flights = dealt[list(FEATURES)].copy()
        if number in _BROKEN:
            flights[BROKEN_FEATURE] /= 60
        found = summarised(flights, baseline, Reading(predictions=model.predict(flights)))
        start = ends_unix_nano - (WINDOWS - number) * length
        features = [*found.summaries.values()]
        yield Snapshot(producer, number + 1, MODEL, start, start + length, found.rows, 0, features)


def send(told: Sequence[Snapshot], port: int) -> None:
    """Hand snapshots to the processor, as one OTLP request.

    Raises:
        DemoError: It does not take them.
    """
    import grpc
    from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
    from opentelemetry.proto.collector.logs.v1.logs_service_pb2_grpc import LogsServiceStub

    request = ExportLogsServiceRequest()
    scope = request.resource_logs.add().scope_logs.add()
    scope.scope.name = semconv.SCOPE_NAME
    for snapshot in told:
        payload = codec.encode(snapshot)
        record = scope.log_records.add(event_name=semconv.EVENT_SKETCH_SNAPSHOT, time_unix_nano=time.time_ns())
        record.body.string_value = f"{snapshot.rows} rows"
        for name, kind, value in (
            (semconv.SKETCH_PAYLOAD, "bytes_value", payload),
            (semconv.SKETCH_ENCODING, "string_value", ENCODING),
            (semconv.SKETCH_CHECKSUM, "int_value", zlib.crc32(payload)),
        ):
            setattr(record.attributes.add(key=name).value, kind, value)
    options = [("grpc.max_send_message_length", -1), ("grpc.enable_http_proxy", 0)]
    with grpc.insecure_channel(f"127.0.0.1:{port}", options=options) as channel:
        try:
            LogsServiceStub(channel).Export(request, timeout=_TIMEOUT_S)  # type: ignore[no-untyped-call]  # generated
        except grpc.RpcError as error:
            raise DemoError(f"the processor did not take the weeks before: {error}") from error
