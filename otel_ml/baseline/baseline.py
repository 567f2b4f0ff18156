"""What a model was trained on, as summaries."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from otel_ml.baseline.suggestion import unknown
from otel_ml.errors import BaselineError
from otel_ml.sketch.feature import FeatureKey, FeatureKind, FeatureRole, ModelKey

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from os import PathLike

    from otel_ml.baseline.joint import Joint
    from otel_ml.baseline.view import ColumnView
    from otel_ml.sketch.bins import BinLayout
    from otel_ml.sketch.confusion import ConfusionCounts
    from otel_ml.sketch.row_sample import RowSample
    from otel_ml.sketch.summary import FeatureSummary


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Baseline:
    """Summaries of a model's training data: what its inputs and outputs looked like when it was good.

    Attributes:
        id: Names the contents: the same data give the same id, whenever and from whichever container it was built.
        created_unix_nano: When it was built.
        rows: Rows of the training data.
        features: Summaries in the order of the data's columns, predictions and scores last. Unlike in a window, every
            sketch that is present holds all values: numeric columns with a finite value have bins, a histogram and
            quantiles, and exact counts where there are at most 256 distinct values; so do the lengths of texts and the
            norms of vectors.
        layouts: The bins cut for each column that has such numbers.
        importances: How much the model relies on a feature, by its name, at least 0; only their ratios mean something,
            and a feature that is not named has 0. Empty where nobody said.
        confusion: How often the model predicted what, by what was true; None where the labels were not given, or are no
            classes.
        row_sample: Rows of the training data as they are, of the features; None where nobody asked for them.
        joint: How up to 64 numeric features vary together; None where fewer than two do, or where the baseline was
            built by a version that did not look.
    """

    model: ModelKey
    id: str
    created_unix_nano: int
    rows: int
    features: Mapping[FeatureKey, FeatureSummary]
    layouts: Mapping[FeatureKey, BinLayout]
    importances: Mapping[str, float] = field(default_factory=dict)
    confusion: ConfusionCounts | None = None
    row_sample: RowSample | None = None
    joint: Joint | None = None

    @classmethod
    def build(
        cls,
        data: Any,
        *,
        model: str,
        version: str = "",
        predictions: Any = None,
        scores: Any = None,
        labels: Any = None,
        features: Sequence[str] | str | None = None,
        categorical: Sequence[str] | str = (),
        text: Sequence[str] | str = (),
        importances: Any = None,
        sample_rows: int = 0,
    ) -> Baseline:
        """Summarise training data.

        The predictions should be those of the model, not the labels it was trained on: they are compared with
        predictions. Where the model has one output, or one score, recording calls it "prediction" or "score", and so
        does the baseline whatever its column is called here; several keep their names, and those of a matrix are "0",
        "1", … Of the probabilities of two classes, the second is the score; where there are more, recording calls each
        by its class, so pass a mapping or a frame with these names.

        Numbers, truth values, strings, points in time and vectors (lists of numbers) are summarised, each in its way.

        Args:
            data: A pandas or polars frame, an Arrow table, a two-dimensional or structured array, a dict of columns,
                or the path of a Parquet or CSV file, which is read piece by piece.
            model: The model's name, as it is served.
            version: Its version; empty when unknown.
            predictions: Name or names of columns of `data`, or the values themselves: one column, a matrix, or a
                mapping from output name to column.
            scores: Probabilities or decision values, likewise.
            labels: What was true: the name of a column of `data`, which is then no feature, or one value a row. They
                need `predictions` of one output. Where these and the labels have at most 64 classes, the baseline keeps
                how many rows were predicted what and are what; of more, as of prices, it keeps nothing. Take rows that
                the model was not fitted to: on those that it was, it errs less than when it serves.
            features: The columns to summarise as features, all that are no output otherwise; of an array without
                names, the names of its columns.
            categorical: Columns whose numbers are codes, and columns of names that would be taken for text.
            text: Columns of free text. Strings are categories unless most are longer than 128 characters, or more than
                half of them differ and most have at least four words.
            importances: How much the model relies on each feature, so that drift can be ranked by what it matters: a
                mapping from feature to weight, a sequence in the order of the features, or a fitted model with
                `feature_importances_`, or with `coef_`, which is multiplied by the features' standard deviations in
                `data`. Weights of permuted or of Shapley values can be passed as a mapping.
            sample_rows: Rows of the data, drawn by chance, that go into the baseline as they are, at most 2,000; 0 for
                none. A classifier needs them to tell the rows of requests from those of the training data.

        Raises:
            BaselineError: The data cannot be read, or has no such column; a weight is no finite number of at least 0.
        """
        from otel_ml.baseline.build import build_baseline  # noqa: PLC0415 - it needs this class

        return build_baseline(
            data,
            model=ModelKey(model, version),
            predictions=predictions,
            scores=scores,
            labels=labels,
            features=features,
            categorical=categorical,
            text=text,
            importances=importances,
            sample_rows=sample_rows,
        )

    @classmethod
    def load(cls, path: str | PathLike[str]) -> Baseline:
        """The baseline in a file.

        Raises:
            BaselineError: The file is no intact baseline; says which file, what is wrong and what was expected.
        """
        from otel_ml.baseline.file import load_baseline  # noqa: PLC0415 - it needs this class

        return load_baseline(path)

    def save(self, path: str | PathLike[str]) -> None:
        """Write the baseline to a file, which until then holds what it held before.

        Raises:
            BaselineError: The file cannot be written.
        """
        from otel_ml.baseline.file import save_baseline  # noqa: PLC0415 - it needs this class

        save_baseline(self, path)

    def feature(self, name: str, role: FeatureRole = FeatureRole.FEATURE) -> FeatureSummary:
        """The summary of one column.

        Raises:
            BaselineError: There is no such column; says which one may have been meant.
        """
        summary = self.features.get(FeatureKey(role, name))
        if summary is None:
            names = [key.name for key in self.features if key.role is role]
            raise BaselineError(f"baseline {self.id}: {unknown(role.value, name, names)}")
        return summary

    def __getitem__(self, name: str) -> ColumnView:
        """One column as a notebook shows it; a feature where a prediction or a score has the same name.

        Raises:
            BaselineError: There is no such column; says which one may have been meant.
        """
        from otel_ml.baseline.view import ColumnView  # noqa: PLC0415 - servers draw nothing

        for role in (FeatureRole.FEATURE, FeatureRole.PREDICTION, FeatureRole.SCORE):
            key = FeatureKey(role, name)
            if key in self.features:
                return ColumnView(self.features[key], self.layout(key))
        names = list(dict.fromkeys(key.name for key in self.features))
        raise BaselineError(f"baseline {self.id}: {unknown('column', str(name), names)}")

    def layout(self, key: FeatureKey) -> BinLayout | None:
        """The bins cut for a column's values, its texts' lengths or its vectors' norms, if it has any."""
        return self.layouts.get(key)

    def kind(self, key: FeatureKey) -> FeatureKind | None:
        """How the values of a column are to be read; None when the training data had no such column."""
        summary = self.features.get(key)
        return None if summary is None else summary.kind

    def check_matches(self, model: ModelKey, *, source: str) -> None:
        """Make sure that this is a baseline for `model`; an unknown version, on either side, matches every version.

        Args:
            model: The model whose predictions are to be compared with it.
            source: Where the baseline comes from, for the message.

        Raises:
            BaselineError: It belongs to another model or version.
        """
        same_version = self.model.version == model.version or not (self.model.version and model.version)
        if self.model.name != model.name or not same_version:
            raise BaselineError(f"{source}: is the baseline of {_title(self.model)} (expected that of {_title(model)})")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Baseline) and (self.model, self.id) == (other.model, other.id)

    def __hash__(self) -> int:
        return hash((self.model, self.id))

    def __repr__(self) -> str:
        kinds = Counter(summary.kind.value for key, summary in self.features.items() if key.role is FeatureRole.FEATURE)
        roles = Counter(key.role.value for key in self.features if key.role is not FeatureRole.FEATURE)
        parts = [f"{count} {kind}" for kind, count in kinds.items()]
        outputs = [f"{count} {role}{'s' if count > 1 else ''}" for role, count in roles.items()]
        described = ", ".join([f"features: {' + '.join(parts) or 'none'}", *outputs])
        return f"<Baseline {self.id} of {_title(self.model)}, {self.rows:,} rows, {described}>"

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        from otel_ml.baseline.view import baseline_html  # noqa: PLC0415 - servers draw nothing

        return baseline_html(self)


def _title(model: ModelKey) -> str:
    return f"model {model.name!r}, version {model.version!r}" if model.version else f"model {model.name!r}"
