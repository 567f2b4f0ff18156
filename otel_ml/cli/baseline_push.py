"""`otel-ml baseline push`: hand a baseline to a processor."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from otel_ml.baseline import Baseline
    from otel_ml.cli.otlp.sending import Answer


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--endpoint", metavar="URL", help="Instead of what OTEL_EXPORTER_OTLP_ENDPOINT says.")
@click.option(
    "--protocol",
    type=click.Choice(("grpc", "http/protobuf")),
    help="Instead of what OTEL_EXPORTER_OTLP_PROTOCOL says.",
)
@click.option(
    "--timeout",
    "timeout_s",
    type=click.FloatRange(0.1, 300.0),
    metavar="S",
    help="Default: OTEL_EXPORTER_OTLP_TIMEOUT, or 10.",
)
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def push(file: Path, *, endpoint: str | None, protocol: str | None, timeout_s: float | None, as_json: bool) -> None:
    """Hand the baseline FILE to the processor that OTLP goes to, which compares with it from the next window on.

    It is an OTLP log record, sent once, without another try, with the headers and certificates of the environment's
    variables. The processor has to allow it (processors::drift::accept_baselines). A Collector in between may take the
    record and lose it, so send it to the processor itself.

    Exits with 0 once the processor has it on disk, with 1 otherwise. Where that is for now, as when its disk is full,
    run the same again: pushing twice changes nothing.

    \b
    otel-ml baseline push fraud-4.baseline --endpoint http://processor:4317
    """  # noqa: D301 - \b is for click, which keeps the lines below it
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    from otel_ml.baseline import Baseline
    from otel_ml.cli.sample_telemetry import deliver

    # Broken files are refused here, with their name.
    baseline = Baseline.load(file)
    sent = deliver(
        "baseline",
        "logs",
        _request(baseline, file.read_bytes()),
        os.environ.copy(),
        endpoint=endpoint,
        protocol=protocol,
        timeout_s=timeout_s,
    )
    if as_json:
        told = {"file": str(file), "id": baseline.id, "retryable": sent.answer.asks_to_come_back, **sent.described()}
        click.echo(json.dumps(told))
    elif sent.is_fine:
        model = " ".join(part for part in baseline.model if part)
        click.echo(f"{file}: baseline {baseline.id[:8]} of {model} is at {sent.endpoint!r}")
    else:
        click.echo(f"{file}: {_verdict(sent.answer)} by {sent.endpoint!r}: {sent.said}")
        found = sent.explanation
        if found is not None and not sent.answer.taken:
            click.echo(f"  what: {found.what}\n  why:  {found.why}\n  fix:  {found.fix}\n  link: {found.link}")
    sys.exit(0 if sent.is_fine else 1)


def _verdict(answer: Answer) -> str:
    """What became of a baseline that is not at the processor."""
    if answer.rejected:
        return "refused for good"
    return "not taken for now" if answer.asks_to_come_back else "not taken"


def _request(baseline: Baseline, content: bytes) -> Any:
    from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

    from otel_ml import semconv

    request = ExportLogsServiceRequest()
    scope = request.resource_logs.add().scope_logs.add()
    scope.scope.name = semconv.SCOPE_NAME
    record = scope.log_records.add(event_name=semconv.EVENT_BASELINE, time_unix_nano=time.time_ns())
    record.body.string_value = f"baseline {baseline.id}, {baseline.rows} rows"
    record.attributes.add(key=semconv.MODEL_NAME).value.string_value = baseline.model.name
    record.attributes.add(key=semconv.MODEL_VERSION).value.string_value = baseline.model.version
    record.attributes.add(key=semconv.BASELINE_ID).value.string_value = baseline.id
    record.attributes.add(key=semconv.BASELINE_PAYLOAD).value.bytes_value = content
    return request
