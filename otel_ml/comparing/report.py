"""How data compare with a baseline, for people and for programs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from otel_ml.baseline.suggestion import unknown
from otel_ml.comparing.column import ColumnReport
from otel_ml.errors import BaselineError
from otel_ml.sketch.feature import FeatureRole, ModelKey

if TYPE_CHECKING:
    import altair as alt
    import pandas as pd


@dataclass(frozen=True, eq=False, repr=False)
class DriftReport:
    """Which columns drifted, how far, and whether chance explains it.

    Attributes:
        model: Whose baseline it was compared with …
        baseline_id: … and its id.
        reference_rows: Rows of the baseline.
        source: What was compared with it.
        rows: Rows of that.
        created_unix_nano: When.
        alpha: q-value below which chance does not explain a difference.
        min_rows: Values below which a column was not compared.
        columns: All of the baseline's, the one to look at first in front.
        added: Names of columns that the baseline does not have.
    """

    model: ModelKey
    baseline_id: str
    reference_rows: int
    source: str
    rows: int
    created_unix_nano: int
    alpha: float
    min_rows: int
    columns: Sequence[ColumnReport]
    added: Sequence[str] = ()

    @property
    def drifted(self) -> bool:
        """Whether any column did."""
        return bool(self.drifted_columns)

    @cached_property
    def drifted_columns(self) -> Sequence[ColumnReport]:
        """Those that did, the one to look at first in front."""
        return [column for column in self.columns if column.drifted]

    @cached_property
    def degraded_columns(self) -> Sequence[ColumnReport]:
        """Those with more bad values than there were."""
        return [column for column in self.columns if column.degraded]

    @cached_property
    def absent_columns(self) -> Sequence[ColumnReport]:
        """Those that the data do not have."""
        return [column for column in self.columns if column.status == "absent"]

    @property
    def compared(self) -> int:
        """How many columns have a verdict."""
        return sum(column.status in ("drifted", "stable") for column in self.columns)

    def __getitem__(self, name: str) -> ColumnReport:
        """The column of that name; a feature where a prediction or score has the same one.

        Raises:
            BaselineError: There is none; says which one may have been meant.
        """
        found = [column for column in self.columns if column.name == name]
        if not found:
            known = [column.name for column in self.columns]
            raise BaselineError(f"report on {self.source}: {unknown('column', str(name), known)}")
        return min(found, key=lambda column: column.role is not FeatureRole.FEATURE)

    def to_json(self) -> dict[str, Any]:
        """All of it, as JSON can hold it."""
        return {
            "model": {"name": self.model.name, "version": self.model.version},
            "baseline": {"id": self.baseline_id, "rows": self.reference_rows},
            "current": {"source": self.source, "rows": self.rows},
            "created_unix_nano": self.created_unix_nano,
            "alpha": self.alpha,
            "min_rows": self.min_rows,
            "drifted": self.drifted,
            "compared": self.compared,
            "drifted_columns": [column.name for column in self.drifted_columns],
            "degraded_columns": [column.name for column in self.degraded_columns],
            "absent_columns": [column.name for column in self.absent_columns],
            "added_columns": list(self.added),
            "columns": [column.to_json() for column in self.columns],
        }

    def to_html(self, *, title: str = "") -> str:
        """A whole page that needs no network and no script, to keep or to send.

        Args:
            title: Its headline; by default, the model's name and version.
        """
        from otel_ml.comparing.page import page  # noqa: PLC0415 - it needs this class

        return page(self, title=title)

    def to_frame(self) -> pd.DataFrame:
        """A pandas frame with a row for each column and detector.

        Raises:
            ModuleNotFoundError: pandas is not installed; says how to install it.
        """
        from otel_ml.comparing.tables import frame  # noqa: PLC0415 - it needs this class

        return frame(self)

    def plot(self, column: str) -> alt.Chart:
        """An Altair chart of a column's two distributions.

        Raises:
            ModuleNotFoundError: Altair is not installed; says how to install it.
            BaselineError: There is no such column, or nothing of it to draw.
        """
        from otel_ml.comparing.chart import chart  # noqa: PLC0415 - it needs this class

        return chart(self[column], source=self.source)

    def __repr__(self) -> str:
        from otel_ml.comparing.tables import text  # noqa: PLC0415 - it needs this class

        return text(self)

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        from otel_ml.comparing.page import fragment  # noqa: PLC0415 - it needs this class

        return fragment(self)
