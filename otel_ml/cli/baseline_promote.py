"""`otel-ml baseline promote`: put a baseline where processors and servers find it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

if TYPE_CHECKING:
    from otel_ml.baseline import Baseline

_PREVIOUS: Final = ".previous"


@click.command()
@click.argument("file", type=click.Path(path_type=Path, readable=False))
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--force", is_flag=True, help="Although columns of the present baseline are gone, or of another kind.")
@click.option("--dry-run", is_flag=True, help="Tell what would change, and change nothing.")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def promote(file: Path, folder: Path, *, force: bool, dry_run: bool, as_json: bool) -> None:
    """Put the baseline FILE into FOLDER, in the place of that of the same model and version.

    A processor that names the folder (processors::drift::baselines) takes it up within seconds; servers read it when
    they start. What was there before stays beside it, as *.previous: promoting that takes the change back.

    \b
    otel-ml baseline promote fraud-3.baseline /var/lib/otel-ml/baselines
    """  # noqa: D301 - \b is for click, which keeps the lines below it
    from otel_ml.baseline import Baseline
    from otel_ml.baseline.file import file_name, write_content
    from otel_ml.errors import BaselineError

    new = Baseline.load(file)
    # Before it is written over: it may be the previous one itself.
    content = file.read_bytes()
    if not folder.is_dir():
        raise click.BadParameter(f"{str(folder)!r} is no folder", param_hint="FOLDER")
    target = folder / file_name(new.model)
    before: Baseline | None = None
    problem = ""
    if target.exists():
        try:
            before = Baseline.load(target)
        except BaselineError as error:
            # What is broken is no reason not to mend it.
            problem = str(error)
    lost = [] if before is None else _lost(before, new)
    refused = bool(lost) and not force
    written = not refused and not dry_run and (before is None or before.id != new.id)
    if written:
        if target.exists():
            _keep(target)
        write_content(content, target)
    told = {
        "file": str(target),
        "id": new.id,
        "before": None if before is None else before.id,
        "lost": lost,
        "written": written,
        "problem": problem,
    }
    click.echo(json.dumps(told, ensure_ascii=False) if as_json else _sentence(told, new))
    if refused:
        click.echo("nothing was changed (--force puts it there all the same)", err=True)
        sys.exit(1)


def _keep(target: Path) -> None:
    """Copy what is about to be replaced, so that promoting the copy takes the change back."""
    from otel_ml.baseline.file import write_content
    from otel_ml.errors import BaselineError

    try:
        content = target.read_bytes()
    except OSError as error:
        raise BaselineError(f"{target}: cannot be kept as it was: {error.strerror or error}") from error
    write_content(content, target.with_name(f"{target.name}{_PREVIOUS}"))


def _lost(before: Baseline, new: Baseline) -> list[str]:
    """Columns that servers are being watched for, and that the new baseline does not know in the same way."""
    return [
        key.name if key not in new.features else f"{key.name} ({summary.kind.value} → {new.features[key].kind.value})"
        for key, summary in before.features.items()
        if key not in new.features or new.features[key].kind is not summary.kind
    ]


def _sentence(told: dict[str, Any], new: Baseline) -> str:
    from otel_ml.drawing.markup import shortened

    model = " ".join(part for part in new.model if part)
    lines = []
    if told["problem"]:
        lines.append(f"what is there is no baseline: {told['problem']}")
    if told["lost"]:
        lines.append(f"gone, or of another kind: {', '.join(shortened(name, 60) for name in told['lost'])}")
    if told["before"] == told["id"]:
        lines.append(f"{told['file']}: has this baseline of {model} already")
    else:
        verb = "has" if told["written"] else "would have"
        instead = f" instead of {told['before'][:8]}" if told["before"] else ""
        lines.append(f"{told['file']}: {verb} baseline {told['id'][:8]} of {model}{instead}")
    return "\n".join(lines)
