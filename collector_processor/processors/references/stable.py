"""Which of several deployments that serve at the same time is the one the others are measured by."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from collector_processor.processors.references.kept import KeptWindow
from collector_processor.processors.references.series import Subject
from collector_processor.processors.references.settings import StableSettings
from collector_processor.processors.windows import Window


@dataclass(frozen=True, slots=True)
class Deployment:
    """One version of a model, or one value of a dimension of its segments, in one window.

    Attributes:
        first_unix_nano: When it was first heard of.
        window: What it did; still open where its time has not come.
    """

    subject: Subject
    first_unix_nano: int
    window: KeptWindow | Window

    @property
    def label(self) -> str:
        """What tells it from the others."""
        model, segment = self.subject
        return model.version if segment is None else segment.value

    @property
    def title(self) -> str:
        """The label and what it is."""
        segment = self.subject.segment
        return f"{'version' if segment is None else segment.dimension} {self.label!r}"

    @property
    def kept(self) -> KeptWindow:
        """Its window, as far as it has come."""
        return self.window if isinstance(self.window, KeptWindow) else KeptWindow.of(self.window)


def stable_one(
    settings: StableSettings, own: Deployment, others: Sequence[Deployment], min_rows: int
) -> Deployment | str:
    """The deployment to compare `own` with, or the reason why there is none: it may be the stable one itself."""
    listed = settings.versions.get(own.subject.model.name, ())
    if settings.choose == "listed":
        if not listed:
            return f"no versions are listed for model {own.subject.model.name!r}"
        others = [other for other in others if other.label in listed]
    if not others:
        return "none of the listed versions is in this window" if listed else "no other deployment in this window"
    enough = [other for other in others if other.window.rows >= min_rows]
    if not enough:
        most = max(others, key=lambda other: other.window.rows)
        return f"{most.title} has {most.window.rows} rows (at least {min_rows})"

    def rank(deployment: Deployment) -> tuple[int, int, str]:
        label, first, rows = deployment.label, deployment.first_unix_nano, deployment.window.rows
        if settings.choose == "listed":
            return (listed.index(label) if label in listed else len(listed)), 0, ""
        return (first, -rows, label) if settings.choose == "longest_lived" else (-rows, first, label)

    best = min(enough, key=rank)
    return f"{own.title} is the stable one itself" if rank(own) < rank(best) else best
