"""A small configuration to begin with."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from click import UsageError

from collector_processor.config import parse
from collector_processor.errors import InvalidConfigurationError
from collector_processor.settings import Target, parse_target

_LISTEN: Final = 4317
_HERE: Final = frozenset(("localhost", "127.0.0.1", "::1"))
_HTTP_PORT: Final = 4318
_TEMPLATE: Final = """\
# The processor: OTLP in, drift and alerts out, everything else passed on unchanged.
#
#   otel-ml config check FILE
#   otel-ml processor --config FILE
#
# docs/processor.md says what there is beside this; `${{env:NAME:-default}}` takes a value from the environment.

receivers:
  otlp:
    protocols:
      # Beyond this machine it needs tls, and auth or client certificates.
      grpc: {{endpoint: "127.0.0.1:4317"}}
      http: {{endpoint: "127.0.0.1:4318"}}

processors:
  drift:
    # Event time; a window is evaluated once its end and 30 s have passed.
    window: 5m
    # Files that `otel-ml baseline build` wrote, one for each version of a model.
    baselines: [{baselines}]

exporters:
  # The backend that everything is sent on to.
  {exporter}: {{endpoint: {endpoint}}}

store:
{store}

service:
  # /healthz, /readyz, and /metrics for Prometheus.
  status: {{endpoint: "127.0.0.1:13133"}}
  pipelines:
    traces: {{receivers: [otlp], exporters: [{exporter}]}}
    # Drift and data-quality gauges leave here, too.
    metrics: {{receivers: [otlp], exporters: [{exporter}]}}
    # Alerts leave here, too.
    logs: {{receivers: [otlp], processors: [drift], exporters: [{exporter}]}}
"""
_IN_MEMORY: Final = """\
  # With a directory, what was acknowledged survives a crash; without one, all of it is in memory.
  # directory: /var/lib/otel-ml"""
_ON_DISK: Final = """\
  # What was acknowledged survives a crash. One directory for each process, on a local disk.
  directory: {directory}"""
_BACKEND: Final = "${env:OTEL_ML_BACKEND:-http://127.0.0.1:14317}"


def begin(baselines: Sequence[Path], endpoint: str | None, directory: Path | None) -> str:
    """The text of a configuration.

    Raises:
        UsageError: The endpoint is none, or is the processor's own.
    """
    target = None if endpoint is None else _target(endpoint)
    is_http = target is not None and (bool(target.path) or target.address.port == _HTTP_PORT)
    return _TEMPLATE.format(
        baselines=", ".join(_text(str(path)) for path in baselines),
        exporter="otlp_http" if is_http else "otlp_grpc",
        endpoint=json.dumps(_BACKEND) if endpoint is None else _text(endpoint),
        store=_IN_MEMORY if directory is None else _ON_DISK.format(directory=_text(str(directory))),
    )


def checked(text: str) -> list[str]:
    """What is wrong with a configuration that is not written yet."""
    try:
        parse(text, "processor.yaml")
    except InvalidConfigurationError as error:
        return [str(problem) for problem in error.problems]
    return []


def _target(endpoint: str) -> Target:
    try:
        target = parse_target(endpoint)
    except ValueError as error:
        raise UsageError(f"--endpoint: {error}") from error
    if target.scheme is None:
        raise UsageError(
            f"--endpoint: {endpoint!r} lacks a scheme (http://{target.address} in plain text, https://… with TLS)"
        )
    if target.address.host in _HERE and target.address.port in (_LISTEN, _HTTP_PORT):
        raise UsageError(f"--endpoint: {endpoint!r} is where the processor itself receives (the backend's own address)")
    return target


def _text(value: str) -> str:
    """A text in YAML, with nothing in it that is taken for a variable."""
    return json.dumps(value.replace("$", "$$"))
