"""What a report says of one column."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from otel_ml.drawing.frame import Frame
from otel_ml.drift.explanation import MovedCell
from otel_ml.drift.quality import MINIMUM_COUNT, QualityRatio
from otel_ml.sketch.feature import FeatureKey, FeatureKind, FeatureRole
from otel_ml.sketch.sketch import FloatArray

Status = Literal["drifted", "stable", "not compared", "absent"]


@dataclass(frozen=True, slots=True)
class MethodResult:
    """What one detector says of a column.

    Attributes:
        method: Its name.
        score: 0 where nothing but chance differs.
        threshold: Score above which a difference is big enough to matter.
        p_value: Probability of such a score without drift; None where the detector has no test.
        q_value: The same, corrected for all columns that were asked about.
    """

    method: str
    score: float
    threshold: float
    p_value: float | None
    q_value: float | None = None

    @property
    def is_big(self) -> bool:
        """Whether the difference is big enough to matter."""
        return self.score > self.threshold

    def to_json(self) -> dict[str, Any]:
        """All of it, as JSON can hold it."""
        return {
            "method": self.method,
            "score": finite(self.score),
            "threshold": finite(self.threshold),
            "p_value": None if self.p_value is None else finite(self.p_value),
            "q_value": self.q_value,
        }


@dataclass(frozen=True, slots=True)
class QualityFinding:
    """One kind of bad value in a column.

    Attributes:
        name: "missing", "type_mismatch", "infinite", "out_of_range" or "unseen_category".
        ratios: Now, and in the reference.
        q_value: Probability of such an increase by chance, corrected for all columns.
        threshold: Increase above which it matters.
        is_degraded: Whether it does, and is no chance.
    """

    name: str
    ratios: QualityRatio
    q_value: float | None
    threshold: float
    is_degraded: bool

    @classmethod
    def of(
        cls, name: str, ratios: QualityRatio, q_value: float | None, *, threshold: float, alpha: float
    ) -> QualityFinding:
        """What is found of these ratios."""
        is_certain = q_value is not None and q_value < alpha
        degraded = ratios.count >= MINIMUM_COUNT and ratios.increase > threshold and is_certain
        return cls(name, ratios, q_value, threshold, degraded)

    @property
    def title(self) -> str:
        """What to call it: "out of range"."""
        return self.name.replace("_", " ")

    def to_json(self) -> dict[str, Any]:
        """All of it, as JSON can hold it."""
        return {
            "ratio": self.ratios.ratio,
            "reference_ratio": self.ratios.reference_ratio,
            "count": self.ratios.count,
            "p_value": self.ratios.p_value,
            "q_value": self.q_value,
            "threshold": self.threshold,
            "degraded": self.is_degraded,
        }


@dataclass(frozen=True, slots=True, eq=False)
class ColumnReport:
    """How a column compares with its reference.

    Attributes:
        key: Which one; features together have the role `JOINT`.
        kind: How its values are read.
        status: Whether it drifted; "not compared" where that cannot be told, and "absent" where the data have it not.
        results: What every detector says that was asked.
        method: The one whose verdict counts; None where there is none.
        reason: Why that one; or why there is none.
        effect: How far it moved, in standard deviations of what a model makes of it, from 0 to 2.
        importance: How much that matters, from 0 to 1: the importance the baseline knows relative to the greatest one;
            1 for predictions and scores, and where it knows none.
        moved: What changed most, the heaviest first; of columns that drifted.
        quality: Bad values of each kind that the column can have.
        n_reference: Values behind the reference.
        n_current: Values of the current data.
        frame: Bins to draw it in; None where there is nothing to draw.
        shares: Of the current data, in these.
    """

    key: FeatureKey
    kind: FeatureKind
    status: Status
    results: Sequence[MethodResult]
    method: str | None
    reason: str
    effect: float
    importance: float
    moved: Sequence[MovedCell]
    quality: Sequence[QualityFinding]
    n_reference: int
    n_current: int
    frame: Frame | None = None
    shares: FloatArray | None = None

    @property
    def name(self) -> str:
        """What it is called."""
        return "(features together)" if self.key.role is FeatureRole.JOINT else self.key.name

    @property
    def role(self) -> FeatureRole:
        """Which side of the model it stands on."""
        return self.key.role

    @property
    def drifted(self) -> bool:
        """Whether it is further from its reference than matters and than chance explains."""
        return self.status == "drifted"

    @property
    def degraded(self) -> Sequence[QualityFinding]:
        """Kinds of bad value of which there are more than there were."""
        return [finding for finding in self.quality if finding.is_degraded]

    @property
    def decision(self) -> MethodResult | None:
        """What the detector says whose verdict counts."""
        return next((result for result in self.results if result.method == self.method), None)

    @property
    def weight(self) -> float:
        """How far it moved times how much that matters: what columns are ranked by."""
        return self.effect * self.importance

    def to_json(self) -> dict[str, Any]:
        """All of it, as JSON can hold it."""
        return {
            "name": self.key.name,
            "role": self.role.value,
            "kind": self.kind.value,
            "status": self.status,
            "drifted": self.drifted,
            "method": self.method,
            "reason": self.reason,
            "effect": finite(self.effect),
            "importance": self.importance,
            "n_reference": self.n_reference,
            "n_current": self.n_current,
            "results": [result.to_json() for result in self.results],
            "moved": [
                {"label": cell.label, "reference": finite(cell.reference), "current": finite(cell.current)}
                | {"part": cell.part, "is_share": cell.is_share}
                for cell in self.moved
            ],
            "quality": {finding.name: finding.to_json() for finding in self.quality},
            "frame": None if self.frame is None else self.frame.to_json(),
            "shares": None if self.shares is None else [round(share, 6) for share in self.shares.tolist()],
        }


def finite(number: float) -> float | None:
    """The number, or None where JSON has none."""
    return number if math.isfinite(number) else None
