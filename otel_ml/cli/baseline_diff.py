"""`otel-ml baseline diff`: what differs between two baselines."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

if TYPE_CHECKING:
    from otel_ml.baseline import Baseline
    from otel_ml.comparing import DriftReport
    from otel_ml.sketch.feature import FeatureKey

_Path = click.Path(path_type=Path, readable=False)
_NAME: Final = 60


@click.command()
@click.argument("old", type=_Path)
@click.argument("new", type=_Path)
@click.option("--json", "as_json", is_flag=True, help="For machines.")
@click.option("--fail-on-difference", is_flag=True, help="End with 1 where a column differs, is gone or is new.")
def diff(old: Path, new: Path, *, as_json: bool, fail_on_difference: bool) -> None:
    """Tell what differs between the baselines OLD and NEW: columns, their kinds, and what is in them."""
    from otel_ml.baseline import Baseline

    was, now = Baseline.load(old), Baseline.load(new)
    compared = _compared(was, now)
    found = _difference(was, now, compared)
    if as_json:
        details = None if compared is None else compared.to_json()
        click.echo(json.dumps({"old": str(old), "new": str(new), **found, "report": details}, ensure_ascii=False))
    else:
        _show(old, new, found, compared)
    if fail_on_difference and (found["removed"] or found["added"] or found["kinds"] or found["drifted"]):
        sys.exit(1)


def _difference(was: Baseline, now: Baseline, compared: DriftReport | None) -> dict[str, Any]:
    """What differs, ready for JSON."""
    return {
        "same": was.id == now.id,
        "models": [_model(was), _model(now)],
        "ids": [was.id, now.id],
        "rows": [was.rows, now.rows],
        "removed": [_column(key) for key in was.features if key not in now.features],
        "added": [_column(key) for key in now.features if key not in was.features],
        "kinds": {
            _column(key): [summary.kind.value, now.features[key].kind.value]
            for key, summary in was.features.items()
            if key in now.features and now.features[key].kind is not summary.kind
        },
        "drifted": [] if compared is None else [column.name for column in compared.drifted_columns],
    }


def _compared(was: Baseline, now: Baseline) -> DriftReport | None:
    """The columns that both have; None where they have none in common."""
    from otel_ml.comparing import compare

    return compare(was, now) if was.features.keys() & now.features.keys() else None


def _show(old: Path, new: Path, found: dict[str, Any], compared: DriftReport | None) -> None:
    from otel_ml.cli.report import show
    from otel_ml.drawing.markup import shortened

    click.echo(f"{old}: baseline {found['ids'][0]} of {found['models'][0]}, {found['rows'][0]:,} rows")
    click.echo(f"{new}: baseline {found['ids'][1]} of {found['models'][1]}, {found['rows'][1]:,} rows")
    if found["same"]:
        click.echo("the same contents")
        return
    for what in ("removed", "added"):
        if found[what]:
            click.echo(f"{what}: {', '.join(shortened(name, _NAME) for name in found[what])}")
    for name, (before, after) in found["kinds"].items():
        click.echo(f"{shortened(name, _NAME)}: {before} → {after}")
    if compared is None:
        click.echo("no column in common")
    else:
        show(compared)


def _model(baseline: Baseline) -> str:
    return " ".join(part for part in baseline.model if part)


def _column(key: FeatureKey) -> str:
    from otel_ml.sketch.feature import FeatureRole

    is_plain = key.role is FeatureRole.FEATURE or key.name == key.role.value
    return key.name if is_plain else f"{key.name} ({key.role.value})"
