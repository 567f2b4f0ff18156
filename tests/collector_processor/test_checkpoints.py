"""Checkpoints of a service that runs, and what becomes of one that cannot be written."""

import shutil
import sqlite3

import pytest
from otlp_sink import OtlpSink
from processor_samples import MINUTE, START, Producer, logs_request, numeric, snapshot_record
from running_service import gauge, running, until

from otel_ml import semconv
from otel_ml.sketch.feature import ModelKey


def kept_position(store):
    """Up to where in the log everything is in the checkpoint; 0 without one."""
    connection = sqlite3.connect(store / "state.db")
    try:
        found = connection.execute("SELECT value FROM entry WHERE section = 'log'").fetchone()
    finally:
        connection.close()
    return int(found[0]) if found else 0


@pytest.mark.slow
async def test_a_checkpoint_that_cannot_be_written_is_made_up_for_by_the_next(tmp_path):
    """Somebody else holds the file; a crash leaves the checkpoint after that, and it has what the failed one had."""
    producer, other = Producer(), Producer(b"q" * 16, ModelKey("other", "1"))
    store, crashed = tmp_path / "store", tmp_path / "crashed"
    first, third = (producer.snapshot(numeric("amount", range(300)), length=MINUTE) for _ in range(2))
    second = other.snapshot(numeric("amount", range(200)), length=MINUTE)
    next_minute = other.snapshot(numeric("amount", [1.0]), start=START + MINUTE, length=MINUTE)
    size = len(logs_request(snapshot_record(second)).SerializeToString())
    with OtlpSink() as sink:
        async with running(tmp_path, sink, store=store, drift={"lateness": "1h"}, checkpoint="50ms") as service:
            await service.snapshots(first)
            await until(lambda: kept_position(store))
            of_one = kept_position(store)
            somebody_else = sqlite3.connect(store / "state.db", isolation_level=None)
            somebody_else.execute("BEGIN IMMEDIATE")
            await service.snapshots(second)
            await until(lambda: service.total(semconv.PROCESSOR_ERRORS, processor_task="checkpoint"))
            assert kept_position(store) == of_one
            somebody_else.close()
            await service.snapshots(third)
            await until(lambda: kept_position(store) >= of_one + 2 * size)
            shutil.copytree(store, crashed)
        async with running(tmp_path, sink, store=crashed) as service:
            assert service.total(semconv.PROCESSOR_ROWS) == 0
            await service.snapshots(first, second, third, next_minute)
            assert service.total(semconv.PROCESSOR_SNAPSHOTS, processor_outcome="duplicate") == 3
            await until(lambda: gauge(sink, "ml.model.window.rows", **{semconv.MODEL_NAME: "other"}))

    assert gauge(sink, "ml.model.window.rows", **{semconv.MODEL_NAME: "other"})[0] == 200
