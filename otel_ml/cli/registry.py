"""`otel-ml registry`: every name we put on the wire, as OpenTelemetry's weaver reads it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Iterator

    from otel_ml.registry import Attribute, Signal, Use


@click.command()
def registry() -> None:
    """Print all attributes, spans, events and metrics as a weaver registry (YAML)."""
    click.echo(render(), nl=False)


def render() -> str:
    """The registry as YAML text; the same for the same version."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    from otel_ml.registry import ATTRIBUTES, EVENTS, METRICS, SPANS

    yield "# Written by `otel-ml registry` from otel_ml/semconv.py and otel_ml/registry.py."
    yield "groups:"
    yield "  - id: registry.ml"
    yield "    type: attribute_group"
    yield "    display_name: Machine learning inference"
    yield f"    brief: {_text('Attributes of predictive models that are being served.')}"
    yield "    attributes:"
    for attribute in ATTRIBUTES:
        yield from _attribute(attribute)
    for signal in (*SPANS, *EVENTS, *METRICS):
        yield from _signal(signal)


def _attribute(attribute: Attribute) -> Iterator[str]:
    # Weaver has neither bytes nor maps among its stable types: both are "any", with the shape in the brief.
    kind = "any" if attribute.type in ("bytes", "map") else attribute.type
    yield f"      - id: {attribute.name}"
    yield f"        type: {kind}"
    yield "        stability: development"
    yield f"        brief: {_text(attribute.brief)}"
    yield f"        examples: {json.dumps(list(attribute.examples))}"


def _signal(signal: Signal) -> Iterator[str]:
    yield f"  - id: {signal.kind}.{signal.id}"
    yield f"    type: {signal.kind}"
    if signal.metric is not None:
        yield f"    metric_name: {signal.metric.name}"
        # To a registry an exponential histogram is a histogram: how its buckets lie is the exporter's business.
        yield f"    instrument: {signal.metric.instrument.removeprefix('exponential_')}"
        yield f"    unit: {_text(signal.metric.unit)}"
    elif signal.kind == "event":
        yield f"    name: {signal.id}"
    else:
        yield "    span_kind: internal"
    yield "    stability: development"
    yield f"    brief: {_text(signal.brief)}"
    if signal.uses:
        yield "    attributes:"
    for use in signal.uses:
        yield f"      - ref: {use.attribute}"
        yield f"        requirement_level: {_level(use)}"


def _level(use: Use) -> str:
    return use.level if not use.when else f"{{{use.level}: {_text('if ' + use.when)}}}"


def _text(text: Any) -> str:
    return json.dumps(str(text), ensure_ascii=False)
