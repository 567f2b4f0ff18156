"""What peers are sent: a model whose inputs drift just now, and telemetry that is none of the processor's business."""

import time

import numpy as np
from processor_samples import MINUTE, Producer, logs_request, numeric, snapshot_record, text_record

from otel_ml.baseline import Baseline

MODEL = {"ml_model_name": "fraud", "ml_model_version": "3"}


def baseline(folder):
    """The path of a baseline of one column, `amount`."""
    path = folder / "fraud-3.baseline"
    amounts = np.random.default_rng(1).lognormal(3, 1, 5000)
    Baseline.build({"amount": amounts}, model="fraud", version="3").save(path)
    return path


def drifting_just_now():
    """A request for each of three minutes that have just passed; in the second, amounts are in another unit.

    Backends take what is of this hour only. The last one's only purpose is to close the windows before it.
    """
    random = np.random.default_rng(2)
    start = time.time_ns() // MINUTE * MINUTE - 4 * MINUTE
    producer = Producer()
    return [
        logs_request(
            snapshot_record(
                producer.snapshot(
                    numeric("amount", scale * random.lognormal(3, 1, 1000)), start=start + minute * MINUTE
                )
            )
        )
        for minute, scale in enumerate((1, 100, 1))
    ]


def snapshots(count, *, rows=10, producer=None):
    """Requests of one snapshot each, all of one window: `count * rows` rows."""
    producer = producer or Producer()
    return [
        logs_request(snapshot_record(producer.snapshot(numeric("amount", range(rows)), rows=rows)))
        for _ in range(count)
    ]


def texts(count, *, size=0):
    """Requests of one log record each, told apart by their number, each of at least `size` bytes."""
    return [logs_request(text_record(f"{number:06d}" + "." * size)) for number in range(count)]


def numbers_of(sink):
    """The numbers of the texts that arrived, in order of arrival."""
    return [
        int(record.body.string_value[:6]) for record in sink.log_records() if record.body.string_value[:6].isdigit()
    ]


def rows_of(sink):
    """The rows of each window that was evaluated."""
    return [point.as_int for metric in sink.metrics_named("ml.model.window.rows") for point in metric.gauge.data_points]


def rows_merged(sink):
    """The rows in all windows so far, as the processor says of itself."""
    totals = [
        sum(point.as_int for point in metric.sum.data_points) for metric in sink.metrics_named("ml.processor.rows")
    ]
    return max(totals, default=0)
