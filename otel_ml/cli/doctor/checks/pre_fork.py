"""Does telemetry survive how the server makes its workers?"""

from __future__ import annotations

from collections.abc import Iterator

from otel_ml.cli.doctor.examined import Examined
from otel_ml.cli.doctor.finding import Check, Finding, ok, problem, unknown
from otel_ml.cli.doctor.server_command import ServerCommand

_ID = "service.instance.id"


def _examine(examined: Examined) -> Iterator[Finding]:
    command = ServerCommand.parse(examined.command)
    if command.server not in ("gunicorn", "uvicorn"):
        what = "no command was given" if not examined.command else "the command is no gunicorn and no uvicorn"
        yield unknown(what, "How it makes its workers cannot be seen.", "otel-ml doctor -- gunicorn app:app …")
        return
    workers = command.workers(examined.environment)
    is_grpc = any(route.is_grpc for route in examined.routes)
    is_fine = True
    if command.server == "gunicorn" and is_grpc and command.has("--preload", examined.environment):
        is_fine = False
        yield unknown(
            "gunicorn loads the application before it forks (--preload), and exports over gRPC",
            "A connection that was used before the fork breaks in the workers. With gRPC 1.85 their first export fails"
            " and is tried again; gRPC promises nothing, and what other versions do cannot be told.",
            "export OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf (port 4318), or leave --preload out",
        )
    if workers > 1 and _fixed_id(examined.environment.get("OTEL_RESOURCE_ATTRIBUTES", "")):
        is_fine = False
        yield problem(
            f"{workers} workers report as one: OTEL_RESOURCE_ATTRIBUTES fixes {_ID}",
            "Their cumulative metrics overwrite each other in the backend. (Sketches are told apart all the same.)",
            f"take {_ID} out of OTEL_RESOURCE_ATTRIBUTES: the SDK gives each process one of its own",
        )
    elif workers > 1 and not _has_own_id():
        is_fine = False
        yield problem(
            f"{workers} workers report as one: this SDK gives processes no {_ID}",
            "Their cumulative metrics overwrite each other in the backend. (Sketches are told apart all the same.)",
            "pip install --upgrade opentelemetry-sdk",
        )
    if is_fine:
        yield ok(f"{command.server} with {workers} {'worker' if workers == 1 else 'workers'}: each reports as itself")


def _fixed_id(attributes: str) -> bool:
    return any(part.partition("=")[0].strip() == _ID for part in attributes.split(","))


def _has_own_id() -> bool:
    from opentelemetry.sdk.resources import Resource

    return _ID in Resource.create().attributes


CHECK = Check("pre-fork", "Does telemetry survive how the server makes its workers?", _examine)
