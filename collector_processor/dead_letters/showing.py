"""Dead letters as people and machines read them."""

from __future__ import annotations

import base64
import sys
from collections.abc import Sequence
from datetime import datetime, timezone
from typing import Any, Final

import click
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import DecodeError, Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from collector_processor.component import Signal
from collector_processor.store.dead_letters import KeptLetter

_HEADINGS: Final = ("id", "kept", "source", "signal", "reason", "items", "bytes", "detail")
_RIGHT: Final = frozenset(("id", "items", "bytes"))
_REQUESTS: Final[dict[Signal, type[Message]]] = {
    Signal.LOGS: ExportLogsServiceRequest,
    Signal.METRICS: ExportMetricsServiceRequest,
    Signal.TRACES: ExportTraceServiceRequest,
}
_SHOWN_DETAIL: Final = 80


def described(letter: KeptLetter) -> dict[str, Any]:
    """Everything about a letter but what it holds, ready for JSON."""
    return {
        "id": letter.id,
        "kept": datetime.fromtimestamp(letter.kept_unix_nano / 1e9, tz=timezone.utc).isoformat(timespec="seconds"),
        "source": letter.source,
        "signal": letter.signal.value,
        "reason": letter.reason,
        "items": letter.items,
        "bytes": letter.size,
        "detail": letter.detail,
    }


def row(letter: KeptLetter) -> tuple[str, ...]:
    """A letter in a row of the list, in the order of the headings."""
    shown = described(letter)
    detail = " ".join(letter.detail.split())
    shown["detail"] = detail if len(detail) <= _SHOWN_DETAIL else f"{detail[: _SHOWN_DETAIL - 1]}…"
    return tuple(str(shown[heading]) for heading in _HEADINGS)


def decoded(letter: KeptLetter, body: bytes) -> Any:
    """The request as OTLP/JSON; None when it is no request."""
    try:
        request = _REQUESTS[letter.signal].FromString(body)
    except DecodeError:
        return None
    return _with_hex_ids(MessageToDict(request, use_integers_for_enums=True))


def _with_hex_ids(value: Any) -> Any:
    """OTLP/JSON differs from protobuf's own in this: ids are hexadecimal."""
    if isinstance(value, list):
        return [_with_hex_ids(item) for item in value]
    if isinstance(value, dict):
        return {
            name: base64.b64decode(item).hex()
            if name in ("traceId", "spanId", "parentSpanId") and isinstance(item, str)
            else _with_hex_ids(item)
            for name, item in value.items()
        }
    return value


def show_rows(rows: Sequence[tuple[str, ...]]) -> None:
    """A table on a terminal, aligned lines elsewhere."""
    if not sys.stdout.isatty():
        widths = [max(map(len, column)) for column in zip(_HEADINGS, *rows, strict=True)]
        for row in (_HEADINGS, *rows):
            cells = [
                cell.rjust(width) if heading in _RIGHT else cell.ljust(width)
                for heading, cell, width in zip(_HEADINGS, row, widths, strict=True)
            ]
            click.echo("  ".join(cells).rstrip())
        return

    table = Table(box=SIMPLE_HEAD)
    for heading in _HEADINGS:
        table.add_column(heading, justify="right" if heading in _RIGHT else "left", overflow="fold")
    for row in rows:
        # Not as markup: what a backend says may hold "[bold]".
        table.add_row(*map(Text, row))
    Console().print(table)
